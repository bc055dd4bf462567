/** Methods of str. On markup they return markup and escape their arguments. */
import { bind, placed } from './arguments.ts'
import type { Budget, Context } from './budget.ts'
import { braceFormat } from './format.ts'
import { escapedText } from './markup.ts'
import { itemsOf } from './operations.ts'
import { listed } from './print.ts'
import {
  capitalize,
  expandedTabs,
  isLower,
  isTitle,
  isUpper,
  lines,
  occurrences,
  replace,
  slicePoints,
  splitAt,
  splitSpace,
  strip,
  titleCase,
  whiteSpace,
} from './pythonText.ts'
import { throughMarks } from './throughMarks.ts'
import type { Args, Value } from './values.ts'
import {
  asInt,
  asText,
  dict,
  fail,
  func,
  is,
  isDict,
  isInt,
  isList,
  itemAt,
  keysOf,
  markup,
  pointLength,
  textIn,
  truthy,
  tuple,
  typeName,
} from './values.ts'

/** Finds what a field of str.format names in a value, such as `.name` or `[0]`. */
export type FindField = (value: Value, path: string, context: Context) => Value

/** A method of a text; `safe` where that is markup. */
type TextMethod = (text: string, args: Args, context: Context, safe: boolean, findField: FindField) => Value

/** A value to be put into a text; it is escaped where the text is markup. */
const inserted = (value: Value, safe: boolean, budget: Budget): Value => (safe ? escapedText(value, budget) : value)

export const textMethod = (of: Value, name: string, context: Context, findField: FindField): Value | undefined => {
  if (!Object.hasOwn(textMethods, name)) return undefined
  const run = textMethods[name]
  const text = textIn(of)!
  return func(name, (args) => {
    // every method reads all of the text
    context.budget.spendText(text.length)
    if (byCharacter.has(name)) context.budget.spend(text.length / 2)
    const safe = is(of, 'markup')
    const read = (text: string, args: Args) => run(text, args, context, safe, findField)
    const made = context.budget.marked ? throughMarks(name, text, args, read) : read(text, args)
    return safe ? asMarkup(made) : made
  })
}

/** Methods that go through a text character by character. */
const byCharacter = new Set(['title', 'swapcase', 'expandtabs', 'translate'])

const asMarkup = (value: Value): Value => {
  if (typeof value === 'string') return markup(value)
  if (isList(value)) return value.map(asMarkup)
  return is(value, 'tuple') ? tuple(value.items.map(asMarkup)) : value
}

const plain =
  (change: (text: string) => Value): TextMethod =>
  (text, args) => {
    bind('the method', args, [])
    return change(text)
  }

const isGiven = (value: Value | undefined): value is Exclude<Value, null> => value !== undefined && value !== null
const optionalText = (value: Value | undefined, what: string): string | undefined =>
  isGiven(value) ? asText(value, what) : undefined

const stripping =
  (left: boolean, right: boolean): TextMethod =>
  (text, args) =>
    strip(text, optionalText(placed('strip', args, 0, 1)[0], 'strip arg'), left, right)

const splitting =
  (right: boolean): TextMethod =>
  (text, args, { budget }) => {
    const [sep, maxsplit] = bind('split', args, ['sep', 'maxsplit'])
    const separator = optionalText(sep, 'separator')
    if (separator === '') return fail('empty separator')
    const most = maxsplit === undefined ? -1 : asInt(maxsplit, 'maxsplit')
    budget.spend(separator === undefined ? text.length / 2 : occurrences(text, separator))
    return separator === undefined ? splitSpace(text, most, right) : splitAt(text, separator, most, right)
  }

const partition =
  (right: boolean): TextMethod =>
  (text, args) => {
    const separator = asText(placed('partition', args, 1, 1)[0], 'separator')
    if (separator === '') return fail('empty separator')
    const at = right ? text.lastIndexOf(separator) : text.indexOf(separator)
    if (at < 0) return tuple(right ? ['', '', text] : [text, '', ''])
    return tuple([text.slice(0, at), separator, text.slice(at + separator.length)])
  }

