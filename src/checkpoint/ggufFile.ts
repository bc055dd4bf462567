/**
 * Opens GGUF files: checks the header against the bytes that are there, and gives the tensors, which stay on disk until they
 * are read. Blocks of llama.cpp's types become fp32 then.
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { type GgufEntry, type GgufMeta, metaNumber, readGgufHeader } from '../util/ggufHeader.ts'
import { quoted } from '../util/quote.ts'
import { numel } from '../util/shape.ts'
import { dequantize, isPlain } from './ggufDequantize.ts'
import { type GgufBlockType, ggufBlockTypes, ggufTypeName, ggufTypeOf } from './ggufTypes.ts'
import { partName, type StoredTensor } from './stored.ts'

export type GgufContents = { metadata: Map<string, GgufMeta>; tensors: Map<string, StoredTensor> }

/** Throws Faults 'bad-gguf', 'cut-file', and 'gguf-type' for a type that attune does not read. */
export const openGguf = async (source: ByteSource): Promise<GgufContents> => {
  const { metadata, entries, start, alignment } = await readGgufHeader(source)
  refuseParts(metadata, source.name)
  const tensors = new Map<string, StoredTensor>()
  let due = 0
  for (const entry of entries) {
    const { name, offset } = entry
    const type = typeOf(entry, source)
    const size = sizeOf(entry, type, source)
    if (offset !== due) throw fault(source, entry, `has the offset ${offset} where ${due} is due`)
    const end = start + offset + size
    if (end > source.size)
      throw badInput(
        'cut-file',
        `the tensor ${quoted(name)} ends at byte ${end}, and the file at ${source.size}; it is truncated, fetch it again`,
        { file: source.name },
      )
    tensors.set(name, stored(source, entry, type, start + offset, end))
    due = offset + Math.ceil(size / alignment) * alignment
  }
  return { metadata, tensors }
}

const fault = ({ name: file }: ByteSource, { name, at }: GgufEntry, what: string) =>
  badInput('bad-gguf', `the tensor ${quoted(name)} ${what}; the GGUF header is broken, fetch the file again`, {
    file,
    offset: at,
  })

const typeOf = ({ name, type }: GgufEntry, source: ByteSource): GgufBlockType => {
  const found = ggufTypeOf(type)
  if (found) return found
  const known = Object.keys(ggufBlockTypes).join(', ')
  throw badInput(
    'gguf-type',
    `the tensor ${quoted(name)} is of the type ${ggufTypeName(type)}, which attune does not read; take a file of ${known}`,
    { file: source.name },
  )
}

const sizeOf = (entry: GgufEntry, type: GgufBlockType, source: ByteSource): number => {
  const { block, bytes } = ggufBlockTypes[type]
  const elements = numel(entry.shape)
  if (!Number.isSafeInteger(elements * bytes)) throw fault(source, entry, `has the shape [${entry.shape}]`)
  if (entry.shape.at(-1)! % block)
    throw fault(source, entry, `has rows of ${entry.shape.at(-1)}, and ${type} has blocks of ${block}`)
  return (elements / block) * bytes
}

const stored = (source: ByteSource, tensor: GgufEntry, type: GgufBlockType, from: number, to: number): StoredTensor => {
  const { name, shape } = tensor
  const floats = async () => dequantize(type, await source.read(from, to), source.name, name)
  // rows are whole blocks, so a part of the first axis is a range of bytes
  const part = (index: number) => {
    const [count, ...rest] = shape
    const size = (to - from) / count
    const entry = { ...tensor, name: partName(name, index), shape: rest }
    return stored(source, entry, type, from + index * size, from + (index + 1) * size)
  }
  if (isPlain(type)) return { name, dtype: type, shape, floats, bytes: () => source.read(from, to), part }
  const bytes = async () => {
    const { buffer, byteOffset, byteLength } = await floats()
    return new Uint8Array(buffer, byteOffset, byteLength)
  }
  return { name, dtype: 'F32', blocks: type, shape, floats, bytes, part }
}

const refuseParts = (metadata: ReadonlyMap<string, GgufMeta>, file: string) => {
  const count = metaNumber(metadata, 'split.count', file) ?? 0
  if (count > 1)
    throw badInput(
      'gguf-part',
      `is one of ${count} parts of a model, which attune reads as one file; join them with llama-gguf-split --merge`,
      { file },
    )
}
