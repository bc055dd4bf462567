/**
 * Markup: texts that count as safe HTML, made by the filters escape and safe. Text that is joined to markup is escaped.
 */
import type { Budget } from './budget.ts'
import { inParts } from './marks.ts'
import { str } from './print.ts'
import type { Value } from './values.ts'
import { is } from './values.ts'

const escapes: Record<string, string> = { '&': '&amp;', '>': '&gt;', '<': '&lt;', "'": '&#39;', '"': '&#34;' }

export const escapeHtml = (text: string, budget: Budget): string =>
  budget.marked ? inParts(text, (part) => escapePart(part, budget)) : escapePart(text, budget)

const escapePart = (text: string, budget: Budget): string => {
  let length = text.length
  for (const char of text) length += (escapes[char]?.length ?? 1) - 1
  budget.spendText(length)
  return text.replace(/[&><'"]/g, (char) => escapes[char])
}

/** The text of markup as it is, of anything else escaped. */
export const escapedText = (value: Value, budget: Budget): string =>
  is(value, 'markup') ? value.text : escapeHtml(str(value, budget), budget)

/**
 * HTML without comments, tags and doubled space. Only the entities that escaping makes and the commonest others are
 * read.
 */
export const withoutTags = (text: string, budget: Budget): string => {
  budget.spendText(text.length)
  const parts: string[] = []
  let at = 0
  for (let start = text.indexOf('<'); start >= 0; start = text.indexOf('<', at)) {
    const comment = text.startsWith('<!--', start)
    const end = comment ? text.indexOf('-->', start + 4) : text.indexOf('>', start)
    if (end < 0) break
    parts.push(text.slice(at, start))
    at = end + (comment ? 3 : 1)
  }
  return [...parts, text.slice(at)].join('')
}

const entities: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
  copy: '©',
  reg: '®',
  trade: '™',
  hellip: '…',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  bull: '•',
  middot: '·',
  deg: '°',
  euro: '€',
  pound: '£',
  times: '×',
  divide: '÷',
  larr: '←',
  rarr: '→',
  sect: '§',
  para: '¶',
}

export const unescapeHtml = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));?/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(entities, name) && whole.endsWith(';') ? entities[name] : whole
    const point = decimal !== undefined ? Number(decimal) : Number.parseInt(hex, 16)
    return point === 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)
      ? '\ufffd'
      : String.fromCodePoint(point)
  })