/** The part of a text that a method with start and end arguments looks at; by default all of it. */
const between = (text: string, [, start, end]: readonly (Value | undefined)[], budget: Budget) => {
  const length = pointLength(text)
  const place = (value: Value | undefined, fallback: number) => {
    const at = isGiven(value) ? asInt(value, 'slice indices') : fallback
    return Math.max(0, at < 0 ? at + length : at)
  }
  const from = place(start, 0)
  const to = Math.min(place(end, length), length)
  return { from, part: from > to ? undefined : slicePoints(text, from, to, budget) }
}

/** startswith and endswith: one text or a tuple of them. */
const edge =
  (test: (text: string, wanted: string) => boolean): TextMethod =>
  (text, args, { budget }) => {
    const given = placed('startswith', args, 1, 3)
    const { part } = between(text, given, budget)
    const wanted = is(given[0], 'tuple') ? given[0].items : given.slice(0, 1)
    return wanted.some((one) => {
      const edgeText = asText(one, 'startswith first arg')
      return part !== undefined && test(part, edgeText)
    })
  }

const finding =
  (last: boolean, must: boolean): TextMethod =>
  (text, args, { budget }) => {
    const given = placed('find', args, 1, 3)
    const wanted = asText(given[0], 'sub')
    const { from, part } = between(text, given, budget)
    const at = part === undefined ? -1 : last ? part.lastIndexOf(wanted) : part.indexOf(wanted)
    if (at < 0) return must ? fail('substring not found') : -1
    return from + pointLength(part!.slice(0, at))
  }

const justify =
  (share: (lacking: number, width: number) => number): TextMethod =>
  (text, args, { budget }, safe) => {
    const [width, fillchar = ' '] = placed('center', args, 1, 2)
    const fill = asText(inserted(fillchar, safe, budget), 'fillchar')
    if (pointLength(fill) !== 1) return fail('The fill character must be exactly one character long')
    return pad(text, asInt(width, 'width'), fill, share, budget)
  }

const pad = (
  text: string,
  width: number,
  fill: string,
  share: (lacking: number, width: number) => number,
  budget: Budget,
): string => {
  const lacking = width - pointLength(text)
  if (!(lacking > 0)) return text
  budget.spendText(width)
  const left = share(lacking, width)
  return fill.repeat(left) + text + fill.repeat(lacking - left)
}

/** Where padding does not divide evenly, str.center puts the extra character left if the width is odd. */
export const centered = (text: string, width: number, budget: Budget): string =>
  pad(text, width, ' ', centerShare, budget)
const centerShare = (lacking: number, width: number): number => Math.floor(lacking / 2) + (lacking & width & 1)

export const replaced = (text: string, from: string, to: string, most: number, budget: Budget): string => {
  const found = occurrences(text, from)
  const count = most < 0 ? found : Math.min(found, most)
  budget.spendText(text.length + count * Math.max(0, to.length - from.length))
  budget.spend(found)
  return replace(text, from, to, most)
}

const every = (pattern: RegExp) => plain((text) => pattern.test(text))

