/**
 * Jinja2's filters, each with its parameters in order. Left out are those that make HTML links, read a clock or draw
 * at random. Filters that Python writes as generators give iterators: their items can be read once.
 */

import { bind } from './arguments.ts'
import { arithmetic } from './arithmetic.ts'
import type { Context } from './evaluate.ts'
import { batched, folded, grouped, sliced, sortedBy } from './filterLists.ts'
import { indented, rounded, spaces, titleWords, toFloat, toInt, truncated, urlQuoted } from './filterText.ts'
import { percentFormat } from './format.ts'
import { itemOf } from './lookup.ts'
import { centered, joined, replaced } from './methods.ts'
import { json, repr, str } from './print.ts'
import { capitalize, strip } from './pytext.ts'
import { applyTest } from './tests.ts'
import { throughMarks } from './throughMarks.ts'
import type { Args, Value } from './values.ts'
import {
  asInt,
  asText,
  compare,
  equal,
  fail,
  float,
  is,
  isDict,
  itemsOf,
  iterator,
  lengthOf,
  missing,
  numeric,
  sequenceOf,
  truthy,
  tuple,
  typeName,
} from './values.ts'

export const applyFilter = (name: string, value: Value, args: Args, context: Context): Value => {
  context.budget.spend(1)
  if (context.budget.marked && typeof value === 'string')
    return throughMarks(name, value, args, (text, given) => filtered(name, text, given, context))
  return filtered(name, value, args, context)
}

const filtered = (name: string, value: Value, args: Args, context: Context): Value => {
  const free = Object.hasOwn(freeFilters, name) ? freeFilters[name] : undefined
  if (free) return free(value, args, context)
  const filter = Object.hasOwn(filters, name) ? filters[name] : undefined
  if (!filter) return fail(`No filter named '${name}'.`)
  const [parameters, run] = filter
  return run(value, bind(name, args, parameters), context)
}

export const filterNames = (): string[] => [...Object.keys(filters), ...Object.keys(freeFilters)]

type Given = readonly (Value | undefined)[]
type Filter = [parameters: readonly string[], run: (value: Value, args: Given, context: Context) => Value]

const int = (value: Value | undefined, fallback: number): number =>
  value === undefined || value === null ? fallback : asInt(value, 'the argument')
const flag = (value: Value | undefined): boolean => value !== undefined && truthy(value)
const textual = (change: (text: string) => Value): Filter => [[], (value, _, { budget }) => change(str(value, budget))]

/** The items of a value, paid for one by one. */
const items = (value: Value, { budget }: Context): readonly Value[] => {
  const found = itemsOf(value, budget)
  budget.spend(found.length)
  return found
}

/** Follows `a.b.0`; a missing end takes the fallback. */
const attribute = (path: Value | undefined, context: Context, fallback?: Value) => {
  const parts: Value[] =
    typeof path === 'string'
      ? path.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))
      : [path ?? null]
  return (item: Value): Value =>
    path === undefined || path === null
      ? item
      : parts.reduce((at: Value, part) => {
          const found = itemOf(at, part, context)
          return is(found, 'missing') && fallback !== undefined && fallback !== null ? fallback : found
        }, item)
}

const extreme =
  (sign: 1 | -1): Filter[1] =>
  (value, [caseSensitive, path], context) => {
    const key = attribute(path, context)
    let best: Value | undefined
    for (const item of items(value, context))
      if (
        best === undefined ||
        sign * compare(folded(key(item), flag(caseSensitive)), folded(key(best), flag(caseSensitive)), context.budget) >
          0
      )
        best = item
    return best ?? missing('No aggregated item, sequence was empty.')
  }

const defaulted: Filter = [
  ['default_value', 'boolean'],
  (value, [fallback, falsy]) => (is(value, 'missing') || (flag(falsy) && !truthy(value)) ? (fallback ?? '') : value),
]
const length: Filter = [[], (value) => lengthOf(value)]
const escaping: Filter = textual((text) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('>', '&gt;')
    .replaceAll('<', '&lt;')
    .replaceAll("'", '&#39;')
    .replaceAll('"', '&#34;'),
)

