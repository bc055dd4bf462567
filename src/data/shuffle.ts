/**
 * The order in which a run visits its rows. Each epoch is a permutation of all rows that depends on (seed, epoch)
 * alone, so a run is resumed by its position, a single number. Needs 4 bytes a row for the current epoch.
 */
import { assert } from '../util/fault.ts'
import { permutation, rng } from '../util/rng.ts'

/** The stream of random numbers that orders rows ("rows" in ASCII); others may use the same seed. */
const STREAM = 0x726f7773

/**
 * @param length rows in the data set
 * @param options seed; shuffle false keeps the files' order in each epoch
 * @returns the row to visit at a position, 0 for the first row of the run; position / length is the epoch
 */
export const rowOrder = (length: number, { seed, shuffle = true }: { seed: number; shuffle?: boolean }) => {
  assert(length > 0, 'an order of no rows')
  let present = -1
  let order = new Uint32Array()
  return (position: number): number => {
    const place = position % length
    if (!shuffle) return place
    const epoch = Math.floor(position / length)
    if (epoch !== present) {
      order = permutation(length, rng(seed, STREAM, epoch)) as Uint32Array<ArrayBuffer>
      present = epoch
    }
    return order[place]
  }
}
