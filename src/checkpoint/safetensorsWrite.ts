/**
 * Writes safetensors as a stream: the header first, then one tensor at a time, so that a model is never in memory
 * twice. Tensors are in the order of the reference library: widest elements first, then by name.
 */
import { assert, runFailure } from '../util/fault.ts'
import { countParameters, numel } from '../util/shape.ts'
import { fromFloats, isFloat, overflowOf } from './convert.ts'
import { type Dtype, dtypeBytes } from './stored.ts'

export type NewTensor = {
  name: string
  dtype: Dtype
  shape: readonly number[]
  /** fp32 values, written in `dtype` (a float type, rounded to nearest even), or its bytes as they are. */
  data: () => Float32Array | Uint8Array | Promise<Float32Array | Uint8Array>
}

/** Bytes of a tensor in the file. */
export const storedBytes = ({ dtype, shape }: { dtype: Dtype; shape: readonly number[] }): number =>
  numel(shape) * dtypeBytes[dtype]

/** The file as chunks, for `writeWhole`. By default the metadata has format "pt", which transformers requires. */
export async function* safetensorsChunks(
  tensors: readonly NewTensor[],
  metadata: Record<string, string> = { format: 'pt' },
): AsyncGenerator<Uint8Array> {
  const order = tensors.toSorted((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : 1))
  yield headerBytes(order, metadata)
  for (const tensor of order) yield* dataChunks(tensor)
}

const headerBytes = (tensors: readonly NewTensor[], metadata: Record<string, string>): Uint8Array => {
  let at = 0
  // fromEntries makes "__proto__" an ordinary key
  const infos = tensors.map((tensor): [string, object] => {
    const { name, dtype, shape } = tensor
    return [name, { dtype, shape, data_offsets: [at, (at += storedBytes(tensor))] }]
  })
  assert(new Set(infos.map(([name]) => name)).size === infos.length, 'two tensors to be written have one name')
  const header = Object.fromEntries([['__metadata__', metadata], ...infos])
  const text = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true)
  bytes.set(text, 8)
  return bytes
}

/** fp32 is converted in slices, so that a whole tensor is not held a second time in the other type. */
const SLICE = 1 << 20

async function* dataChunks(tensor: NewTensor): AsyncGenerator<Uint8Array> {
  const data = await tensor.data()
  const elements = storedBytes(tensor) / dtypeBytes[tensor.dtype]
  const right = data instanceof Float32Array ? isFloat(tensor.dtype) && data.length === elements : undefined
  assert(
    right ?? data.byteLength === storedBytes(tensor),
    `data of ${tensor.name} is not ${tensor.dtype} [${tensor.shape}]`,
  )
  if (data instanceof Uint8Array) yield data
  else
    for (let at = 0; at < data.length; at += SLICE) {
      const part = data.subarray(at, at + SLICE)
      refuseOverflow(tensor.name, tensor.dtype, part)
      yield fromFloats(tensor.dtype, part)
    }
}

/** Throws a Fault 'overflow' (exit 1) where a number would become infinite. */
const refuseOverflow = (name: string, dtype: Dtype, values: Float32Array) => {
  const found = overflowOf(dtype, values)
  if (found !== undefined)
    throw runFailure(
      'overflow',
      `${name} holds ${found}, and float16 ends at 65504; save in bfloat16 or float32 (--save-dtype; a run goes on with --resume)`,
    )
}

export type Shards = { files: { name: string; tensors: NewTensor[] }[]; index?: string }

/**
 * Files of at most `limit` bytes each, filled in the order given, with the index that transformers reads; one file
 * without an index where everything fits. A tensor above the limit has a file of its own.
 * @param stem 'model' -> model.safetensors, or model-00001-of-00002.safetensors and model.safetensors.index.json
 */
export const shardsOf = (tensors: readonly NewTensor[], stem: string, limit = 5e9): Shards => {
  const groups: NewTensor[][] = [[]]
  let used = 0
  for (const tensor of tensors) {
    if (used > 0 && used + storedBytes(tensor) > limit) {
      groups.push([])
      used = 0
    }
    groups.at(-1)!.push(tensor)
    used += storedBytes(tensor)
  }
  if (groups.length === 1) return { files: [{ name: `${stem}.safetensors`, tensors: groups[0] }] }
  const number = (n: number) => String(n).padStart(5, '0')
  const files = groups.map((group, i) => ({
    name: `${stem}-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
    tensors: group,
  }))
  return { files, index: indexText(files) }
}

const indexText = (files: Shards['files']): string => {
  const all = files.flatMap((file) => file.tensors)
  const metadata = {
    total_parameters: countParameters(all),
    total_size: all.reduce((sum, tensor) => sum + storedBytes(tensor), 0),
  }
  const places = files.flatMap((file) => file.tensors.map((tensor): [string, string] => [tensor.name, file.name]))
  const weight_map = Object.fromEntries(places.sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ metadata, weight_map }, null, 2)}\n`
}