const filters: Record<string, Filter> = {
  abs: [
    [],
    (value) =>
      typeof value === 'number'
        ? Math.abs(value)
        : float(Math.abs(numeric(value) ?? fail(`bad operand type for abs(): '${typeName(value)}'`))),
  ],
  attr: [['name'], (value, [name], context) => itemOf(value, name ?? null, context)],
  batch: [
    ['linecount', 'fill_with'],
    (value, [count, fill], context) => batched(items(value, context), int(count, 1), fill, context.budget),
  ],
  capitalize: textual(capitalize),
  center: [['width'], (value, [width], { budget }) => centered(str(value, budget), int(width, 80), budget)],
  count: length,
  d: defaulted,
  default: defaulted,
  dictsort: [
    ['case_sensitive', 'by', 'reverse'],
    (value, [caseSensitive, by, reverse], context) => {
      if (!isDict(value)) return fail(`'${typeName(value)}' object has no attribute 'items'`)
      const place = (by ?? 'key') === 'value' ? 1 : 0
      context.budget.spend(value.size)
      return sortedBy(
        [...value].map(tuple),
        (item) => folded(sequenceOf(item)![place], flag(caseSensitive)),
        flag(reverse),
        context.budget,
      )
    },
  ],
  e: escaping,
  escape: escaping,
  forceescape: escaping,
  first: [
    [],
    (value, _, context) =>
      (is(value, 'iterator') ? value.items[value.next++] : items(value, context)[0]) ??
      missing('No first item, sequence was empty.'),
  ],
  float: [['default'], (value, [fallback]) => toFloat(value) ?? fallback ?? float(0)],
  groupby: [
    ['attribute', 'default', 'case_sensitive'],
    (value, [path, fallback, caseSensitive], context) =>
      grouped(items(value, context), attribute(path, context, fallback), flag(caseSensitive), context.budget),
  ],
  indent: [
    ['width', 'first', 'blank'],
    (value, [width, first, blank], { budget }) =>
      indented(
        asText(value, 'indent'),
        typeof width === 'string' ? width : int(width, 4),
        flag(first),
        flag(blank),
        budget,
      ),
  ],
  int: [['default', 'base'], (value, [fallback, base]) => toInt(value, int(base, 10)) ?? fallback ?? 0],
  items: [
    [],
    (value) =>
      is(value, 'missing')
        ? iterator([])
        : isDict(value)
          ? iterator([...value].map(tuple))
          : fail('Can only get item pairs from a mapping.'),
  ],
  join: [
    ['d', 'attribute'],
    (value, [separator, path], context) => {
      const key = attribute(path, context)
      const parts = items(value, context).map((item) => str(key(item), context.budget))
      return joined(str(separator ?? '', context.budget), parts, context.budget)
    },
  ],
  last: [
    [],
    (value, _, context) =>
      is(value, 'iterator')
        ? fail("'generator' object is not reversible")
        : (items(value, context).at(-1) ?? missing('No last item, sequence was empty.')),
  ],
  length,
  list: [[], (value, _, context) => [...items(value, context)]],
  lower: textual((text) => text.toLowerCase()),
  max: [['case_sensitive', 'attribute'], extreme(1)],
  min: [['case_sensitive', 'attribute'], extreme(-1)],
  pprint: [[], (value, _, { budget }) => repr(value, budget)],
  replace: [
    ['old', 'new', 'count'],
    (value, [from, to, count], { budget }) =>
      replaced(str(value, budget), str(from ?? null, budget), str(to ?? null, budget), int(count, -1), budget),
  ],
  reverse: [
    [],
    (value, _, context) =>
      typeof value === 'string' ? [...value].reverse().join('') : iterator([...items(value, context)].reverse()),
  ],
  round: [
    ['precision', 'method'],
    (value, [precision, method]) =>
      rounded(value, int(precision, 0), method === undefined ? 'common' : asText(method, 'method')),
  ],
  safe: textual((text) => text),
  slice: [
    ['slices', 'fill_with'],
    (value, [slices, fill], context) => sliced(items(value, context), int(slices, 1), fill, context.budget),
  ],
  sort: [
    ['reverse', 'case_sensitive', 'attribute'],
    (value, [reverse, caseSensitive, path], context) => {
      const paths = typeof path === 'string' ? path.split(',') : [path]
      const keys = paths.map((one) => attribute(one, context))
      return sortedBy(
        items(value, context),
        (item) => keys.map((key) => folded(key(item), flag(caseSensitive))),
        flag(reverse),
        context.budget,
      )
    },
  ],
  string: textual((text) => text),
  sum: [
    ['attribute', 'start'],
    (value, [path, start], context) => {
      const key = attribute(path, context)
      return items(value, context).reduce(
        (total: Value, item) => arithmetic('+', total, key(item), context.budget),
        start ?? 0,
      )
    },
  ],
  title: textual(titleWords),
  tojson: [
    ['ensure_ascii', 'indent', 'separators', 'sort_keys'],
    (value, [ascii, indent, separators, sortKeys], { budget }) => {
      const step =
        indent === undefined || indent === null
          ? undefined
          : typeof indent === 'string'
            ? indent
            : spaces(asInt(indent, 'indent'), budget)
      const [item, key] =
        separators === undefined || separators === null
          ? [step === undefined ? ', ' : ',', ': ']
          : itemsOf(separators, budget).map((text) => asText(text, 'separator'))
      const text = json(value, { ascii: flag(ascii), indent: step, item, key, sortKeys: flag(sortKeys) }, budget)
      budget.made(text.length)
      return text
    },
  ],
  trim: [
    ['chars'],
    (value, [chars], { budget }) =>
      strip(str(value, budget), chars === undefined || chars === null ? undefined : asText(chars, 'chars'), true, true),
  ],
  truncate: [
    ['length', 'killwords', 'end', 'leeway'],
    (value, [size, kill, end, leeway], { budget }) =>
      truncated(
        str(value, budget),
        int(size, 255),
        flag(kill),
        end === undefined ? '...' : asText(end, 'end'),
        int(leeway, 5),
      ),
  ],
  unique: [
    ['case_sensitive', 'attribute'],
    (value, [caseSensitive, path], context) => {
      const key = attribute(path, context)
      const seen: Value[] = []
      const fresh = (item: Value) => {
        const wanted = folded(key(item), flag(caseSensitive))
        context.budget.spend(seen.length)
        return seen.some((one) => equal(one, wanted, context.budget)) ? false : seen.push(wanted) > 0
      }
      return iterator(items(value, context).filter(fresh))
    },
  ],
  upper: textual((text) => text.toUpperCase()),
  urlencode: textual(urlQuoted),
  wordcount: textual((text) => text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
}

/** Filters whose arguments depend on each other. */
const freeFilters: Record<string, (value: Value, args: Args, context: Context) => Value> = {
  format: (value, { list, named }, { budget }) =>
    percentFormat(str(value, budget), named.size ? new Map<Value, Value>(named) : list, budget),
  map: (value, args, context) => {
    const change = mapping(args, context)
    return iterator(items(value, context).map(change))
  },
  select: (value, args, context) => picked(value, args, context, false, true),
  reject: (value, args, context) => picked(value, args, context, false, false),
  selectattr: (value, args, context) => picked(value, args, context, true, true),
  rejectattr: (value, args, context) => picked(value, args, context, true, false),
}

/** map(attribute=..., default=...) or map('filter', arguments). */
const mapping = (args: Args, context: Context): ((item: Value) => Value) => {
  if (args.list.length) {
    const name = asText(args.list[0], 'the name of a filter')
    return (item) => applyFilter(name, item, { list: args.list.slice(1), named: args.named }, context)
  }
  if (!args.named.has('attribute')) return fail('map requires a filter argument')
  const [path, fallback] = bind('map', args, ['attribute', 'default'])
  return attribute(path, context, fallback)
}

const picked = (value: Value, { list, named }: Args, context: Context, byAttribute: boolean, keep: boolean): Value => {
  if (byAttribute && !list.length) return fail('Missing parameter for attribute name')
  const key = byAttribute ? attribute(list[0], context) : (item: Value) => item
  const [name, ...args] = byAttribute ? list.slice(1) : list
  const test = (item: Value) =>
    name === undefined
      ? truthy(item)
      : applyTest(asText(name, 'the name of a test'), item, { list: args, named }, context.budget)
  return iterator(items(value, context).filter((item) => test(key(item)) === keep))
}
