/**
 * A pool of buffers that are needed again in every step. Sizes are rounded up to eighths of a power of two (by 4 MiB
 * at most), so that steps of slightly different lengths share buffers. Idle buffers never raise the total above the
 * largest that was in use at one time.
 */
import type { DType } from '../tensor/primitives.ts'
import type { Values } from './backend.ts'

const arrayType = { f32: Float32Array, i64: BigInt64Array, bool: Uint8Array, u8: Uint8Array, s8: Int8Array } as const

export const makePool = () => {
  let idle: Values[] = []
  let idleBytes = 0
  let usedBytes = 0
  let peakBytes = 0

  const evict = (needed: number) => {
    while (idle.length && usedBytes + idleBytes + needed > peakBytes) idleBytes -= idle.shift()!.byteLength
  }
  const reuse = (dtype: DType, capacity: number): Values | undefined => {
    const at = idle.findLastIndex((array) => array.length === capacity && array instanceof arrayType[dtype])
    if (at < 0) return undefined
    const [array] = idle.splice(at, 1)
    idleBytes -= array.byteLength
    return array
  }
  const create = (dtype: DType, capacity: number): Values => {
    const needed = capacity * arrayType[dtype].BYTES_PER_ELEMENT
    peakBytes = Math.max(peakBytes, usedBytes + needed)
    evict(needed)
    return new arrayType[dtype](capacity)
  }
  return {
    /** Contents are arbitrary. */
    take(dtype: DType, length: number): Values {
      const capacity = rounded(length)
      const array = reuse(dtype, capacity) ?? create(dtype, capacity)
      usedBytes += array.byteLength
      return array.subarray(0, length)
    },
    /** Takes back what `take` gave. */
    give(values: Values) {
      const type = values.constructor as new (buffer: ArrayBufferLike) => Values
      const whole = new type(values.buffer)
      usedBytes -= whole.byteLength
      idleBytes += whole.byteLength
      idle = [...idle, whole]
    },
  }
}

const rounded = (length: number): number => {
  const step = Math.min(2 ** 20, 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, length))) - 3))
  return Math.max(1, Math.ceil(length / step) * step)
}
