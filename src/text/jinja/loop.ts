/** The variable `loop` of a for block: index, neighbours, cycle, changed, and the call of a recursive loop. */
import type { Budget } from './budget.ts'
import { equal } from './operations.ts'
import type { Args, PyObject, Value } from './values.ts'
import { fail, func, missing } from './values.ts'

export const loopVariable = (
  items: readonly Value[],
  depth: number,
  budget: Budget,
  recurse: ((args: Args) => Value) | undefined,
) => {
  let at = 0
  let last: readonly Value[] | undefined
  const fields: Record<string, () => Value> = {
    index: () => at + 1,
    index0: () => at,
    revindex: () => items.length - at,
    revindex0: () => items.length - at - 1,
    first: () => at === 0,
    last: () => at === items.length - 1,
    length: () => items.length,
    depth: () => depth + 1,
    depth0: () => depth,
    previtem: () => (at > 0 ? items[at - 1] : missing('there is no previous item')),
    nextitem: () => (at + 1 < items.length ? items[at + 1] : missing('there is no next item')),
    cycle: () =>
      func('cycle', ({ list }) => (list.length ? list[at % list.length] : fail('no items for cycling given'))),
    changed: () =>
      func('changed', ({ list }) => {
        const same =
          last !== undefined && last.length === list.length && last.every((value, i) => equal(value, list[i], budget))
        last = list
        return !same
      }),
  }
  const variable: PyObject = {
    kind: 'object',
    type: 'LoopContext',
    get: (name) => (Object.hasOwn(fields, name) ? fields[name]() : undefined),
    length: () => items.length,
    shown: () => `<LoopContext ${at + 1}/${items.length}>`,
    call: (args) =>
      recurse ? recurse(args) : fail("The loop must have the 'recursive' marker to be called recursively."),
  }
  return {
    variable,
    /** Steps to item i. */
    turn: (i: number) => {
      at = i
    },
  }
}
