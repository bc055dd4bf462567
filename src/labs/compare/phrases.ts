/** Numbers of a comparison as its page and its sentences write them. */

import type { Interval } from '../../statistics/intervals.ts'
import { percent } from '../../util/format.ts'

const bare = (x: number) => (100 * x).toFixed(0)
/** 54 % (52 to 57) */
export const rateText = ({ value, low, high }: Interval) => `${percent(value)} (${bare(low)} to ${bare(high)})`

export const number = (x: number) => x.toFixed(Math.abs(x) < 10 ? 2 : 0)

/** Of a single prompt there is no interval. */
export const spanText = ({ value, low, high }: Interval) => {
  if (!Number.isFinite(value)) return '–'
  return Number.isFinite(low) && Number.isFinite(high)
    ? `${number(value)} (${number(low)} to ${number(high)})`
    : number(value)
}

/** a, b and c */
export const listed = (items: readonly string[]) =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
