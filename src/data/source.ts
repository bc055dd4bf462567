/** Rows by number, whatever holds them: what batching, shuffling and evaluation need of a data set. */
import type { Where } from '../util/fault.ts'
import type { Row } from './rows.ts'

/** Any row can be read at any time; several reads may be under way. */
export type RowSource<R = Row> = {
  readonly length: number
  /** @throws RangeError outside 0 to length - 1 */
  row(i: number): Promise<R>
  /** Where a row stands in its file, for messages; without it rows are told by their number. */
  where?(i: number): Where
}
