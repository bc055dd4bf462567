/** pprint.pformat: repr with sorted keys, broken into lines of at most 80 characters where containers allow it. */
import type { Budget } from './budget.ts'
import { compare } from './operations.ts'
import { repr } from './print.ts'
import type { Value } from './values.ts'
import { dict, is, isDict, isList, numeric, textIn, tuple, typeName } from './values.ts'

const width = 80

export const prettyRepr = (value: Value, budget: Budget): string => pretty(sortedKeys(value, budget), 0, 0, budget)

const sortedKeys = (value: Value, budget: Budget): Value =>
  budget.deeper(() => {
    budget.spend(1)
    if (isList(value)) return value.map((item) => sortedKeys(item, budget))
    if (is(value, 'tuple')) return tuple(value.items.map((item) => sortedKeys(item, budget)))
    if (!isDict(value)) return value
    const entries = [...value.entries.values()].map(([key, item]) => [key, sortedKeys(item, budget)] as const)
    return dict(entries.sort(([a], [b]) => order(a, b, budget)))
  })

/** Keys that have no order among them go by their types' names. */
const order = (a: Value, b: Value, budget: Budget): number => {
  const alike = (numeric(a) !== undefined && numeric(b) !== undefined) || typeName(a) === typeName(b)
  if (alike && a !== null) return compare(a, b, budget)
  return typeName(a) < typeName(b) ? -1 : typeName(a) > typeName(b) ? 1 : 0
}

/** `allowance` characters must fit behind the value on its last line. */
const pretty = (value: Value, indent: number, allowance: number, budget: Budget): string =>
  budget.deeper(() => {
    const flat = repr(value, budget)
    if (flat.length <= width - indent - allowance) return flat
    const text = textIn(value)
    if (text !== undefined && !is(value, 'markup')) return flat
    if (isDict(value) && value.entries.size)
      return `{${[...value.entries.values()]
        .map(([key, item], i, all) => {
          const name = repr(key, budget)
          const rest = i === all.length - 1 ? allowance + 1 : 1
          return `${name}: ${pretty(item, indent + 1 + name.length + 2, rest, budget)}`
        })
        .join(`,\n${' '.repeat(indent + 1)}`)}}`
    const items = isList(value) ? value : is(value, 'tuple') ? value.items : []
    if (!items.length) return flat
    const end = isList(value) ? ']' : items.length === 1 ? ',)' : ')'
    const inner = items.map((item, i) =>
      pretty(item, indent + 1, i === items.length - 1 ? allowance + end.length : 1, budget),
    )
    return `${isList(value) ? '[' : '('}${inner.join(`,\n${' '.repeat(indent + 1)}`)}${end}`
  })
