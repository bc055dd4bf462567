/**
 * What every format of weights files gives: named tensors that stay on disk until they are read. Element types have the
 * names of safetensors; bytes are little-endian, as on every machine that attune runs on.
 */

/** Bytes of one element. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const

export type Dtype = keyof typeof dtypeBytes

export type StoredTensor = {
  readonly name: string
  readonly dtype: Dtype
  /** The type of its blocks where the file is GGUF and stores blocks, such as Q4_K; `dtype` is then F32. */
  readonly blocks?: string
  readonly shape: readonly number[]
  /** The elements in row-major order, as stored. May be a view of the file's memory: not to be written to. */
  bytes(): Promise<Uint8Array>
  /** The same as fp32 (F16 and BF16 exactly, F64 and integers rounded). Throws a Fault for 8-bit floats. */
  floats(): Promise<Float32Array>
  /** What stands at this index of the first axis, where that can be read by itself; see `partOf`. */
  part?(index: number): StoredTensor
}

/** What stands at this index of a tensor's first axis. */
export const partOf = (tensor: StoredTensor, index: number): StoredTensor => {
  if (tensor.part) return tensor.part(index)
  const [count, ...shape] = tensor.shape
  return lazyTensor(partName(tensor.name, index), shape, async () => {
    const values = await tensor.floats()
    const size = values.length / count
    return values.slice(index * size, (index + 1) * size)
  })
}

export const partName = (name: string, index: number) => `${name}[${index}]`

/** A weights file that has been checked as a whole; only tensor data is still unread. */
export type TensorFile = { tensors: Map<string, StoredTensor>; metadata: Map<string, string> }

/** An fp32 tensor that is made when it is read. */
export const lazyTensor = (
  name: string,
  shape: readonly number[],
  make: () => Float32Array | Promise<Float32Array>,
): StoredTensor => ({
  name,
  dtype: 'F32',
  shape,
  floats: async () => make(),
  bytes: async () => {
    const { buffer, byteOffset, byteLength } = await make()
    return new Uint8Array(buffer, byteOffset, byteLength)
  },
})