const textMethods: Record<string, TextMethod> = {
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  casefold: plain((text) => text.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ')),
  swapcase: plain((text) =>
    text.replace(/\p{Cased}/gu, (char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase())),
  ),
  capitalize: plain(capitalize),
  title: plain(titleCase),
  strip: stripping(true, true),
  lstrip: stripping(true, false),
  rstrip: stripping(false, true),
  split: splitting(false),
  rsplit: splitting(true),
  splitlines: (text, args, { budget }) => {
    const [keep] = bind('splitlines', args, ['keepends'])
    budget.spend(text.length / 2)
    return lines(text, keep !== undefined && truthy(keep))
  },
  partition: partition(false),
  rpartition: partition(true),
  startswith: edge((text, wanted) => text.startsWith(wanted)),
  endswith: edge((text, wanted) => text.endsWith(wanted)),
  removeprefix: (text, args) => {
    const prefix = asText(placed('removeprefix', args, 1, 1)[0], 'prefix')
    return text.startsWith(prefix) ? text.slice(prefix.length) : text
  },
  removesuffix: (text, args) => {
    const suffix = asText(placed('removesuffix', args, 1, 1)[0], 'suffix')
    return suffix && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text
  },
  find: finding(false, false),
  rfind: finding(true, false),
  index: finding(false, true),
  rindex: finding(true, true),
  count: (text, args, { budget }) => {
    const given = placed('count', args, 1, 3)
    const wanted = asText(given[0], 'sub')
    const { part } = between(text, given, budget)
    return part === undefined ? 0 : occurrences(part, wanted)
  },
  replace: (text, args, { budget }, safe) => {
    const [from, to, count = -1] = placed('replace', args, 2, 3)
    const old = asText(from, 'replace() argument 1')
    return replaced(
      text,
      old,
      asText(inserted(to, safe, budget), 'replace() argument 2'),
      asInt(count, 'count'),
      budget,
    )
  },
  join: (text, args, { budget }, safe) => {
    const items = itemsOf(placed('join', args, 1, 1)[0], budget)
    return listed(
      items.map((item, i) => asText(inserted(item, safe, budget), `sequence item ${i}`)),
      text,
      budget,
    )
  },
  format: (text, args, context, safe, findField) =>
    braceFormat(text, args, (value, path) => findField(value, path, context), safe, context.budget),
  format_map: (text, args, context, safe, findField) => {
    const [names] = placed('format_map', args, 1, 1)
    if (!isDict(names)) return fail('format_map takes a mapping')
    const named = new Map([...names.entries.values()].map(([key, item]) => [textIn(key) ?? '', item]))
    return braceFormat(
      text,
      { list: [], named },
      (value, path) => findField(value, path, context),
      safe,
      context.budget,
    )
  },
  center: justify(centerShare),
  ljust: justify(() => 0),
  rjust: justify((lacking) => lacking),
  zfill: (text, args, { budget }) => {
    const width = asInt(placed('zfill', args, 1, 1)[0], 'width')
    const sign = /^[+-]/.exec(text)?.[0] ?? ''
    return sign + pad(text.slice(sign.length), width - sign.length, '0', (lacking) => lacking, budget)
  },
  expandtabs: (text, args, { budget }) => {
    const [size = 8] = bind('expandtabs', args, ['tabsize'])
    const expanded = expandedTabs(text, asInt(size, 'tabsize'))
    budget.spendText(expanded.length)
    return expanded.text()
  },
  translate: (text, args, { budget }) => {
    const [table] = placed('translate', args, 1, 1)
    const parts = [...text].map((char) => {
      budget.spend(1)
      const to = isDict(table) ? itemAt(table, char.codePointAt(0)!) : undefined
      if (to === undefined) return char
      if (to === null) return ''
      return isInt(to) ? String.fromCodePoint(Number(to)) : asText(to, 'translate')
    })
    return listed(parts, '', budget)
  },
  maketrans: (_, args, { budget }) => {
    const [from, to, gone = ''] = placed('maketrans', args, 1, 3)
    const code = (char: Value) => (typeof char === 'string' ? char.codePointAt(0)! : char)
    if (to === undefined)
      return isDict(from)
        ? dict(keysOf(from).map((key) => [code(key), itemAt(from, key)!]))
        : fail('if you give only one argument to maketrans it must be a dict')
    const [a, b] = [[...asText(from, 'maketrans')], [...asText(to, 'maketrans')]]
    if (a.length !== b.length) return fail('the first two maketrans arguments must have equal length')
    budget.spend(a.length)
    const pairs = a.map((char, i): [Value, Value] => [code(char), code(b[i])])
    return dict([...pairs, ...[...asText(gone, 'maketrans')].map((char): [Value, Value] => [code(char), null])])
  },
  isspace: every(new RegExp(`^[${whiteSpace}]+$`)),
  isdigit: every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089\u2460-\u2468]+$/u),
  isdecimal: every(/^\p{Nd}+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isascii: every(/^[\0-\x7f]*$/),
  isprintable: every(/^(?:(?! )[^\p{C}\p{Z}]| )*$/u),
  isidentifier: every(/^[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}_]*$/u),
  isupper: plain(isUpper),
  islower: plain(isLower),
  istitle: plain(isTitle),
  encode: (text) => fail(`bytes are not known to a chat template (encode of ${typeName(text)})`),
}
