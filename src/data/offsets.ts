/**
 * Where rows begin, 8 bytes a row: offset * 64 + the row's number within its record (one record may give several rows),
 * in blocks, so that growing copies nothing. Exact up to files of 2^47 bytes.
 */
import { assert } from '../util/fault.ts'

const BLOCK = 2 ** 16
const SUBS = 64

export const offsetIndex = () => {
  const blocks: Float64Array[] = []
  let length = 0
  return {
    get length() {
      return length
    },
    push: (offset: number, sub = 0) => {
      assert(sub < SUBS, `a record gave more than ${SUBS} rows`)
      if (length % BLOCK === 0) blocks.push(new Float64Array(BLOCK))
      blocks[Math.floor(length / BLOCK)][length % BLOCK] = offset * SUBS + sub
      length++
    },
    at: (i: number) => {
      const packed = blocks[Math.floor(i / BLOCK)][i % BLOCK]
      return { offset: Math.floor(packed / SUBS), sub: packed % SUBS }
    },
  }
}
