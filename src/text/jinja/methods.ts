/** Methods of str, dict, list and tuple that a template may call, and the attributes of namespaces and loops. */
import { bind } from './arguments.ts'
import type { Budget } from './budget.ts'
import type { Context } from './evaluate.ts'
import { braceFormat } from './format.ts'
import { attributeOf, itemOf } from './lookup.ts'
import { unmarkText } from './marks.ts'
import { capitalize, isLower, isUpper, lines, replace, space, splitAt, splitSpace, strip, titleCase } from './pytext.ts'
import { throughMarks } from './throughMarks.ts'
import type { Args, Dict, Value } from './values.ts'
import {
  asInt,
  asText,
  equal,
  fail,
  func,
  is,
  isDict,
  itemsOf,
  keyOf,
  missing,
  pointLength,
  sequenceOf,
  tuple,
  typeName,
} from './values.ts'

/** The method or attribute of that name, undefined where there is none. */
export const methodOf = (of: Value, name: string, context: Context): Value | undefined => {
  if (is(of, 'object')) return of.get(name)
  if (is(of, 'tuple') && (name === 'grouper' || name === 'list') && of.items.length === 2)
    return of.items[name === 'list' ? 1 : 0]
  const mutable = isDict(of) ? dictMutators : Array.isArray(of) ? listMutators : []
  if (mutable.includes(name)) return missing(`access to attribute '${name}' of '${typeName(of)}' object is unsafe.`)
  if (typeof of === 'string') return own(textMethods, name, (method) => paidText(name, method, of, context))
  if (isDict(of)) return own(dictMethods, name, (method) => func(name, (args) => method(of, args)))
  const items = sequenceOf(of)
  return items && own(sequenceMethods, name, (method) => func(name, (args) => method(items, args, context.budget)))
}

/** Every method of a text reads all of it. */
const paidText = (name: string, method: TextMethod, text: string, context: Context): Value =>
  func(name, (args) => {
    context.budget.made(text.length)
    const run = (text: string, args: Args) => method(text, args, context)
    return context.budget.marked ? throughMarks(name, text, args, run) : run(text, args)
  })

const own = <M>(table: Record<string, M>, name: string, use: (method: M) => Value): Value | undefined =>
  Object.hasOwn(table, name) ? use(table[name]) : undefined

const dictMutators = ['clear', 'pop', 'popitem', 'setdefault', 'update']
const listMutators = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']

const dictMethods: Record<string, (dict: Dict, args: Args) => Value> = {
  keys: (dict) => [...dict.keys()],
  values: (dict) => [...dict.values()],
  items: (dict) => [...dict].map(tuple),
  get: (dict, args) => {
    const [key = null, fallback = null] = bind('get', args, ['key', 'default'])
    return dict.get(keyOf(typeof key === 'string' ? unmarkText(key) : key)) ?? fallback
  },
  copy: (dict) => new Map(dict),
}

const sequenceMethods: Record<string, (items: readonly Value[], args: Args, budget: Budget) => Value> = {
  index: (items, args, budget) => {
    const [wanted = null] = bind('index', args, ['value'])
    const at = items.findIndex((item) => equal(item, wanted, budget))
    return at < 0 ? fail('the value is not in the list') : at
  },
  count: (items, args, budget) => {
    const [wanted = null] = bind('count', args, ['value'])
    return items.filter((item) => equal(item, wanted, budget)).length
  },
  copy: (items) => [...items],
}

type TextMethod = (text: string, args: Args, context: Context) => Value

const plain =
  (change: (text: string) => Value): TextMethod =>
  (text, args) => {
    bind('the method', args, [])
    return change(text)
  }

const optionalText = (value: Value | undefined, what: string): string | undefined =>
  value === undefined || value === null ? undefined : asText(value, what)
const optionalInt = (value: Value | undefined, fallback: number): number =>
  value === undefined || value === null ? fallback : asInt(value, 'a count')

const stripping =
  (left: boolean, right: boolean): TextMethod =>
  (text, args, { budget }) => {
    budget.made(text.length)
    return strip(text, optionalText(bind('strip', args, ['chars'])[0], 'strip arg'), left, right)
  }

const splitting =
  (right: boolean): TextMethod =>
  (text, args, { budget }) => {
    const [sep, maxsplit] = bind('split', args, ['sep', 'maxsplit'])
    const separator = optionalText(sep, 'separator')
    if (separator === '') return fail('empty separator')
    budget.made(text.length * 8)
    const most = optionalInt(maxsplit, -1)
    return separator === undefined ? splitSpace(text, most, right) : splitAt(text, separator, most, right)
  }

const partition =
  (right: boolean): TextMethod =>
  (text, args) => {
    const separator = asText(bind('partition', args, ['sep'])[0] ?? null, 'separator')
    if (separator === '') return fail('empty separator')
    const at = right ? text.lastIndexOf(separator) : text.indexOf(separator)
    if (at < 0) return tuple(right ? ['', '', text] : [text, '', ''])
    return tuple([text.slice(0, at), separator, text.slice(at + separator.length)])
  }

/** startswith and endswith: one text or a tuple of them. */
const edge =
  (test: (text: string, wanted: string) => boolean): TextMethod =>
  (text, args) => {
    const [wanted = null, start, end] = bind('startswith', args, ['prefix', 'start', 'end'])
    const part =
      start === undefined && end === undefined
        ? text
        : [...text].slice(optionalInt(start, 0), optionalInt(end, text.length)).join('')
    return (is(wanted, 'tuple') ? wanted.items : [wanted]).some((one) =>
      test(part, asText(one, 'startswith first arg')),
    )
  }

