/**
 * Labels of unpaired rows, good or bad: true and false, 1 and 0, words (yes, up, good, 👍, ...), or whatever a rule
 * names: `up=true,down=false` names values, `>=4` is a threshold for ratings.
 */
import { quoted } from '../util/quote.ts'
import { badValue, type Issue, nullValue, wrongType } from './issue.ts'

const GOOD = '1 true yes y up good like liked positive thumbsup thumbs-up thumbs_up desirable chosen 👍 +1'
const BAD =
  '0 false no n down bad dislike disliked negative thumbsdown thumbs-down thumbs_down undesirable rejected 👎 -1'

const words = new Map<string, boolean>([
  ...GOOD.split(' ').map((word) => [word, true] as const),
  ['thumbs up', true],
  ...BAD.split(' ').map((word) => [word, false] as const),
  ['thumbs down', false],
])

/** As a word is compared: without the variants of emoji and the colours of hands. */
const plain = (value: unknown) =>
  String(value)
    .replace(/[\u{fe0f}\u{1f3fb}-\u{1f3ff}]/gu, '')
    .trim()
    .toLowerCase()

/** What a label says by itself. */
export const labelWord = (value: unknown): boolean | undefined =>
  typeof value === 'boolean'
    ? value
    : typeof value === 'string' || typeof value === 'number'
      ? words.get(plain(value))
      : undefined

/** How values become labels: undefined for a value that the rule does not name. */
export type LabelRule = { text: string; of(value: unknown): boolean | undefined }

const COMPARISON = /^(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)$/
const compare = {
  '>=': (a: number, b: number) => a >= b,
  '<=': (a: number, b: number) => a <= b,
  '>': (a: number, b: number) => a > b,
  '<': (a: number, b: number) => a < b,
}

/** A rating as a number: 4, "4", "4,5" or stars. */
const ratingOf = (value: unknown): number => {
  if (typeof value === 'number') return value
  const text = plain(value)
  if (/^[★⭐☆]+$/u.test(text)) return [...text].filter((star) => star !== '☆').length
  return /^-?\d+([.,]\d+)?$/.test(text) ? Number(text.replace(',', '.')) : Number.NaN
}

/** Whether a value is a number or stars, which a threshold tells apart. */
export const isRating = (value: unknown): boolean => Number.isFinite(ratingOf(value))

/** A cell that nobody filled in. */
export const isBlankLabel = (value: unknown): boolean => value === null || (typeof value === 'string' && !value.trim())

/** What orders answers: a rating as it is, a word as 1 where it is good and 0 where it is bad. */
export const markOf = (value: unknown): number | undefined => {
  if (isRating(value)) return ratingOf(value)
  const word = labelWord(value)
  return word === undefined ? undefined : Number(word)
}

/** Any rating, or a word that says good or bad: where it counts only which is higher, or that there is one. */
export const anyMark: LabelRule = {
  text: '',
  of: (value) => {
    const mark = markOf(value)
    return mark === undefined ? undefined : mark > 0
  },
}

/** The rule that a text spells, or undefined where it spells none. @example labelRule('up=true,down=false') */
export const labelRule = (text: string): LabelRule | undefined => {
  const [, sign, bound] = COMPARISON.exec(text.trim()) ?? []
  if (sign)
    return {
      text: text.trim(),
      of: (value) => {
        const rating = ratingOf(value)
        return Number.isFinite(rating) ? compare[sign as keyof typeof compare](rating, Number(bound)) : undefined
      },
    }
  const named = new Map<string, boolean>()
  for (const pair of text.split(',')) {
    const at = pair.lastIndexOf('=')
    const [value, label] = [plain(pair.slice(0, at)), words.get(plain(pair.slice(at + 1)))]
    if (at < 1 || !value || label === undefined || named.has(value)) return
    named.set(value, label)
  }
  return { text, of: (value) => named.get(plain(value)) }
}

/** A label by the rule where there is one, else by what it says. */
export const readLabel = (value: unknown, rule?: LabelRule): boolean | Issue => {
  if (value === null) return nullValue('is null, but a value must be there')
  if (value === undefined) return { issue: 'missing-column', message: 'is missing' }
  const label = rule ? rule.of(value) : labelWord(value)
  if (label !== undefined) return label
  if (rule?.text) return badValue(`is ${quoted(value, 40)}, which --label ${shell(rule.text)} does not name`)
  if (isRating(value))
    return badValue(`is the rating ${quoted(value, 40)}; say from which rating on a completion is good: --label '>=4'`)
  if (typeof value !== 'string')
    return wrongType('must be true or false, 1 or 0, a word such as yes or no, or a rating')
  return wrongType(
    `must be true or false, but is ${quoted(value, 40)}; say what its words mean: --label ${shell(`${value.slice(0, 40)}=true,other=false`)}`,
  )
}

const shell = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** How often each value of a column was read as good or bad. */
export type LabelCounts = Record<string, { label: boolean; count: number }>

/** Values that are told apart in the account of how labels were read. */
const MOST_NAMED = 12

/** Counts a value that is no plain true or false; values beyond the first are counted together. */
export const countLabel = (counts: LabelCounts, value: unknown, label: boolean): void => {
  if (typeof value === 'boolean') return
  const key = String(value).slice(0, 40)
  const name =
    Object.hasOwn(counts, key) || Object.keys(counts).length < MOST_NAMED ? key : label ? 'other (good)' : 'other (bad)'
  counts[name] ??= { label, count: 0 }
  counts[name].count++
}

/** @example 'labels were read as: good "up" (12), bad "down" (4)' */
export const labelsText = (counts: LabelCounts): string => {
  const of = (wanted: boolean) =>
    Object.entries(counts)
      .filter(([, { label }]) => label === wanted)
      .map(([value, { count }]) => `${quoted(value, 40)} (${count})`)
      .join(', ')
  return `labels were read as: ${[of(true) && `good ${of(true)}`, of(false) && `bad ${of(false)}`]
    .filter(Boolean)
    .join('; ')}`
}
