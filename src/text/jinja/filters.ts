/**
 * Jinja2's filters, each with its parameters in order. An argument that was not given is undefined; null is None. As in
 * Jinja2, map, select and similar filters return iterators, whose items are made when they are asked for and can be
 * read once. Filters that make HTML links or draw random numbers are left out and refused by name.
 */

import { bind } from './arguments.ts'
import { arithmetic } from './arithmetic.ts'
import type { Context } from './budget.ts'
import { rounded, toFloat, toInt } from './conversions.ts'
import { each, type Filter, flag, int, items, orNone, usable } from './filterArguments.ts'
import { percentFormat } from './format.ts'
import { batches, columns, folded, groupedBy, sortedBy } from './listOperations.ts'
import { itemOf, onlyAttribute } from './lookup.ts'
import { compare, itemsOf, iterable } from './operations.ts'
import { prettyRepr } from './prettyPrint.ts'
import { json, listed, str } from './print.ts'
import { spaces } from './pythonText.ts'
import { applyTest } from './tests.ts'
import { textFilters } from './textFilters.ts'
import { throughMarks } from './throughMarks.ts'
import type { Args, Value } from './values.ts'
import {
  asInt,
  asText,
  dict,
  fail,
  float,
  hashOf,
  is,
  isDict,
  iterator,
  lengthOf,
  markup,
  missing,
  numeric,
  sequenceOf,
  textIn,
  truthy,
  tuple,
  typeName,
} from './values.ts'

export const applyFilter = (name: string, value: Value, args: Args, context: Context): Value => {
  context.budget.spend(1)
  const text = context.budget.marked ? textIn(value) : undefined
  if (text === undefined) return filtered(name, value, args, context)
  const again = is(value, 'markup') ? markup : (text: string) => text
  return throughMarks(name, text, args, (read, given) => filtered(name, again(read), given, context))
}

const filtered = (name: string, value: Value, args: Args, context: Context): Value => {
  const free = Object.hasOwn(freeFilters, name) ? freeFilters[name] : undefined
  if (free) return free(value, args, context)
  const filter = Object.hasOwn(filters, name) ? filters[name] : undefined
  if (!filter)
    return fail(
      Object.hasOwn(leftOut, name) ? `the filter ${name} is refused: ${leftOut[name]}` : `No filter named '${name}'.`,
    )
  const [parameters, run] = filter
  return run(value, bind(name, args, parameters), context)
}

/** Filters of Jinja2 that are refused, and why. */
const leftOut: Record<string, string> = {
  random: 'a conversation must give the same text every time',
  urlize: 'a chat template makes no links',
}

/** A function that reads `a.b.0` of an item; a missing part gives the fallback. */
const attribute = (path: Value, context: Context, fallback: Value = null) => {
  const text = textIn(path)
  const parts: Value[] =
    path === null
      ? []
      : text === undefined
        ? [path]
        : text.split('.').map((part) => (/^\p{Nd}+$/u.test(part) ? Number(part) : part))
  return (item: Value): Value =>
    parts.reduce((at: Value, part) => {
      const found = itemOf(at, part, context)
      return is(found, 'missing') && fallback !== null ? fallback : found
    }, item)
}

const extreme =
  (sign: 1 | -1): Filter[1] =>
  (value, [caseSensitive, path], context) => {
    const get = attribute(orNone(path), context)
    const key = (item: Value) => folded(get(item), flag(caseSensitive))
    let best: { item: Value; key: Value } | undefined
    for (const item of each(value, context)) {
      const wanted = key(item)
      if (!best || sign * compare(wanted, best.key, context.budget) > 0) best = { item, key: wanted }
    }
    return best ? best.item : missing('No aggregated item, sequence was empty.')
  }

const defaulted: Filter = [
  ['default_value', 'boolean'],
  (value, [fallback = '', falsy]) => (is(value, 'missing') || (flag(falsy) && !truthy(value)) ? fallback : value),
]
const length: Filter = [[], (value) => lengthOf(value)]

