/**
 * Indexes of rows, 8 bytes a row, in blocks so that growing copies nothing. An offset is stored as offset * 64 + the
 * row's number within its record (one record may give several rows), which is exact for files of up to 2^47 bytes.
 */
import { assert } from '../util/fault.ts'

const BLOCK = 2 ** 16
const SUBS = 64

/** Where rows stand in their file, 8 bytes a row: the number of the record, and its line where the file has lines. */
export const placeIndex = () => {
  const blocks: Uint32Array[] = []
  let length = 0
  return {
    push: (row: number, line = 0) => {
      if (length % BLOCK === 0) blocks.push(new Uint32Array(2 * BLOCK))
      blocks[Math.floor(length / BLOCK)].set([row, line], 2 * (length % BLOCK))
      length++
    },
    at: (i: number): { row: number; line?: number } => {
      const block = blocks[Math.floor(i / BLOCK)]
      const at = 2 * (i % BLOCK)
      return { row: block[at], line: block[at + 1] || undefined }
    },
  }
}

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
