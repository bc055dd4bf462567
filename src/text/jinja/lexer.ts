/**
 * Splits a template into tokens by Jinja2's rules with trim_blocks and lstrip_blocks: the line break after a block is
 * dropped, and so is white space before a block on its line. `-` drops all white space on its side, `+` keeps it.
 */

import { quoted } from '../../util/quote.ts'
import { whole } from './integers.ts'
import { strip, whiteSpace } from './pythonText.ts'
import type { Int } from './values.ts'
import { templateFault } from './values.ts'

export type Token =
  | { type: 'data' | 'name' | 'string' | 'operator'; value: string; line: number }
  | { type: 'integer'; value: Int; line: number }
  | { type: 'float'; value: number; line: number }
  | { type: 'begin' | 'end'; value: 'block' | 'variable'; line: number }
  | { type: 'eof'; value: ''; line: number }

const s = `[${whiteSpace}]*`
const rules = {
  open: /\{[%{#]/g,
  raw: new RegExp(`\\{%[-+]?${s}raw${s}(?:-%\\}${s}|%\\})`, 'y'),
  endRaw: new RegExp(`\\{%([-+]?)${s}endraw${s}(?:\\+%\\}|-%\\}${s}|%\\}\\n?)`, 'g'),
  comment: new RegExp(`\\+#\\}|-#\\}${s}|#\\}\\n?`, 'g'),
  block: new RegExp(`\\+%\\}|-%\\}${s}|%\\}\\n?`, 'y'),
  variable: new RegExp(`-\\}\\}${s}|\\}\\}`, 'y'),
  space: new RegExp(`[${whiteSpace}]+`, 'y'),
  float: /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy,
  integer: /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy,
  name: /[\p{L}\p{N}_]+/uy,
  string: /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y,
  operator: /\/\/|\*\*|[=!<>]=|[-+/*%~[\](){}><=.:|,;]/y,
}

const closing: Record<string, string> = { '(': ')', '[': ']', '{': '}' }

export const tokenize = (template: string): Token[] => {
  const source = template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '')
  const tokens: Token[] = []
  let at = 0
  let line = 1
  let lineStarting = true

  const fail = (problem: string): never => {
    throw templateFault(`the chat template is wrong at line ${line}: ${problem}`)
  }
  const match = (rule: RegExp): RegExpExecArray | undefined => {
    rule.lastIndex = at
    return rule.exec(source) ?? undefined
  }
  /** Moves past a match, counting lines. */
  const pass = (to: number) => {
    for (let i = at; i < to; i++) if (source[i] === '\n') line++
    lineStarting = to > at ? source[to - 1] === '\n' : lineStarting
    at = to
  }
  const data = (value: string) => {
    if (value) tokens.push({ type: 'data', value, line })
  }

  /** The text before a tag, without the white space that the tag's sign or lstrip_blocks drops. */
  const before = (text: string, sign: string, variable: boolean): string => {
    if (sign === '-') return strip(text, undefined, false, true)
    if (sign === '+' || variable) return text
    const lineStart = text.lastIndexOf('\n') + 1
    const blank = new RegExp(`^[${whiteSpace}]+$`).test(text.slice(lineStart))
    return (lineStart > 0 || lineStarting) && blank ? text.slice(0, lineStart) : text
  }

  const root = () => {
    const open = match(rules.open)
    if (!open) {
      data(source.slice(at))
      return pass(source.length)
    }
    const tag = open[0]
    const sign = /[-+]/.exec(source[open.index + 2] ?? '')?.[0] ?? ''
    data(before(source.slice(at, open.index), sign, tag === '{{'))
    pass(open.index)
    const raw = tag === '{%' && match(rules.raw)
    if (raw) return rawBlock(at + raw[0].length)
    pass(at + 2 + sign.length)
    if (tag === '{#') return comment()
    inside(tag === '{%' ? 'block' : 'variable')
  }

  const rawBlock = (from: number) => {
    pass(from)
    const end = match(rules.endRaw) ?? fail('a raw block is not closed')
    data(before(source.slice(at, end.index), end[1], false))
    pass(end.index + end[0].length)
  }

  const comment = () => {
    const end = match(rules.comment) ?? fail('a comment is not closed')
    pass(end.index + end[0].length)
  }

  const inside = (kind: 'block' | 'variable') => {
    tokens.push({ type: 'begin', value: kind, line })
    const open: string[] = []
    while (at < source.length) {
      const end = open.length ? undefined : match(rules[kind])
      if (end) {
        tokens.push({ type: 'end', value: kind, line })
        return pass(at + end[0].length)
      }
      one(open)
    }
    tokens.push({ type: 'eof', value: '', line })
  }

  const one = (open: string[]) => {
    const skipped = match(rules.space)
    if (skipped) return pass(at + skipped[0].length)
    const type = (['float', 'integer', 'name', 'string', 'operator'] as const).find((rule) => match(rules[rule]))
    if (!type) return fail(`unexpected ${quoted(source[at])}`)
    const [text] = match(rules[type])!
    if (type === 'name' && /^\p{N}/u.test(text)) fail(`${quoted(text)} is no name`)
    if (type === 'operator') balance(open, text)
    if (type === 'float') tokens.push({ type, value: Number(text.replaceAll('_', '')), line })
    else if (type === 'integer') tokens.push({ type, value: whole(text.replaceAll('_', '')), line })
    else tokens.push({ type, value: type === 'string' ? unescaped(text.slice(1, -1)) : text, line })
    pass(at + text.length)
  }

  const balance = (open: string[], operator: string) => {
    if (closing[operator]) open.push(closing[operator])
    else if (')]}'.includes(operator) && open.pop() !== operator) fail(`unexpected ${operator}`)
  }

  const unescaped = (text: string): string =>
    text.replace(
      /\\(?:x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|([0-7]{1,3})|([\s\S]))/g,
      (whole, x, u, long, octal, char) => {
        if (x || u || long) return point(Number.parseInt(x ?? u ?? long, 16))
        if (octal) return point(Number.parseInt(octal, 8))
        if ('xuU'.includes(char)) return fail(`a wrong escape in ${quoted(text)}`)
        return simpleEscapes[char] ?? whole
      },
    )
  const point = (value: number): string =>
    value <= 0x10ffff ? String.fromCodePoint(value) : fail('a character beyond U+10FFFF')

  while (at < source.length) root()
  tokens.push({ type: 'eof', value: '', line })
  return tokens
}

const simpleEscapes: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
}
