/**
 * Keeps control tokens that a user wrote apart from those that the chat template writes: user strings have theirs
 * wrapped in two private-use characters before rendering, and what is found wrapped afterwards is encoded as plain text.
 */
import { badInput } from '../util/fault.ts'
import { carryNotes } from '../util/written.ts'
import type { ChatEncoder } from './chat.ts'
import type { Statement } from './jinja/nodes.ts'
import { pointLength } from './jinja/values.ts'
import type { Encoding } from './tokenizer.ts'

const open = '\u{f0000}'
const close = '\u{f0001}'

/** Special tokens, and other added tokens that stand in the template's own text, but not white space. */
export const controlPattern = (added: ChatEncoder['added'], template: readonly Statement[]): RegExp => {
  const literals = textsOf(template)
  const isControl = ({ content, special }: ChatEncoder['added'][number]) =>
    special || (content.trim() !== '' && literals.some((text) => text.includes(content)))
  return anyOf(added.filter(isControl).map(({ content }) => content))
}

/** Longer tokens first, so that a token goes before those inside it. */
const anyOf = (tokens: string[]): RegExp => {
  const escaped = tokens
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  return new RegExp(escaped.join('|') || '(?!)', 'g')
}

/** All texts in a syntax tree: the template's data and its string constants. */
const textsOf = (node: unknown): string[] => {
  if (Array.isArray(node)) return node.flatMap(textsOf)
  if (typeof node !== 'object' || node === null) return []
  const { type, text, value } = node as { type?: string; text?: unknown; value?: unknown }
  if (type === 'data' && typeof text === 'string') return [text]
  if (type === 'const') return typeof value === 'string' ? [value] : []
  return Object.values(node).flatMap(textsOf)
}

/** Wraps control tokens in all strings of the data (keys aside), after taking out wrappers that stand there already. */
export const markControls = <T>(data: T, pattern: RegExp): T => mark(data, pattern) as T

const mark = (data: unknown, pattern: RegExp): unknown => {
  if (typeof data === 'string')
    return data.replaceAll(open, '').replaceAll(close, '').replace(pattern, `${open}$&${close}`)
  if (typeof data !== 'object' || data === null) return data
  if (Array.isArray(data))
    return carryNotes(
      data,
      data.map((item) => mark(item, pattern)),
    )
  const entries = Object.entries(data).map(([key, value]) => [key, mark(value, pattern)])
  return carryNotes(data, Object.fromEntries(entries))
}

export type Marked = Encoding & {
  readonly text: string
  /** How many wrappers were taken out before a UTF-16 unit of the wrapped text. */
  dropped?(at: number): number
}

/** Encodes a rendered text without its wrappers; offsets are those of the text without them. */
export const splitMarked = (rendered: string, encoder: ChatEncoder): Marked => {
  const wrapped = anyOf(encoder.added.map(({ content }) => content)).source
  const pieces = rendered.split(new RegExp(`${open}(${wrapped})${close}|[${open}${close}]`, 'u'))
  const out = { text: '', ids: [] as number[], tokens: [] as string[], offsets: [] as [number, number][] }
  pieces.forEach((piece, i) => {
    if (!piece) return
    const found = i === 0 ? encoder.encode(piece) : encodeInside(piece, i % 2 === 1, encoder)
    const start = pointLength(out.text)
    out.text += piece
    out.ids.push(...found.ids)
    out.tokens.push(...found.tokens)
    for (const [from, to] of found.offsets) out.offsets.push([from + start, to + start])
  })
  return { ...out, dropped: (at) => rendered.slice(0, at).split(new RegExp(`[${open}${close}]`, 'u')).length - 1 }
}

/** A piece from the middle: behind a line break, which is taken away again, so that no prefix space is added. */
const encodeInside = (piece: string, asText: boolean, encoder: ChatEncoder): Encoding => {
  const encode = (text: string) => (asText ? encoder.encodePlain(text) : encoder.encode(text))
  const line = encoder.encode('\n').ids
  const behind = encode(`\n${piece}`)
  const clean = line.every((id, i) => behind.ids[i] === id)
  const found: Encoding = clean ? cutFirst(behind, line.length) : encode(piece)
  const id = encoder.tokenToId(piece)
  if (asText && id !== undefined && found.ids.includes(id))
    throw badInput(
      'control-token',
      `${JSON.stringify(piece)} cannot be taken as plain text: the tokenizer makes the token of it anyway`,
    )
  return found
}

const cutFirst = ({ ids, tokens, offsets }: Encoding, count: number): Encoding => ({
  ids: ids.slice(count),
  tokens: tokens.slice(count),
  offsets: offsets.slice(count).map(([from, to]): [number, number] => [Math.max(0, from - 1), Math.max(0, to - 1)]),
})
