/** Jinja2's tests, the words after `is`. */
import type { Budget } from './budget.ts'
import { comparison } from './evaluate.ts'
import { filterNames } from './filters.ts'
import { unmarkText } from './marks.ts'
import { floatText } from './print.ts'
import { isLower, isUpper } from './pytext.ts'
import type { Args, Value } from './values.ts'
import { asInt, contains, fail, is, isDict, isIterable, kindOf, numeric, sequenceOf, typeName } from './values.ts'

export const applyTest = (name: string, value: Value, { list, named }: Args, budget: Budget): boolean => {
  const test = Object.hasOwn(tests, name) ? tests[name] : undefined
  if (!test) return fail(`No test named '${name}'.`)
  const args = [...list, ...named.values()]
  if (args.length !== test.length - 2)
    fail(`the test ${name} takes ${test.length - 2} arguments (${args.length} given)`)
  const read = (given: Value) => (budget.marked && typeof given === 'string' ? unmarkText(given) : given)
  return test(budget, read(value), ...args.map(read))
}

const remainder = (value: Value, by: number): number => {
  const number = is(value, 'missing') ? fail(value.hint) : (numeric(value) ?? fail(`not a number: ${typeName(value)}`))
  if (by === 0) return fail('division by zero')
  return number - by * Math.floor(number / by)
}

/** Case tests look at any value's text; only numbers and texts have one worth looking at. */
const textOf = (value: Value): string =>
  typeof value === 'string' ? value : is(value, 'float') ? floatText(value.value) : ''

const compared =
  (operator: string) =>
  (budget: Budget, value: Value, other: Value): boolean =>
    comparison(operator, value, other, budget)

const eq = compared('==')
const ne = compared('!=')
const gt = compared('>')
const ge = compared('>=')
const lt = compared('<')
const le = compared('<=')

const tests: Record<string, (budget: Budget, value: Value, ...args: Value[]) => boolean> = {
  odd: (_, value) => remainder(value, 2) === 1,
  even: (_, value) => remainder(value, 2) === 0,
  divisibleby: (_, value, num) => remainder(value, asInt(num, 'num')) === 0,
  defined: (_, value) => !is(value, 'missing'),
  undefined: (_, value) => is(value, 'missing'),
  filter: (_, value) => typeof value === 'string' && filterNames().includes(value),
  test: (_, value) => typeof value === 'string' && Object.hasOwn(tests, value),
  none: (_, value) => value === null,
  boolean: (_, value) => typeof value === 'boolean',
  true: (_, value) => value === true,
  false: (_, value) => value === false,
  integer: (_, value) => typeof value === 'number',
  float: (_, value) => is(value, 'float'),
  number: (_, value) => numeric(value) !== undefined,
  string: (_, value) => typeof value === 'string',
  mapping: (_, value) => isDict(value),
  sequence: (_, value) => typeof value === 'string' || isDict(value) || sequenceOf(value) !== undefined,
  iterable: (_, value) => isIterable(value),
  callable: (_, value) => is(value, 'function') || (is(value, 'object') && value.call !== undefined),
  lower: (_, value) => isLower(textOf(value)),
  upper: (_, value) => isUpper(textOf(value)),
  escaped: (_, _value) => false,
  sameas: (_, value, other) =>
    kindOf(value) === kindOf(other) && is(value, 'float') && is(other, 'float')
      ? value.value === other.value
      : value === other,
  in: (budget, value, holder) => contains(holder, value, budget),
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
