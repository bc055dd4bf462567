/**
 * Jinja2's filters, each with its parameters in order. Left out, and refused by name, are those that make HTML links or draw
 * at random. A value not given is undefined; null is None, and means what None means to the filter. Filters that Python writes
 * as generators give iterators: their items are made when they are asked for, and can be read once.
 */
import { bind } from './arguments.ts'
import { arithmetic } from './arithmetic.ts'
import type { Context } from './evaluate.ts'
import { batches, columns, folded, groupedBy, sortedBy } from './filterLists.ts'
import { cutText, fileSize, indented, rounded, spaces, titleWords, toFloat, toInt, urlQuoted } from './filterText.ts'
import { percentFormat } from './format.ts'
import { itemOf, onlyAttribute } from './lookup.ts'
import { escapedText, escapeHtml, unescapeHtml, withoutTags } from './markup.ts'
import { compare, itemsOf, iterable } from './operations.ts'
import { prettyRepr } from './prettyPrint.ts'
import { json, listed, str } from './print.ts'
import { capitalize, lines, splitSpace, strip } from './pytext.ts'
import { applyTest } from './tests.ts'
import { centered, replaced } from './textMethods.ts'
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
  pointLength,
  sequenceOf,
  textIn,
  truthy,
  tuple,
  typeName,
} from './values.ts'
import { wrapped } from './wordWrap.ts'

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

/** Filters of Jinja2 that no chat template needs, and why they are not here. */
const leftOut: Record<string, string> = {
  random: 'a conversation must give the same text every time',
  urlize: 'a chat template makes no links',
}

export const filterNames = (): string[] => [
  ...Object.keys(filters),
  ...Object.keys(freeFilters),
  ...Object.keys(leftOut),
]

type Given = readonly (Value | undefined)[]
type Filter = [parameters: readonly string[], run: (value: Value, args: Given, context: Context) => Value]

const int = (value: Value | undefined, fallback: number): number =>
  value === undefined ? fallback : asInt(value, 'the argument')
const flag = (value: Value | undefined): boolean => value !== undefined && truthy(value)
/** A parameter whose default is None. */
const given = (value: Value | undefined): Value => (value === undefined ? null : value)

const usable = (value: Value): Value => (is(value, 'missing') ? fail(value.hint) : value)

/** On the text of any value; markup stays markup. */
const textual = (change: (text: string, context: Context) => string): Filter => [
  [],
  (value, _, context) => soft(value, context, (text) => change(text, context)),
]
const soft = (value: Value, { budget }: Context, change: (text: string) => string): Value => {
  const text = change(str(value, budget))
  return is(value, 'markup') ? markup(text) : text
}

const items = (value: Value, { budget }: Context): readonly Value[] => itemsOf(value, budget)

/** The items one by one, each paid for. */
function* each(value: Value, { budget }: Context): Generator<Value> {
  for (const item of iterable(value) ?? fail(`'${typeName(value)}' object is not iterable`)) {
    budget.spend(1)
    yield item
  }
}

/** Follows `a.b.0`; a missing part takes the fallback. */
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
    const get = attribute(given(path), context)
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
const escaping: Filter = [[], (value, _, { budget }) => markup(escapedText(value, budget))]