const filters: Record<string, Filter> = {
  ...textFilters,
  abs: [
    [],
    (value) => {
      const number = numeric(value)
      if (number === undefined)
        return fail(is(value, 'missing') ? value.hint : `bad operand type for abs(): '${typeName(value)}'`)
      const size = number < 0 ? -number : number
      return is(value, 'float') ? float(Math.abs(value.value)) : size
    },
  ],
  attr: [['name'], (value, [name], context) => onlyAttribute(value, asText(orNone(name), 'attribute name'), context)],
  batch: [
    ['linecount', 'fill_with'],
    (value, [count, fill], context) =>
      iterator(batches(each(value, context), asInt(orNone(count), 'linecount'), orNone(fill), context.budget)),
  ],
  count: length,
  d: defaulted,
  default: defaulted,
  dictsort: [
    ['case_sensitive', 'by', 'reverse'],
    (value, [caseSensitive, by = 'key', reverse], context) => {
      if (by !== 'key' && by !== 'value') return fail('You can only sort by either "key" or "value"')
      if (!isDict(value))
        return fail(is(value, 'missing') ? value.hint : `'${typeName(value)}' object has no attribute 'items'`)
      context.budget.spend(value.entries.size)
      return sortedBy(
        [...value.entries.values()].map(tuple),
        (item) => folded(sequenceOf(item)![by === 'value' ? 1 : 0], flag(caseSensitive)),
        flag(reverse),
        context.budget,
      )
    },
  ],
  first: [
    [],
    (value, _, context) => {
      // not a for loop: leaving one would end the iterator
      const all = iterable(value) ?? fail(`'${typeName(value)}' object is not iterable`)
      context.budget.spend(1)
      const found = all[Symbol.iterator]().next()
      return found.done ? missing('No first item, sequence was empty.') : found.value
    },
  ],
  float: [
    ['default'],
    (value, [fallback = float(0)]) => {
      const number = toFloat(usable(value))
      return number === undefined ? fallback : float(number)
    },
  ],
  groupby: [
    ['attribute', 'default', 'case_sensitive'],
    (value, [path, fallback, caseSensitive], context) =>
      groupedBy(items(value, context), attribute(orNone(path), context, fallback), flag(caseSensitive), context.budget),
  ],
  int: [
    ['default', 'base'],
    (value, [fallback = 0, base], { budget }) => {
      budget.spendText(textIn(value)?.length ?? 0)
      const number = toInt(usable(value), int(base, 10))
      return number === undefined ? fallback : number
    },
  ],
  items: [
    [],
    (value) => {
      if (is(value, 'missing')) return iterator([])
      return isDict(value)
        ? iterator([...value.entries.values()].map(tuple))
        : fail('Can only get item pairs from a mapping.')
    },
  ],
  join: [
    ['d', 'attribute'],
    (value, [separator = '', path], context) => {
      const key = attribute(orNone(path), context)
      const parts = [...each(value, context)].map((item) => str(key(item), context.budget))
      return listed(parts, str(separator, context.budget), context.budget)
    },
  ],
  last: [
    [],
    (value, _, context) => {
      if (is(value, 'iterator')) return fail("'generator' object is not reversible")
      const all = items(value, context)
      return all.length ? all[all.length - 1] : missing('No last item, sequence was empty.')
    },
  ],
  length,
  list: [[], (value, _, context) => [...items(value, context)]],
  max: [['case_sensitive', 'attribute'], extreme(1)],
  min: [['case_sensitive', 'attribute'], extreme(-1)],
  pprint: [[], (value, _, { budget }) => prettyRepr(value, budget)],
  reverse: [
    [],
    (value, _, context) => {
      const found = items(value, context)
      const backwards = [...found].reverse()
      const text = textIn(value)
      if (text === undefined) return is(value, 'iterator') ? backwards : iterator(backwards)
      return is(value, 'markup') ? markup(backwards.join('')) : backwards.join('')
    },
  ],
  round: [
    ['precision', 'method'],
    (value, [precision, method = 'common']) => rounded(value, int(precision, 0), asText(method, 'method')),
  ],
  slice: [
    ['slices', 'fill_with'],
    (value, [count, fill], context) =>
      iterator(columns(items(value, context), asInt(orNone(count), 'slices'), orNone(fill), context.budget)),
  ],
  sort: [
    ['reverse', 'case_sensitive', 'attribute'],
    (value, [reverse, caseSensitive, path = null], context) => {
      const text = textIn(path)
      const paths: Value[] = text === undefined ? [path] : text.split(',')
      const keys = paths.map((one) => attribute(one, context))
      return sortedBy(
        items(value, context),
        (item) => keys.map((key) => folded(key(item), flag(caseSensitive))),
        flag(reverse),
        context.budget,
      )
    },
  ],
  sum: [
    ['attribute', 'start'],
    (value, [path, start = 0], context) => {
      if (textIn(start) !== undefined) return fail("sum() can't sum strings [use ''.join(seq) instead]")
      const key = attribute(orNone(path), context)
      let total = start
      for (const item of each(value, context)) total = arithmetic('+', total, key(item), context.budget)
      return total
    },
  ],
  tojson: [
    ['ensure_ascii', 'indent', 'separators', 'sort_keys'],
    (value, [ascii, indent = null, separators = null, sortKeys], { budget }) => {
      const step = indent === null ? undefined : (textIn(indent) ?? spaces(asInt(indent, 'indent'), budget))
      const pair = separators === null ? [step === undefined ? ', ' : ',', ': '] : itemsOf(separators, budget)
      if (pair.length !== 2) return fail('separators must be two texts')
      const [item, key] = pair.map((text) => asText(text, 'separator'))
      return json(value, { ascii: flag(ascii), indent: step, item, key, sortKeys: flag(sortKeys) }, budget)
    },
  ],
  unique: [
    ['case_sensitive', 'attribute'],
    (value, [caseSensitive, path], context) => {
      const key = attribute(orNone(path), context)
      const seen = new Set<unknown>()
      const fresh = function* () {
        for (const item of each(value, context)) {
          const hash = hashOf(folded(key(item), flag(caseSensitive)))
          if (seen.has(hash)) continue
          seen.add(hash)
          yield item
        }
      }
      return iterator(fresh())
    },
  ],
}

