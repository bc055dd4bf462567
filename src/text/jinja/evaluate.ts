/** Evaluates expressions of a template by Python's rules. */
import { arithmetic } from './arithmetic.ts'
import type { Context } from './budget.ts'
import { applyFilter } from './filters.ts'
import { attributeOf, itemOf, sliceOf } from './lookup.ts'
import { escapedText } from './markup.ts'
import type { CallArgs, Expr } from './nodes.ts'
import { comparison, itemsOf } from './operations.ts'
import { listed, str } from './print.ts'
import { applyTest } from './tests.ts'
import type { Args, Dict, Value } from './values.ts'
import {
  asInt,
  dict,
  fail,
  float,
  is,
  isDict,
  markup,
  missing,
  numeric,
  textIn,
  truthy,
  tuple,
  typeName,
} from './values.ts'

/** The names of a block; a name that is not here is looked up in the outer scope. */
export type Scope = { readonly names: Map<string, Value>; readonly outer?: Scope }

export const innerScope = (outer: Scope): Scope => ({ names: new Map(), outer })

export const lookUp = (scope: Scope, name: string): Value => {
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const value = at.names.get(name)
    if (value !== undefined) return value
  }
  return missing(`'${name}' is undefined`)
}

export const evaluate = (expr: Expr, scope: Scope, context: Context): Value => {
  context.budget.spend(1)
  return context.budget.deeper(() => nodes[expr.type](expr as never, scope, context))
}

type Rules = { [T in Expr['type']]: (expr: Extract<Expr, { type: T }>, scope: Scope, context: Context) => Value }

const nodes: Rules = {
  const: ({ value }) => value,
  name: ({ name }, scope) => lookUp(scope, name),
  tuple: ({ items }, scope, context) => tuple(items.map((item) => evaluate(item, scope, context))),
  list: ({ items }, scope, context) => items.map((item) => evaluate(item, scope, context)),
  dict: ({ entries }, scope, context) =>
    dict(entries.map(([key, value]) => [evaluate(key, scope, context), evaluate(value, scope, context)])),
  attribute: ({ of, name }, scope, context) => attributeOf(evaluate(of, scope, context), name, context),
  item: ({ of, key }, scope, context) => itemOf(evaluate(of, scope, context), evaluate(key, scope, context), context),
  slice: ({ of, start, stop, step }, scope, context) => {
    const bound = (expr: Expr | undefined) => {
      const value = expr ? evaluate(expr, scope, context) : null
      return value === null ? undefined : asInt(value, 'slice indices')
    }
    return sliceOf(evaluate(of, scope, context), bound(start), bound(stop), bound(step), context)
  },
  call: ({ callee, args }, scope, context) => call(evaluate(callee, scope, context), argsOf(args, scope, context)),
  filter: ({ of, name, args }, scope, context) =>
    applyFilter(
      name,
      of ? evaluate(of, scope, context) : lookUp(scope, blockText),
      argsOf(args, scope, context),
      context,
    ),
  test: ({ of, name, args }, scope, context) =>
    applyTest(name, evaluate(of, scope, context), argsOf(args, scope, context), context),
  not: ({ of }, scope, context) => !truthy(evaluate(of, scope, context)),
  negative: ({ of }, scope, context) => signed(evaluate(of, scope, context), -1),
  positive: ({ of }, scope, context) => signed(evaluate(of, scope, context), 1),
  and: ({ left, right }, scope, context) => {
    const value = evaluate(left, scope, context)
    return truthy(value) ? evaluate(right, scope, context) : value
  },
  or: ({ left, right }, scope, context) => {
    const value = evaluate(left, scope, context)
    return truthy(value) ? value : evaluate(right, scope, context)
  },
  arithmetic: ({ operator, left, right }, scope, context) =>
    arithmetic(operator, evaluate(left, scope, context), evaluate(right, scope, context), context.budget),
  concat: ({ items }, scope, context) => {
    const values = items.map((item) => evaluate(item, scope, context))
    const escapes = context.escapes && values.some((value) => is(value, 'markup'))
    const text = listed(
      values.map((value) => (escapes ? escapedText : str)(value, context.budget)),
      '',
      context.budget,
    )
    return escapes ? markup(text) : text
  },
  compare: ({ first, rest }, scope, context) => {
    let left = evaluate(first, scope, context)
    for (const [operator, expr] of rest) {
      const right = evaluate(expr, scope, context)
      if (!comparison(operator, left, right, context.budget)) return false
      left = right
    }
    return true
  },
  choice: ({ test, yes, no }, scope, context) => {
    if (truthy(evaluate(test, scope, context))) return evaluate(yes, scope, context)
    return no
      ? evaluate(no, scope, context)
      : missing('the inline if-expression evaluated to false and no else section was defined.')
  },
}

/**
 * The name under which the filters of {% filter %} and {% set x | f %} find the block's text; no template can write it.
 */
export const blockText = ' block'

const signed = (value: Value, sign: 1 | -1): Value => {
  const number = numeric(value)
  if (number === undefined)
    return fail(is(value, 'missing') ? value.hint : `bad operand type for unary -: '${typeName(value)}'`)
  if (is(value, 'float')) return float(sign * value.value)
  return sign > 0 ? number : -number || 0
}

const argsOf = ({ list, named, restList, restNamed }: CallArgs, scope: Scope, context: Context): Args => {
  if (!list.length && !named.length && !restList && !restNamed) return noArgs
  const values = list.map((item) => evaluate(item, scope, context))
  const rest = restList ? itemsOf(evaluate(restList, scope, context), context.budget) : []
  const byName = new Map<string, Value>()
  for (const [name, expr] of named) byName.set(name, evaluate(expr, scope, context))
  if (restNamed)
    for (const [key, value] of dictOf(evaluate(restNamed, scope, context)).entries.values()) {
      const name = textIn(key) ?? fail('keywords must be strings')
      if (byName.has(name)) fail(`got multiple values for keyword argument '${name}'`)
      byName.set(name, value)
    }
  return { list: [...values, ...rest], named: byName }
}

export const noArgs: Args = { list: [], named: new Map() }

const dictOf = (value: Value): Dict => (isDict(value) ? value : fail('argument after ** must be a mapping'))

export const call = (callee: Value, args: Args): Value => {
  if (is(callee, 'function')) return callee.call(args)
  if (is(callee, 'object') && callee.call) return callee.call(args)
  return fail(is(callee, 'missing') ? callee.hint : `'${typeName(callee)}' object is not callable`)
}
