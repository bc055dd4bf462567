/** Jinja2's tests, the words after `is`. */
import { arithmetic } from './arithmetic.ts'
import type { Budget, Context } from './budget.ts'
import { unmarkText } from './marks.ts'
import { comparison, contains, equal, iterable } from './operations.ts'
import { str } from './print.ts'
import { isLower, isUpper } from './pythonText.ts'
import type { Args, Value } from './values.ts'
import { fail, hashOf, is, isDict, isInt, numeric, sequenceOf, textIn } from './values.ts'

export const applyTest = (name: string, value: Value, { list, named }: Args, context: Context): boolean => {
  const test = Object.hasOwn(tests, name) ? tests[name] : undefined
  if (!test) return fail(`No test named '${name}'.`)
  const args = [...list, ...named.values()]
  if (args.length !== test.length - 2)
    fail(`the test ${name} takes ${test.length - 2} arguments (${args.length} given)`)
  const read = (given: Value) => (context.budget.marked && typeof given === 'string' ? unmarkText(given) : given)
  return test(context, read(value), ...args.map(read))
}

/** Whether value % by is the wanted rest. */
const leaves = (value: Value, by: Value, wanted: number, budget: Budget): boolean =>
  equal(arithmetic('%', value, by, budget), wanted, budget)

const compared =
  (operator: string) =>
  ({ budget }: Context, value: Value, other: Value): boolean =>
    comparison(operator, value, other, budget)

const eq = compared('==')
const ne = compared('!=')
const gt = compared('>')
const ge = compared('>=')
const lt = compared('<')
const le = compared('<=')

const tests: Record<string, (context: Context, value: Value, ...args: Value[]) => boolean> = {
  odd: ({ budget }, value) => leaves(value, 2, 1, budget),
  even: ({ budget }, value) => leaves(value, 2, 0, budget),
  divisibleby: ({ budget }, value, num) => leaves(value, num, 0, budget),
  defined: (_, value) => !is(value, 'missing'),
  undefined: (_, value) => is(value, 'missing'),
  filter: ({ filterNames }, value) => filterNames.has(hashOf(value)),
  test: (_, value) => testNames.has(hashOf(value)),
  none: (_, value) => value === null,
  boolean: (_, value) => typeof value === 'boolean',
  true: (_, value) => value === true,
  false: (_, value) => value === false,
  integer: (_, value) => isInt(value),
  float: (_, value) => is(value, 'float'),
  number: (_, value) => numeric(value) !== undefined,
  string: (_, value) => textIn(value) !== undefined,
  mapping: (_, value) => isDict(value),
  sequence: (_, value) =>
    textIn(value) !== undefined || isDict(value) || is(value, 'missing') || sequenceOf(value) !== undefined,
  iterable: (_, value) => iterable(value) !== undefined,
  callable: (_, value) =>
    is(value, 'function') || is(value, 'missing') || (is(value, 'object') && value.call !== undefined),
  lower: ({ budget }, value) => isLower(str(value, budget)),
  upper: ({ budget }, value) => isUpper(str(value, budget)),
  escaped: (_, value) => is(value, 'markup'),
  sameas: (_, value, other) => value === other,
  in: ({ budget }, value, holder) => contains(holder, value, budget),
  '==': eq,
  eq,
  equalto: eq,
  '!=': ne,
  ne,
  '>': gt,
  gt,
  greaterthan: gt,
  '>=': ge,
  ge,
  '<': lt,
  lt,
  lessthan: lt,
  '<=': le,
  le,
}

export const testNames: ReadonlySet<unknown> = new Set(Object.keys(tests))
