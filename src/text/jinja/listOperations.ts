/** What filters do with lists: sort, group, split into rows and columns. */
import type { Budget } from './budget.ts'
import { unmarkText } from './marks.ts'
import { group } from './methods.ts'
import { compare, equal } from './operations.ts'
import type { Value } from './values.ts'
import { fail, textIn } from './values.ts'

/** A value as a sort key: texts in lower case, unless sorting is case-sensitive. */
export const folded = (value: Value, caseSensitive: boolean): Value => {
  const text = caseSensitive ? undefined : textIn(value)
  return text === undefined ? value : unmarkText(text).toLowerCase()
}

/** A stable sort by keys; with `reverse`, equal items keep their order too, as in Python. */
export const sortedBy = (
  list: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
  budget: Budget,
): Value[] => {
  const keyed = list.map((item) => [key(item), item] as const)
  return keyed.sort(([a], [b]) => (reverse ? compare(b, a, budget) : compare(a, b, budget))).map(([, item]) => item)
}

export const groupedBy = (
  list: readonly Value[],
  key: (item: Value) => Value,
  caseSensitive: boolean,
  budget: Budget,
): Value[] => {
  const groups: { key: Value; items: Value[] }[] = []
  for (const item of sortedBy(list, (one) => folded(key(one), caseSensitive), false, budget)) {
    const found = folded(key(item), caseSensitive)
    const last = groups.at(-1)
    if (last && equal(last.key, found, budget)) last.items.push(item)
    else groups.push({ key: found, items: [item] })
  }
  return groups.map(({ items }) => group(key(items[0]), items))
}

/** Rows of `size` items; with a size below 1 all items are one row, as in Jinja2. */
export function* batches(items: Iterable<Value>, size: number, fill: Value, budget: Budget): Generator<Value> {
  let row: Value[] = []
  for (const item of items) {
    budget.spend(1)
    if (row.length === size) {
      yield row
      row = []
    }
    row.push(item)
  }
  if (!row.length) return
  if (fill !== null && row.length < size) {
    budget.spendText((size - row.length) * 8)
    while (row.length < size) row.push(fill)
  }
  yield row
}

/** `count` columns, of which the first have one item more where the items do not divide evenly. */
export function* columns(list: readonly Value[], count: number, fill: Value, budget: Budget): Generator<Value> {
  if (count === 0) fail('integer division or modulo by zero')
  const each = Math.floor(list.length / count)
  const extra = list.length % count
  for (let n = 0; n < count; n++) {
    budget.spend(1 + each)
    const from = n * each + Math.min(n, extra)
    const column = list.slice(from, from + each + (n < extra ? 1 : 0))
    yield fill !== null && n >= extra ? [...column, fill] : column
  }
}
