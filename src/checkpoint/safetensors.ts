/**
 * Reads safetensors: 8 bytes of header length, a JSON header, then the bytes of the tensors without gaps. Everything
 * but tensor data is checked when a file is opened, in BigInt, before memory is allocated for it. It is stricter than
 * the reference library, which accepts duplicate keys and white space before the header.
 * https://github.com/huggingface/safetensors#format
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { toFloats } from './convert.ts'
import { type HeaderEntry, parseHeader } from './safetensorsHeader.ts'
import { type Dtype, dtypeBytes, partName, type StoredTensor, type TensorFile } from './stored.ts'

/** The reference library's own limit. */
const HEADER_LIMIT = 100_000_000

/**
 * Opens a safetensors file; tensors are read when asked for. Faults: truncated, header-too-long, bad-header,
 * duplicate-key, bad-offsets, out-of-bounds, size-mismatch, overlap, hole.
 */
export const openSafetensors = async (source: ByteSource): Promise<TensorFile> => {
  const file = source.name
  const length = await headerLength(source)
  const text = decode(await source.read(8, 8 + length), file)
  const { metadata, entries } = parseHeader(text, file)
  const dataStart = 8 + length
  checkLayout(entries, BigInt(source.size - dataStart), file, dataStart)
  return { metadata, tensors: new Map(entries.map((entry) => [entry.name, stored(source, entry, dataStart)])) }
}

const headerLength = async (source: ByteSource): Promise<number> => {
  const file = source.name
  if (source.size < 8)
    throw badInput('truncated', `${source.size} bytes are no safetensors file; fetch it again`, { file })
  const head = await source.read(0, 8)
  refusePointer(head, file)
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true)
  if (length > HEADER_LIMIT)
    throw badInput('header-too-long', `a header of ${length} bytes; this is not a safetensors file`, {
      file,
      offset: 0,
    })
  if (8 + Number(length) > source.size)
    throw badInput('truncated', `the header needs ${length} bytes, the file has ${source.size}; fetch it again`, {
      file,
    })
  return Number(length)
}

/** Refuses a git-lfs pointer: a clone without git-lfs has small text files in place of the weights. */
export const refusePointer = (head: Uint8Array, file: string) => {
  if (String.fromCharCode(...head.subarray(0, 8)) === 'version ')
    throw badInput('lfs-pointer', 'is a git-lfs pointer, not the weights; run "git lfs pull" in its folder', { file })
}

const decode = (bytes: Uint8Array, file: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw badInput('bad-header', 'the safetensors header is not UTF-8; fetch the file again', { file, offset: 8 })
  }
}

/** Checks that each tensor has the size of its shape, and that together they cover the data exactly once. */
const checkLayout = (entries: HeaderEntry[], dataLength: bigint, file: string, dataStart: number) => {
  const fail = (code: string, what: string, at: bigint) => {
    throw badInput(code, `${what}; the file is damaged or truncated, fetch it again`, {
      file,
      offset: dataStart + Number(at),
    })
  }
  let covered = 0n
  for (const { name, dtype, shape, begin, end } of entries.toSorted(byPlace)) {
    const tensor = `tensor ${quoted(name)}`
    if (begin > end) fail('bad-offsets', `${tensor} ends before it begins`, 0n)
    if (end > dataLength) fail('out-of-bounds', `${tensor} ends at ${end} of ${dataLength} data bytes`, begin)
    const needed = elements(shape) * BigInt(dtypeBytes[dtype])
    if (needed !== end - begin)
      fail('size-mismatch', `${tensor} has ${end - begin} bytes, its shape another size`, begin)
    if (begin < covered) fail('overlap', `${tensor} overlaps the one before`, begin)
    if (begin > covered) fail('hole', `bytes before ${tensor} belong to no tensor`, covered)
    covered = end
  }
  if (covered < dataLength) fail('hole', `${dataLength - covered} bytes after the last tensor belong to none`, covered)
}

const byPlace = (a: HeaderEntry, b: HeaderEntry) => Number(a.begin - b.begin) || Number(a.end - b.end)

/** The product of the sizes. It stops growing above 2^64, so that a long shape cannot make a huge number. */
const elements = (shape: bigint[]): bigint => {
  let product = 1n
  for (const size of shape) if ((product *= size) >> 64n) return product
  return product
}

const stored = (source: ByteSource, entry: HeaderEntry, dataStart: number): StoredTensor => {
  const { name, dtype, shape } = entry
  return storedAt(
    source,
    name,
    dtype,
    shape.map(Number),
    dataStart + Number(entry.begin),
    dataStart + Number(entry.end),
  )
}

const storedAt = (
  source: ByteSource,
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  from: number,
  to: number,
): StoredTensor => {
  const bytes = () => source.read(from, to)
  const [count, ...rest] = shape
  const size = (to - from) / count
  return {
    name,
    dtype,
    shape,
    bytes,
    floats: async () => toFloats(dtype, await bytes(), source.name, name),
    part: (i) => storedAt(source, partName(name, i), dtype, rest, from + i * size, from + (i + 1) * size),
  }
}
