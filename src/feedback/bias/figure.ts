/** A measured figure with its interval of 95 % and what it was counted over. */
import { wilson } from '../../statistics/intervals.ts'
import { bootstrapInterval, type Draws, makeDraws } from '../../statistics/resampling.ts'
import { sum } from '../../statistics/summary.ts'

export type Figure = { value: number; low: number; high: number; n: number }

/** A value and the prompt it belongs to: values of one prompt are not independent. */
export type Counted = { item: string; value: number }

/** The same resamples for every figure. */
const draws: Draws = makeDraws(0, { resamples: 1000 })

/**
 * The mean of values in [low, high]. Of shares whose prompts count once it is Wilson's interval, of all others the bootstrap over
 * prompts; where all values are alike, Wilson's again, on the scale of the bounds, since resamples then have no spread.
 * @returns undefined of no values
 */
export const meanFigure = (
  counted: readonly Counted[],
  { low = 0, high = 1 }: { low?: number; high?: number } = {},
): Figure | undefined => {
  const n = counted.length
  if (!n) return undefined
  const items = groupsOf(counted)
  const onScale = (share: number) => low + (high - low) * share
  const total = sum(counted.map(({ value }) => (value - low) / (high - low)))
  const isShare = counted.every(({ value }) => value === low || value === high)
  const alike = counted.every(({ value }) => value === counted[0].value)
  if (alike || (isShare && items.length === n)) {
    // Alike values of one prompt are one observation
    const found = wilson((total / n) * items.length, items.length)
    return { value: onScale(total / n), low: onScale(found.low), high: onScale(found.high), n }
  }
  const { low: from, high: to } = bootstrapInterval(
    items.length,
    (rows) => {
      let [values, count] = [0, 0]
      for (const row of rows) {
        values += items[row].sum
        count += items[row].count
      }
      return values / count
    },
    draws,
  )
  const clamp = (x: number) => Math.min(high, Math.max(low, x))
  return { value: onScale(total / n), low: clamp(from), high: clamp(to), n }
}

/** The difference of two means over the same prompts, by the bootstrap over prompts; undefined where one has no values. */
export const differenceFigure = (a: readonly Counted[], b: readonly Counted[]): Figure | undefined => {
  if (!a.length || !b.length) return undefined
  const [ofA, ofB] = [a, b].map((counted) => new Map(groupsOf(counted).map((group) => [group.item, group])))
  const items = [...new Set([...ofA.keys(), ...ofB.keys()])]
  const none = { sum: 0, count: 0 }
  const { value, low, high } = bootstrapInterval(
    items.length,
    (rows) => {
      const [x, y] = [ofA, ofB].map((groups) => {
        let [values, count] = [0, 0]
        for (const row of rows) {
          const group = groups.get(items[row]) ?? none
          values += group.sum
          count += group.count
        }
        return values / count
      })
      return x - y
    },
    draws,
  )
  return { value, low: Math.max(-1, low), high: Math.min(1, high), n: Math.min(a.length, b.length) }
}

const groupsOf = (counted: readonly Counted[]): { item: string; sum: number; count: number }[] => {
  const groups = new Map<string, { item: string; sum: number; count: number }>()
  for (const { item, value } of counted) {
    const group = groups.get(item)
    if (group) {
      group.sum += value
      group.count++
    } else groups.set(item, { item, sum: value, count: 1 })
  }
  return [...groups.values()]
}

/** Keys `name`, `name_low`, `name_high` and `name_n` of each figure; null where a value is not finite. */
export const flattened = (figures: Readonly<Record<string, Figure | undefined>>): Record<string, number | null> => {
  const finite = (x: number) => (Number.isFinite(x) ? x : null)
  return Object.fromEntries(
    Object.entries(figures).flatMap(([name, figure]) =>
      figure
        ? [
            [name, finite(figure.value)],
            [`${name}_low`, finite(figure.low)],
            [`${name}_high`, finite(figure.high)],
            [`${name}_n`, figure.n],
          ]
        : [],
    ),
  )
}
