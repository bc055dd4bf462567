/** What filters share: their parameters by position or name, and how they read arguments and items. */
import type { Context } from './budget.ts'
import { itemsOf, iterable } from './operations.ts'
import type { Value } from './values.ts'
import { asInt, fail, is, truthy, typeName } from './values.ts'

export type Given = readonly (Value | undefined)[]
export type Filter = [parameters: readonly string[], run: (value: Value, args: Given, context: Context) => Value]

export const int = (value: Value | undefined, fallback: number): number =>
  value === undefined ? fallback : asInt(value, 'the argument')
export const flag = (value: Value | undefined): boolean => value !== undefined && truthy(value)
/** A parameter whose default is None. */
export const orNone = (value: Value | undefined): Value => (value === undefined ? null : value)

export const usable = (value: Value): Value => (is(value, 'missing') ? fail(value.hint) : value)

export const items = (value: Value, { budget }: Context): readonly Value[] => itemsOf(value, budget)

/** The items one by one, each paid for. */
export function* each(value: Value, { budget }: Context): Generator<Value> {
  for (const item of iterable(value) ?? fail(`'${typeName(value)}' object is not iterable`)) {
    budget.spend(1)
    yield item
  }
}
