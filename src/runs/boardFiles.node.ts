/**
 * Reads what TensorBoard's writers left: the scalars of `events.out.tfevents.*`, as PyTorch, TensorFlow, JAX and attune write
 * them. Images, histograms and texts are passed over. A torn last record is one that is being written: it is left out.
 * Sources: tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { fieldReader } from '../util/protoReader.ts'
import { checksum, headBytes, tailBytes } from './tfRecord.ts'

/** Numbers by tag, in the order in which they were written. */
export type BoardScalars = {
  points: ReadonlyMap<string, readonly (readonly [step: number, value: number])[]>
  /** What is wrong with a file, where something is; the points before that are there. */
  problem?: string
}

/** Beyond these, a folder of files is read no further. */
const mostPoints = 5_000_000
const mostTags = 20_000
/** Records are some hundred bytes; those with images that are larger than this are not looked into. */
const mostRecordBytes = 2 ** 24
const chunkBytes = 2 ** 20

/** @param paths the files of one folder in the order of their names   @param limit points at most */
export const readBoardFiles = async (paths: readonly string[], limit = mostPoints): Promise<BoardScalars> => {
  const points = new Map<string, [number, number][]>()
  const plugins = new Map<string, string>()
  let count = 0
  const take = (event: BoardEvent) => {
    // A writer that goes on after a break says where: what was written of later steps does not count any more
    if (event.restart)
      for (const [tag, all] of points) {
        const kept = all.filter(([step]) => step < event.step)
        count -= all.length - kept.length
        points.set(tag, kept)
      }
    for (const { tag, value, plugin } of event.values) {
      if (plugin !== undefined) plugins.set(tag, plugin)
      if (value === undefined || !Number.isFinite(value) || (plugins.get(tag) ?? 'scalars') !== 'scalars') continue
      if (!points.has(tag)) {
        if (points.size >= mostTags) throw new TooMuch(`there are more than ${mostTags} curves; the first are shown`)
        points.set(tag, [])
      }
      if (++count > limit) throw new TooMuch(`there are more than ${limit} points; the first are shown`)
      points.get(tag)!.push([event.step, value])
    }
  }
  let problem: string | undefined
  try {
    for (const path of paths) problem ??= await readRecords(path, (data) => take(eventIn(data)))
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error
    problem = error.message
  }
  return { points: new Map([...points].filter(([, all]) => all.length > 0)), problem }
}

class TooMuch extends Error {}

/** Hands over the data of each whole record. @returns what is wrong with the file, where something is */
const readRecords = async (path: string, take: (data: Uint8Array) => void): Promise<string | undefined> => {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return 'a file cannot be read'
  try {
    const { size } = await file.stat()
    let at = 0
    let chunk: Uint8Array = new Uint8Array(0)
    let chunkAt = 0
    /** Bytes of the file, from the chunk in memory where they are there. */
    const bytes = async (start: number, length: number): Promise<Uint8Array> => {
      if (start < chunkAt || start + length > chunkAt + chunk.length) {
        chunk = await readUpTo(file, start, Math.min(Math.max(length, chunkBytes), size - start))
        chunkAt = start
      }
      return chunk.subarray(start - chunkAt, start - chunkAt + length)
    }
    while (at + headBytes <= size) {
      const head = await bytes(at, headBytes)
      if (head.length < headBytes) return undefined
      const view = new DataView(head.buffer, head.byteOffset, headBytes)
      if (view.getUint32(8, true) !== checksum(head.subarray(0, 8))) return damaged(path, at)
      const length = Number(view.getBigUint64(0, true))
      const next = at + headBytes + length + tailBytes
      if (next > size) return undefined
      if (length <= mostRecordBytes) {
        const body = await bytes(at + headBytes, length + tailBytes)
        if (body.length < length + tailBytes) return undefined
        const data = body.subarray(0, length)
        const sum = new DataView(body.buffer, body.byteOffset + length, tailBytes).getUint32(0, true)
        if (sum !== checksum(data)) return damaged(path, at)
        try {
          take(data)
        } catch (error) {
          if (!(error instanceof RangeError)) throw error
          return damaged(path, at)
        }
      }
      at = next
    }
    return undefined
  } finally {
    await file.close()
  }
}

const damaged = (path: string, at: number) => `${path.slice(path.lastIndexOf('/') + 1)} is damaged from byte ${at} on`

const readUpTo = async (file: FileHandle, start: number, length: number): Promise<Uint8Array> => {
  const bytes = new Uint8Array(length)
  let there = 0
  while (there < length) {
    const { bytesRead } = await file.read(bytes, there, length - there, start + there)
    if (bytesRead === 0) break
    there += bytesRead
  }
  return bytes.subarray(0, there)
}