const filters: Record<string, Filter> = {
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
  attr: [['name'], (value, [name], context) => onlyAttribute(value, asText(given(name), 'attribute name'), context)],
  batch: [
    ['linecount', 'fill_with'],
    (value, [count, fill], context) =>
      iterator(batches(each(value, context), asInt(given(count), 'linecount'), given(fill), context.budget)),
  ],
  capitalize: textual(capitalize),
  center: [
    ['width'],
    (value, [width], context) => soft(value, context, (text) => centered(text, int(width, 80), context.budget)),
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
  e: escaping,
  escape: escaping,
  filesizeformat: [
    ['binary'],
    (value, [binary]) => {
      const bytes = toFloat(usable(value))
      return bytes === undefined ? fail('filesizeformat takes a number') : fileSize(bytes, flag(binary))
    },
  ],
  first: [
    [],
    (value, _, context) => {
      // by hand: leaving a for loop would end the iterator
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
  forceescape: [[], (value, _, { budget }) => markup(escapeHtml(str(value, budget), budget))],
  groupby: [
    ['attribute', 'default', 'case_sensitive'],
    (value, [path, fallback, caseSensitive], context) =>
      groupedBy(items(value, context), attribute(given(path), context, fallback), flag(caseSensitive), context.budget),
  ],
  indent: [
    ['width', 'first', 'blank'],
    (value, [width = 4, first, blank], { budget }) => {
      const text = asText(value, 'indent')
      const step = textIn(width) ?? spaces(asInt(width, 'width'), budget)
      const result = indented(text, step, flag(first), flag(blank), budget)
      return is(value, 'markup') ? markup(result) : result
    },
  ],
  int: [
    ['default', 'base'],
    (value, [fallback = 0, base], { budget }) => {
      budget.made(textIn(value)?.length ?? 0)
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
      const key = attribute(given(path), context)
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
  lower: textual((text) => text.toLowerCase()),
  max: [['case_sensitive', 'attribute'], extreme(1)],
  min: [['case_sensitive', 'attribute'], extreme(-1)],
  pprint: [[], (value, _, { budget }) => prettyRepr(value, budget)],
  replace: [
    ['old', 'new', 'count'],
    (value, [from, to, count], { budget }) => {
      if (from === undefined || to === undefined) return fail('replace takes what to replace and what to put there')
      const most = count === undefined || count === null ? -1 : asInt(count, 'count')
      return replaced(str(value, budget), str(from, budget), str(to, budget), most, budget)
    },
  ],
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
  safe: [[], (value, _, { budget }) => markup(str(value, budget))],
  slice: [
    ['slices', 'fill_with'],
    (value, [count, fill], context) =>
      iterator(columns(items(value, context), asInt(given(count), 'slices'), given(fill), context.budget)),
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
  string: textual((text) => text),
  striptags: [
    [],
    (value, _, { budget }) =>
      unescapeHtml(listed(splitSpace(withoutTags(str(value, budget), budget), -1, false), ' ', budget)),
  ],
  sum: [
    ['attribute', 'start'],
    (value, [path, start = 0], context) => {
      if (textIn(start) !== undefined) return fail("sum() can't sum strings [use ''.join(seq) instead]")
      const key = attribute(given(path), context)
      let total = start
      for (const item of each(value, context)) total = arithmetic('+', total, key(item), context.budget)
      return total
    },
  ],
  title: [[], (value, _, { budget }) => titleWords(str(value, budget))],
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
  trim: [
    ['chars'],
    (value, [chars = null], context) =>
      soft(value, context, (text) => strip(text, chars === null ? undefined : asText(chars, 'chars'), true, true)),
  ],
  truncate: [
    ['length', 'killwords', 'end', 'leeway'],
    (value, [size, kill, end = '...', leeway = null], { budget }) => {
      const text = asText(value, 'truncate')
      const tail = asText(end, 'end')
      const cut = cutText(
        text,
        int(size, 255),
        flag(kill),
        pointLength(tail),
        leeway === null ? 5 : asInt(leeway, 'leeway'),
      )
      if (cut === text && pointLength(text) <= int(size, 255) + (leeway === null ? 5 : asInt(leeway, 'leeway')))
        return value
      return is(value, 'markup') ? markup(cut + escapedText(end, budget)) : cut + tail
    },
  ],
  unique: [
    ['case_sensitive', 'attribute'],
    (value, [caseSensitive, path], context) => {
      const key = attribute(given(path), context)
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
  upper: textual((text) => text.toUpperCase()),
  urlencode: [
    [],
    (value, _, context) => {
      const quoted = (part: Value, inQuery: boolean) => {
        const text = str(part, context.budget)
        context.budget.made(text.length * 3)
        return urlQuoted(text, inQuery)
      }
      if (textIn(value) !== undefined || iterable(value) === undefined) return quoted(value, false)
      const pairs = isDict(value)
        ? [...value.entries.values()]
        : items(value, context).map((pair) => items(pair, context))
      return listed(
        pairs.map((pair) =>
          (pair.length === 2 ? pair : fail('urlencode takes pairs')).map((part) => quoted(part, true)).join('='),
        ),
        '&',
        context.budget,
      )
    },
  ],
  wordcount: [
    [],
    (value, _, { budget }) => {
      const text = str(value, budget)
      let count = 0
      for (const _word of text.matchAll(/[\p{L}\p{N}_]+/gu)) count++
      return count
    },
  ],
  wordwrap: [
    ['width', 'break_long_words', 'wrapstring', 'break_on_hyphens'],
    (value, [width, breakLong = true, ends = null, breakHyphens = true], { budget }) => {
      const text = asText(value, 'wordwrap')
      budget.spend(text.length)
      const end = ends === null ? '\n' : asText(ends, 'wrapstring')
      const paragraph = (line: string) =>
        listed(wrapped(line, int(width, 79), truthy(breakLong), breakHyphens === true, budget), end, budget)
      return listed(lines(text).map(paragraph), end, budget)
    },
  ],
  xmlattr: [
    ['autospace'],
    (value, [space = true], { budget }) => {
      if (!isDict(value))
        return fail(is(value, 'missing') ? value.hint : `'${typeName(value)}' object has no attribute 'items'`)
      const parts: string[] = []
      for (const [key, item] of value.entries.values()) {
        if (item === null || is(item, 'missing')) continue
        if (/[\s/>=]/.test(asText(key, 'an attribute name'))) return fail('Invalid character in attribute name')
        parts.push(`${escapedText(key, budget)}="${escapedText(item, budget)}"`)
      }
      const text = listed(parts, ' ', budget)
      return truthy(space) && text ? ` ${text}` : text
    },
  ],
}

/** Filters whose arguments depend on each other. Of what is empty or None the last five make nothing, and look at nothing. */
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
    return attribute(given(path), context, fallback)
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
