/** Jinja2's tests, the words after `is`. */
import { comparison } from './evaluate.ts'
import { filterNames } from './filters.ts'
import { floatText } from './print.ts'
import { isLower, isUpper } from './pytext.ts'
import type { Args, Value } from './values.ts'
import { asInt, contains, fail, is, isDict, isIterable, kindOf, numeric, sequenceOf, typeName } from './values.ts'

export const applyTest = (name: string, value: Value, { list, named }: Args): boolean => {
  const test = Object.hasOwn(tests, name) ? tests[name] : undefined
  if (!test) return fail(`No test named '${name}'.`)
  const args = [...list, ...named.values()]
  if (args.length !== test.length - 1)
    fail(`the test ${name} takes ${test.length - 1} arguments (${args.length} given)`)
  return test(value, ...args)
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
  (value: Value, other: Value): boolean =>
    comparison(operator, value, other)

const eq = compared('==')
const ne = compared('!=')
const gt = compared('>')
const ge = compared('>=')
const lt = compared('<')
const le = compared('<=')

const tests: Record<string, (value: Value, ...args: Value[]) => boolean> = {
  odd: (value) => remainder(value, 2) === 1,
  even: (value) => remainder(value, 2) === 0,
  divisibleby: (value, num) => remainder(value, asInt(num, 'num')) === 0,
  defined: (value) => !is(value, 'missing'),
  undefined: (value) => is(value, 'missing'),
  filter: (value) => typeof value === 'string' && filterNames().includes(value),
  test: (value) => typeof value === 'string' && Object.hasOwn(tests, value),
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === 'number',
  float: (value) => is(value, 'float'),
  number: (value) => numeric(value) !== undefined,
  string: (value) => typeof value === 'string',
  mapping: (value) => isDict(value),
  sequence: (value) => typeof value === 'string' || isDict(value) || sequenceOf(value) !== undefined,
  iterable: isIterable,
  callable: (value) => is(value, 'function') || (is(value, 'object') && value.call !== undefined),
  lower: (value) => isLower(textOf(value)),
  upper: (value) => isUpper(textOf(value)),
  escaped: (_) => false,
  sameas: (value, other) =>
    kindOf(value) === kindOf(other) && is(value, 'float') && is(other, 'float')
      ? value.value === other.value
      : value === other,
  in: (value, holder) => contains(holder, value),
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
