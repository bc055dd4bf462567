/**
 * Reads the header of a GGUF file (llama.cpp's format): its metadata and its table of tensors. Every count and length is
 * compared with the bytes that are there before anything is made of that size, so a file that lies costs no memory.
 * Source: ggml/docs/gguf.md and gguf.cpp.
 */
import type { ByteSource } from './bytes.ts'
import { badInput } from './fault.ts'
import { quoted } from './quote.ts'

/** A value of the metadata: numbers of all kinds as one kind, lists as they are. */
export type GgufMeta = number | string | boolean | readonly string[] | readonly boolean[] | ArrayLike<number>

/** An entry of the table of tensors, as it is written. */
export type GgufEntry = {
  name: string
  /** Row-major, outermost first. */
  shape: number[]
  /** ggml's code of the type. */
  type: number
  /** From the start of the data. */
  offset: number
  /** Where the entry stands in the file, for messages. */
  at: number
}

export type GgufHeader = {
  metadata: Map<string, GgufMeta>
  entries: GgufEntry[]
  /** Where the data begins. */
  start: number
  /** Of tensors in bytes. */
  alignment: number
}

/** More than any model has. */
const limits = { keys: 65_536, tensors: 100_000, items: 2 ** 22, text: 2 ** 24, header: 2 ** 28, rank: 4 }

/** The file claims bytes that have not been read yet. */
class MoreNeeded extends Error {}

/** Throws Faults 'bad-gguf' with the byte at which the header is wrong, and 'cut-file'. */
export const readGgufHeader = async (source: ByteSource): Promise<GgufHeader> => {
  const most = Math.min(source.size, limits.header)
  for (let size = Math.min(most, 2 ** 20); ; size = Math.min(most, 4 * size)) {
    const bytes = await source.read(0, size)
    try {
      return parseHeader(bytes, source)
    } catch (error) {
      if (!(error instanceof MoreNeeded)) throw error
      if (size < most) continue
      if (most < source.size) throw fault(source, size, `the header has more than ${limits.header} bytes`)
      throw badInput('cut-file', `ends inside its header, at byte ${size}; the file is truncated, fetch it again`, {
        file: source.name,
      })
    }
  }
}

const fault = ({ name }: ByteSource, offset: number, what: string) =>
  badInput('bad-gguf', `${what}; the GGUF header is broken, fetch the file again`, { file: name, offset })

const parseHeader = (bytes: Uint8Array, source: ByteSource): GgufHeader => {
  const read = cursor(bytes, source)
  if (read.magic() !== 'GGUF')
    throw badInput('bad-gguf', 'does not begin with GGUF, so it is no GGUF file', { file: source.name })
  const version = read.u32()
  if (version !== 2 && version !== 3) {
    const why = version > 0xffff ? 'has its bytes in the other order (big-endian)' : `is of version ${version}`
    throw badInput('bad-gguf', `${why}; attune reads versions 2 and 3, little-endian`, { file: source.name })
  }
  const tensors = read.count('tensors', 24, limits.tensors)
  const keys = read.count('keys of metadata', 13, limits.keys)
  const metadata = new Map<string, GgufMeta>()
  for (let i = 0; i < keys; i++) {
    const key = read.text()
    if (metadata.has(key)) read.fail(`the key ${quoted(key)} stands twice`)
    metadata.set(key, read.value(read.u32(), key))
  }
  const entries: GgufEntry[] = []
  const names = new Set<string>()
  for (let i = 0; i < tensors; i++) {
    const entry = entryOf(read)
    if (names.has(entry.name)) read.fail(`the tensor ${quoted(entry.name)} stands twice`)
    names.add(entry.name)
    entries.push(entry)
  }
  const given = metadata.get('general.alignment') ?? 32
  if (typeof given !== 'number' || given < 8 || given > 65_536 || !Number.isInteger(Math.log2(given)))
    return read.fail(`general.alignment is ${quoted(String(given))}, not a power of two from 8 to 65536`)
  return { metadata, entries, start: Math.ceil(read.at() / given) * given, alignment: given }
}

type Cursor = ReturnType<typeof cursor>