const finding =
  (last: boolean, must: boolean): TextMethod =>
  (text, args) => {
    const [wanted = null, start, end] = bind('find', args, ['sub', 'start', 'end'])
    const points = [...text]
    const [from, to] = [
      clampIndex(optionalInt(start, 0), points.length),
      clampIndex(optionalInt(end, points.length), points.length),
    ]
    const part = points.slice(from, to).join('')
    const at = last ? part.lastIndexOf(asText(wanted, 'sub')) : part.indexOf(asText(wanted, 'sub'))
    if (at < 0) return must ? fail('substring not found') : -1
    return from + pointLength(part.slice(0, at))
  }

const clampIndex = (at: number, length: number): number => Math.min(Math.max(at < 0 ? at + length : at, 0), length)

const justify =
  (share: (missing: number, width: number) => number): TextMethod =>
  (text, args, { budget }) => {
    const [width = 0, fillchar] = bind('center', args, ['width', 'fillchar'])
    const fill = optionalText(fillchar, 'fillchar') ?? ' '
    if (pointLength(fill) !== 1) return fail('The fill character must be exactly one character long')
    return pad(text, asInt(width, 'width'), fill, share, budget)
  }

const pad = (
  text: string,
  width: number,
  fill: string,
  share: (missing: number, width: number) => number,
  budget: Budget,
): string => {
  const missing = width - pointLength(text)
  if (missing <= 0) return text
  budget.made(width)
  const left = share(missing, width)
  return fill.repeat(left) + text + fill.repeat(missing - left)
}

/** str.center puts the odd one left where the width is odd. */
export const centered = (text: string, width: number, budget: Budget): string =>
  pad(text, width, ' ', centerShare, budget)
const centerShare = (missing: number, width: number): number => Math.floor(missing / 2) + (missing & width & 1)

export const replaced = (text: string, from: string, to: string, most: number, budget: Budget): string => {
  const found = from === '' ? text.length + 1 : text.split(from).length - 1
  budget.made(text.length + Math.min(found, most < 0 ? found : most) * to.length)
  return replace(text, from, to, most)
}

export const joined = (separator: string, parts: readonly string[], budget: Budget): string => {
  budget.made(
    parts.reduce((length, part) => length + part.length, 0) + separator.length * Math.max(0, parts.length - 1),
  )
  return parts.join(separator)
}

const every = (pattern: RegExp) => plain((text) => pattern.test(text))

const textMethods: Record<string, TextMethod> = {
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  casefold: plain((text) => text.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ')),
  swapcase: plain((text) =>
    [...text].map((char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase())).join(''),
  ),
  capitalize: plain(capitalize),
  title: plain(titleCase),
  strip: stripping(true, true),
  lstrip: stripping(true, false),
  rstrip: stripping(false, true),
  split: splitting(false),
  rsplit: splitting(true),
  splitlines: (text, args) => {
    const [keep] = bind('splitlines', args, ['keepends'])
    return lines(text, keep === true)
  },
  partition: partition(false),
  rpartition: partition(true),
  startswith: edge((text, wanted) => text.startsWith(wanted)),
  endswith: edge((text, wanted) => text.endsWith(wanted)),
  removeprefix: (text, args) => {
    const prefix = asText(bind('removeprefix', args, ['prefix'])[0] ?? null, 'prefix')
    return text.startsWith(prefix) ? text.slice(prefix.length) : text
  },
  removesuffix: (text, args) => {
    const suffix = asText(bind('removesuffix', args, ['suffix'])[0] ?? null, 'suffix')
    return suffix && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text
  },
  find: finding(false, false),
  rfind: finding(true, false),
  index: finding(false, true),
  rindex: finding(true, true),
  count: (text, args) => {
    const wanted = asText(bind('count', args, ['sub'])[0] ?? null, 'sub')
    return wanted === '' ? pointLength(text) + 1 : text.split(wanted).length - 1
  },
  replace: (text, args, { budget }) => {
    const [from = null, to = null, count] = bind('replace', args, ['old', 'new', 'count'])
    return replaced(
      text,
      asText(from, 'replace() argument 1'),
      asText(to, 'replace() argument 2'),
      optionalInt(count, -1),
      budget,
    )
  },
  join: (text, args, { budget }) => {
    const items = itemsOf(bind('join', args, ['iterable'])[0] ?? null, budget)
    return joined(
      text,
      items.map((item, i) => asText(item, `sequence item ${i}`)),
      budget,
    )
  },
  format: (text, args, context) =>
    braceFormat(text, args, (value, path) => fieldOf(value, path, context), context.budget),
  center: justify(centerShare),
  ljust: justify(() => 0),
  rjust: justify((missing) => missing),
  zfill: (text, args, { budget }) => {
    const width = asInt(bind('zfill', args, ['width'])[0] ?? null, 'width')
    const sign = /^[+-]/.exec(text)?.[0] ?? ''
    return sign + pad(text.slice(sign.length), width - sign.length, '0', (missing) => missing, budget)
  },
  isspace: every(new RegExp(`^[${space}]+$`)),
  isdigit: every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089\u2460-\u2468]+$/u),
  isdecimal: every(/^\p{Nd}+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isascii: every(/^[\0-\x7f]*$/),
  isidentifier: every(/^[\p{L}_][\p{L}\p{N}\p{M}_]*$/u),
  isupper: plain(isUpper),
  islower: plain(isLower),
}

/** The `.name` and `[key]` parts of a field in str.format. */
const fieldOf = (value: Value, path: string, context: Context): Value => {
  let found = value
  for (const [, name, key] of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
    found =
      name !== undefined
        ? attributeOf(found, name, context)
        : itemOf(found, /^\d+$/.test(key) ? Number(key) : key, context)
  return found
}
