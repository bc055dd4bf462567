/** Filters from texts to texts. */
import { wellFormed } from '../unicode.ts'
import type { Budget, Context } from './budget.ts'
import { toFloat } from './conversions.ts'
import { fixed } from './decimals.ts'
import { type Filter, flag, int, items, usable } from './filterArguments.ts'
import { toWhole } from './format.ts'
import { escapedText, escapeHtml, unescapeHtml, withoutTags } from './markup.ts'
import { iterable } from './operations.ts'
import { listed, str } from './print.ts'
import { capitalize, lines, slicePoints, spaces, splitSpace, strip, upperFirst, whiteSpace } from './pythonText.ts'
import { centered, replaced } from './textMethods.ts'
import type { Value } from './values.ts'
import { asInt, asText, fail, is, isDict, lengthOf, markup, pointLength, textIn, truthy, typeName } from './values.ts'
import { wrapped } from './wordWrap.ts'

/** On the text of any value; markup stays markup. */
const textual = (change: (text: string, context: Context) => string): Filter => [
  [],
  (value, _, context) => soft(value, context, (text) => change(text, context)),
]
const soft = (value: Value, { budget }: Context, change: (text: string) => string): Value => {
  const text = change(str(value, budget))
  return is(value, 'markup') ? markup(text) : text
}

const escaping: Filter = [[], (value, _, { budget }) => markup(escapedText(value, budget))]

export const textFilters: Record<string, Filter> = {
  capitalize: textual(capitalize),
  center: [
    ['width'],
    (value, [width], context) => soft(value, context, (text) => centered(text, int(width, 80), context.budget)),
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
  forceescape: [[], (value, _, { budget }) => markup(escapeHtml(str(value, budget), budget))],
  indent: [
    ['width', 'first', 'blank'],
    (value, [width = 4, first, blank], { budget }) => {
      const text = asText(value, 'indent')
      const step = textIn(width) ?? spaces(asInt(width, 'width'), budget)
      const result = indented(text, step, flag(first), flag(blank), budget)
      return is(value, 'markup') ? markup(result) : result
    },
  ],
  lower: textual((text) => text.toLowerCase()),
  replace: [
    ['old', 'new', 'count'],
    (value, [from, to, count], { budget }) => {
      if (from === undefined || to === undefined) return fail('replace takes what to replace and what to put there')
      const most = count === undefined || count === null ? -1 : asInt(count, 'count')
      return replaced(str(value, budget), str(from, budget), str(to, budget), most, budget)
    },
  ],
  safe: [[], (value, _, { budget }) => markup(str(value, budget))],
  string: textual((text) => text),
  striptags: [
    [],
    (value, _, { budget }) =>
      unescapeHtml(listed(splitSpace(withoutTags(str(value, budget), budget), -1, false), ' ', budget)),
  ],
  title: [
    [],
    (value, _, { budget }) => {
      const text = str(value, budget)
      budget.spend(text.length / 2)
      return titleWords(text)
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
      const tail = asText(end, 'end')
      const most = int(size, 255)
      const room = leeway === null ? 5 : asInt(leeway, 'leeway')
      if (most < pointLength(tail) || room < 0) return fail(`expected length >= ${pointLength(tail)} and leeway >= 0`)
      if (lengthOf(value) <= most + room) return value
      const cut = cutText(asText(value, 'truncate'), most - pointLength(tail), flag(kill), budget)
      return is(value, 'markup') ? markup(cut + escapedText(end, budget)) : cut + tail
    },
  ],
  upper: textual((text) => text.toUpperCase()),
  urlencode: [
    [],
    (value, _, context) => {
      const quoted = (part: Value, inQuery: boolean) => {
        const text = str(part, context.budget)
        context.budget.spendText(text.length * 3)
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
      for (const _word of text.matchAll(/[\p{L}\p{N}_]+/gu)) {
        budget.spend(1)
        count++
      }
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
    (value, [leading = true], { budget }) => {
      if (!isDict(value))
        return fail(is(value, 'missing') ? value.hint : `'${typeName(value)}' object has no attribute 'items'`)
      const parts: string[] = []
      for (const [key, item] of value.entries.values()) {
        if (item === null || is(item, 'missing')) continue
        if (/[\s/>=]/.test(asText(key, 'an attribute name'))) return fail('Invalid character in attribute name')
        parts.push(`${escapedText(key, budget)}="${escapedText(item, budget)}"`)
      }
      const text = listed(parts, ' ', budget)
      return truthy(leading) && text ? ` ${text}` : text
    },
  ],
}

const indented = (text: string, step: string, first: boolean, blank: boolean, budget: Budget): string => {
  budget.spend(text.length / 2)
  const found = lines(`${text}\n`)
  budget.spendText(text.length + found.length * (step.length + 1))
  const body = found.map((line, i) => (i > 0 && (blank || line) ? step + line : line)).join('\n')
  return first ? step + body : body
}

const wordBeginning = new RegExp(`([-${whiteSpace}({\\[<]+)`)

/** Words begin after a hyphen, white space or an opening bracket. */
const titleWords = (text: string): string => text.split(wordBeginning).map(upperFirst).join('')

/** So many characters of a text; up to the last space among them, unless words may be cut. */
const cutText = (text: string, size: number, killWords: boolean, budget: Budget): string => {
  const cut = slicePoints(text, 0, size, budget)
  const word = cut.lastIndexOf(' ')
  return killWords || word < 0 ? cut : cut.slice(0, word)
}

/** Bytes in words: 1 Byte, 13 kB, 4.1 MiB. */
const fileSize = (bytes: number, binary: boolean): string => {
  const base = binary ? 1024 : 1000
  if (bytes === 1) return '1 Byte'
  if (!(bytes >= base)) return `${toWhole(bytes)} Bytes`
  const power = Math.max(
    0,
    [...'kMGTPEZY'].findIndex((_, i) => bytes < base ** (i + 2)),
  )
  const at = bytes < base ** 9 ? power : 7
  const prefix = 'kMGTPEZY'[at]
  const size = (base * bytes) / base ** (at + 2)
  return `${Number.isFinite(size) ? fixed(size, 1) : 'inf'} ${prefix === 'k' && binary ? 'K' : prefix}${binary ? 'iB' : 'B'}`
}

/** Quotes for a URL's path: all but letters, digits and _.-~/ ; in a query the slash too, and a plus for a space. */
const urlQuoted = (text: string, inQuery = false): string => {
  const quoted = encodeURIComponent(wellFormed(text)).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return inQuery ? quoted.replaceAll('%20', '+') : quoted.replaceAll('%2F', '/')
}