const entryOf = (read: Cursor): GgufEntry => {
  const at = read.at()
  const name = read.text()
  const rank = read.u32()
  if (rank < 1 || rank > limits.rank) read.fail(`the tensor ${quoted(name)} has ${rank} axes, not 1 to ${limits.rank}`)
  const shape = Array.from({ length: rank }, () => read.u64()).reverse()
  if (shape.some((size) => size < 1 || !Number.isSafeInteger(size)))
    read.fail(`the tensor ${quoted(name)} has the shape [${shape}]`)
  return { name, shape, type: read.u32(), offset: read.u64(), at }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** By the codes of the metadata's types: bytes of one, and how it is read. */
const numbers: Readonly<Record<number, [size: number, read: (view: DataView, at: number) => number]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  10: [8, (view, at) => Number(view.getBigUint64(at, true))],
  11: [8, (view, at) => Number(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
}
const [BOOL, STRING, ARRAY] = [7, 8, 9]

const cursor = (bytes: Uint8Array, source: ByteSource) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const fail = (what: string): never => {
    throw fault(source, at, what)
  }
  const take = (size: number): number => {
    if (size > bytes.length - at) throw new MoreNeeded()
    at += size
    return at - size
  }
  const u32 = () => view.getUint32(take(4), true)
  const u64 = () => Number(view.getBigUint64(take(8), true))
  /** A number of things that take `each` bytes at least. */
  const count = (what: string, each: number, most: number): number => {
    const found = u64()
    if (found > most) fail(`it claims ${found} ${what}, more than the ${most} that a file may have`)
    if (found * each > source.size - at) fail(`it claims ${found} ${what}, for which the file is too short`)
    return found
  }
  const text = (): string => {
    const size = count('bytes of a text', 1, limits.text)
    const from = take(size)
    try {
      return utf8.decode(bytes.subarray(from, from + size))
    } catch {
      return fail('a text is not UTF-8')
    }
  }
  const flag = (key: string): boolean => {
    const byte = bytes[take(1)]
    return byte < 2 ? byte === 1 : fail(`${quoted(key)} is ${byte} where true or false is due`)
  }
  const list = (key: string): GgufMeta => {
    const type = u32()
    const of = `values in ${quoted(key)}`
    if (type === STRING) return Array.from({ length: count(of, 8, limits.items) }, text)
    if (type === BOOL) return Array.from({ length: count(of, 1, limits.items) }, () => flag(key))
    if (!Object.hasOwn(numbers, type)) return fail(`${quoted(key)} is a list of the type ${type}`)
    const [size, read] = numbers[type]
    const values = new Float64Array(count(of, size, limits.items))
    const from = take(size * values.length)
    for (let i = 0; i < values.length; i++) values[i] = read(view, from + i * size)
    return values
  }
  const value = (type: number, key: string): GgufMeta => {
    if (type === STRING) return text()
    if (type === BOOL) return flag(key)
    if (type === ARRAY) return list(key)
    if (!Object.hasOwn(numbers, type)) return fail(`${quoted(key)} is of the type ${type}`)
    const [size, read] = numbers[type]
    return read(view, take(size))
  }
  const magic = () => String.fromCharCode(...bytes.subarray(take(4), 4))
  return { fail, u32, u64, count, text, value, magic, at: () => at }
}

/** A number of the metadata; undefined where the key is absent. Throws a Fault 'bad-gguf' for a value of another kind. */
export const metaNumber = (metadata: ReadonlyMap<string, GgufMeta>, key: string, file: string): number | undefined => {
  const value = metadata.get(key)
  if (value === undefined || typeof value === 'number') return value
  throw wrongKind(key, 'a number', file)
}

/** A text of the metadata. */
export const metaText = (metadata: ReadonlyMap<string, GgufMeta>, key: string, file: string): string | undefined => {
  const value = metadata.get(key)
  if (value === undefined || typeof value === 'string') return value
  throw wrongKind(key, 'a text', file)
}

/** true or false of the metadata. */
export const metaFlag = (metadata: ReadonlyMap<string, GgufMeta>, key: string, file: string): boolean | undefined => {
  const value = metadata.get(key)
  if (value === undefined || typeof value === 'boolean') return value
  throw wrongKind(key, 'true or false', file)
}

/** A list of texts of the metadata. */
export const metaTexts = (
  metadata: ReadonlyMap<string, GgufMeta>,
  key: string,
  file: string,
): readonly string[] | undefined => {
  const value = metadata.get(key)
  if (value === undefined) return undefined
  if (Array.isArray(value) && (value.length === 0 || typeof value[0] === 'string')) return value as readonly string[]
  throw wrongKind(key, 'a list of texts', file)
}

/** A list of numbers of the metadata. */
export const metaNumbers = (
  metadata: ReadonlyMap<string, GgufMeta>,
  key: string,
  file: string,
): Float64Array | undefined => {
  const value = metadata.get(key)
  if (value === undefined || value instanceof Float64Array) return value
  throw wrongKind(key, 'a list of numbers', file)
}

const wrongKind = (key: string, due: string, file: string) =>
  badInput('bad-gguf', `${quoted(key)} in its metadata should be ${due}; fetch the file again`, { file })
