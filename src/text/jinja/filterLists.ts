/** What filters do to lists: order, groups, rows and columns. */
import type { Budget } from './budget.ts'
import type { Value } from './values.ts'
import { compare, equal, fail, iterator, tuple } from './values.ts'

export const folded = (value: Value, caseSensitive: boolean): Value =>
  typeof value === 'string' && !caseSensitive ? value.toLowerCase() : value

/** A stable sort by keys; `reverse` keeps equal items in order too, as Python does. */
export const sortedBy = (
  list: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
  budget: Budget,
): Value[] => {
  const keyed = list.map((item) => [key(item), item] as const)
  return keyed.sort(([a], [b]) => (reverse ? compare(b, a, budget) : compare(a, b, budget))).map(([, item]) => item)
}

export const grouped = (
  list: readonly Value[],
  key: (item: Value) => Value,
  caseSensitive: boolean,
  budget: Budget,
): Value[] => {
  const groups: { key: Value; shown: Value; items: Value[] }[] = []
  for (const item of sortedBy(list, (one) => folded(key(one), caseSensitive), false, budget)) {
    const found = folded(key(item), caseSensitive)
    const last = groups.at(-1)
    if (last && equal(last.key, found, budget)) last.items.push(item)
    else groups.push({ key: found, shown: key(item), items: [item] })
  }
  return groups.map((group) => tuple([group.shown, group.items]))
}

export const batched = (list: readonly Value[], size: number, fill: Value | undefined, budget: Budget): Value => {
  if (size < 1) return fail('batch needs a size of at least 1')
  const rows: Value[][] = []
  for (let at = 0; at < list.length; at += size) rows.push(list.slice(at, at + size))
  const last = rows.at(-1)
  if (last && fill !== undefined && fill !== null && last.length < size) {
    budget.made(size * 8)
    while (last.length < size) last.push(fill)
  }
  return iterator(rows)
}

export const sliced = (list: readonly Value[], slices: number, fill: Value | undefined, budget: Budget): Value => {
  if (slices < 1) return fail('slice needs at least 1 slice')
  budget.made(slices * 8)
  const [each, extra] = [Math.floor(list.length / slices), list.length % slices]
  const rows = Array.from({ length: slices }, (_, n) => {
    const from = n * each + Math.min(n, extra)
    const row = list.slice(from, from + each + (n < extra ? 1 : 0))
    return fill !== undefined && fill !== null && n >= extra ? [...row, fill] : row
  })
  return iterator(rows)
}