/**
 * Filters whose arguments depend on each other. Of an empty value or None, all but format make nothing and check
 * nothing.
 */
const freeFilters: Record<string, (value: Value, args: Args, context: Context) => Value> = {
  format: (value, { list, named }, { budget }) => {
    if (list.length && named.size) return fail("can't handle positional and keyword arguments at the same time")
    const text = is(value, 'markup') ? value : str(value, budget)
    return percentFormat(text, named.size ? dict(named) : tuple(list), budget)
  },
  map: (value, args, context) => lazily(value, context, (all) => changed(all, args, context)),
  select: (value, args, context) => lazily(value, context, (all) => picked(all, args, context, false, true)),
  reject: (value, args, context) => lazily(value, context, (all) => picked(all, args, context, false, false)),
  selectattr: (value, args, context) => lazily(value, context, (all) => picked(all, args, context, true, true)),
  rejectattr: (value, args, context) => lazily(value, context, (all) => picked(all, args, context, true, false)),
}

const lazily = (value: Value, context: Context, make: (all: Iterable<Value>) => Iterable<Value>): Value => {
  const run = function* () {
    if (truthy(value)) yield* make(each(value, context))
  }
  return iterator(run())
}

/** map(attribute=..., default=...) or map('filter', arguments). */
function* changed(all: Iterable<Value>, args: Args, context: Context): Generator<Value> {
  const change = mapping(args, context)
  for (const item of all) yield change(item)
}

const mapping = (args: Args, context: Context): ((item: Value) => Value) => {
  if (!args.list.length && args.named.has('attribute')) {
    const [path, fallback] = bind('map', args, ['attribute', 'default'])
    return attribute(orNone(path), context, fallback)
  }
  if (!args.list.length) return fail('map requires a filter argument')
  const name = asText(args.list[0], 'the name of a filter')
  return (item) => applyFilter(name, item, { list: args.list.slice(1), named: args.named }, context)
}

function* picked(
  all: Iterable<Value>,
  { list, named }: Args,
  context: Context,
  byAttribute: boolean,
  keep: boolean,
): Generator<Value> {
  if (byAttribute && !list.length) fail('Missing parameter for attribute name')
  const key = byAttribute ? attribute(list[0], context) : (item: Value) => item
  const [name, ...args] = byAttribute ? list.slice(1) : list
  for (const item of all) {
    const found = key(item)
    const passes =
      name === undefined
        ? truthy(found)
        : applyTest(asText(name, 'the name of a test'), found, { list: args, named }, context)
    if (passes === keep) yield item
  }
}

export const filterNames: ReadonlySet<unknown> = new Set([
  ...Object.keys(filters),
  ...Object.keys(freeFilters),
  ...Object.keys(leftOut),
])