type BoardValue = { tag: string; value?: number; plugin?: string }
type BoardEvent = { step: number; restart: boolean; values: BoardValue[] }

const text = new TextDecoder()
const sessionStart = 1

/** Event: step 2, summary 5, session_log 7. Summary: value 1. SessionLog: status 1. */
const eventIn = (data: Uint8Array): BoardEvent => {
  const event: BoardEvent = { step: 0, restart: false, values: [] }
  const fields = fieldReader(data)
  while (fields.next()) {
    if (fields.field === 2) event.step = fields.varint()
    else if (fields.field === 5) {
      const summary = fieldReader(fields.bytes())
      while (summary.next()) if (summary.field === 1) event.values.push(valueIn(summary.bytes()))
    } else if (fields.field === 7) {
      const session = fieldReader(fields.bytes())
      while (session.next()) if (session.field === 1) event.restart = session.varint() === sessionStart
    }
  }
  return event
}

/** Summary.Value: tag 1, simple_value 2, tensor 8, metadata 9. */
const valueIn = (data: Uint8Array): BoardValue => {
  const value: BoardValue = { tag: '' }
  const fields = fieldReader(data)
  while (fields.next()) {
    if (fields.field === 1) value.tag = text.decode(fields.bytes())
    else if (fields.field === 2) value.value = fields.float()
    else if (fields.field === 8) value.value = scalarTensor(fields.bytes())
    else if (fields.field === 9) value.plugin = pluginIn(fields.bytes())
  }
  return value
}

/** SummaryMetadata: plugin_data 1. PluginData: plugin_name 1. */
const pluginIn = (data: Uint8Array): string | undefined => {
  const metadata = fieldReader(data)
  while (metadata.next()) {
    if (metadata.field !== 1) continue
    const plugin = fieldReader(metadata.bytes())
    while (plugin.next()) if (plugin.field === 1) return text.decode(plugin.bytes())
  }
  return undefined
}

/**
 * The number in a tensor without axes; undefined for others. TensorProto: dtype 1, tensor_shape 2, tensor_content 4, and the
 * values of each type in a list of its own, packed or not.
 */
const scalarTensor = (data: Uint8Array): number | undefined => {
  let type = 0
  let axes = 0
  let content: Uint8Array | undefined
  let listed: number | undefined
  const fields = fieldReader(data)
  while (fields.next()) {
    if (fields.field === 1) type = fields.varint()
    else if (fields.field === 2) {
      const shape = fieldReader(fields.bytes())
      while (shape.next()) if (shape.field === 2 || shape.field === 3) axes++
    } else if (fields.field === 4) content = fields.bytes()
    else if (fields.field in listKinds) listed = firstOf(listKinds[fields.field], fields)
  }
  if (axes > 0) return undefined
  if (listed !== undefined) return type === half || type === bfloat16 ? floatOf16(listed, type) : listed
  return content && numberIn(content, type)
}

type ListKind = 'float' | 'double' | 'varint'
const listKinds: Readonly<Record<number, ListKind>> = {
  5: 'float',
  6: 'double',
  7: 'varint',
  10: 'varint',
  11: 'varint',
  13: 'varint',
}

const firstOf = (kind: ListKind, fields: ReturnType<typeof fieldReader>): number | undefined => {
  if (fields.wireType !== 2) return fields[kind]()
  const packed = fields.bytes()
  if (packed.length === 0) return undefined
  // A packed list is the values without their keys; one key before it makes the first one a field
  const wireType = kind === 'float' ? 5 : kind === 'double' ? 1 : 0
  const first = fieldReader(Uint8Array.from([(1 << 3) | wireType, ...packed.subarray(0, 10)]))
  first.next()
  return first[kind]()
}

/** DataType of framework/types.proto. */
const half = 19
const bfloat16 = 14

const numberIn = (content: Uint8Array, type: number): number | undefined => {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  switch (type) {
    case 1:
      return view.getFloat32(0, true)
    case 2:
      return view.getFloat64(0, true)
    case 3:
      return view.getInt32(0, true)
    case 4:
    case 10:
      return view.getUint8(0)
    case 5:
      return view.getInt16(0, true)
    case 6:
      return view.getInt8(0)
    case 9:
      return Number(view.getBigInt64(0, true))
    case half:
    case bfloat16:
      return floatOf16(view.getUint16(0, true), type)
    default:
      return undefined
  }
}

const floatOf16 = (bits: number, type: number): number => {
  if (type === bfloat16) return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}
