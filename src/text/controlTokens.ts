/**
 * Keeps control tokens that a chat template writes apart from the same texts in messages: the template sees the messages
 * as they are, and what came from them is known by its place in the rendered text (jinja/marks.ts), where no control
 * token is taken.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { ChatEncoder, Encoding } from './encoding.ts'
import { markData, markText } from './jinja/marks.ts'
import type { Statement } from './jinja/nodes.ts'
import { pointLength } from './jinja/values.ts'
import { wellFormed } from './unicode.ts'

/** Contents of special tokens, and of other added tokens that stand in the template's own text, but not white space. */
export const controlTokens = (added: ChatEncoder['added'], template: readonly Statement[]): ReadonlySet<string> => {
  const literals = textsOf(template)
  const isControl = ({ content, special }: ChatEncoder['added'][number]) =>
    special || (content.trim() !== '' && literals.some((text) => text.includes(content)))
  return new Set(added.filter(isControl).map(({ content }) => content))
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

/**
 * Messages whose texts are marked, but for roles, of which templates make control tokens, and for what the assistant
 * itself may have written: added tokens that are not special, such as those around its reasoning.
 */
export const markMessages = (
  messages: readonly Readonly<Record<string, unknown>>[],
  added: ChatEncoder['added'],
): Readonly<Record<string, unknown>>[] => {
  const ordinary = anyOf(added.filter(({ special }) => !special).map(({ content }) => content))
  const markAssistant = (text: string) =>
    text
      .split(ordinary)
      .map((part, i) => (i % 2 ? part : markText(part)))
      .join('')
  return messages.map((message) => {
    const { role, ...fields } = message
    const marked = markData(fields, role === 'assistant' ? markAssistant : markText)
    return role === undefined ? marked : { role: isRole(role) ? role : markData(role), ...marked }
  })
}

const isRole = (role: unknown) => typeof role === 'string' && /^[\w.-]{1,64}$/.test(role)

/** Longer tokens first, so that a token goes before those inside it. */
const anyOf = (tokens: string[]): RegExp => {
  const escaped = tokens
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  return new RegExp(`(${escaped.join('|') || '(?!)'})`)
}

/**
 * Data as a tokenizer reads it, without broken surrogates. Throws the Fault 'control-token' for what cannot be marked: names
 * of fields, which reach the text too, and the code points of the marks themselves.
 */
export const readable = <T>(data: T, controls: ReadonlySet<string>): T => {
  checkNames(data, controls)
  return markData(data, (text) => {
    if (/[\u{40000}-\u{6ffff}]/u.test(text))
      throw badInput('control-token', 'code points from U+40000 to U+6FFFF, which are not assigned, cannot be taken')
    return wellFormed(text)
  })
}

const checkNames = (data: unknown, controls: ReadonlySet<string>): void => {
  if (typeof data !== 'object' || data === null) return
  for (const [key, item] of Object.entries(data)) {
    const found = Array.isArray(data) ? undefined : [...controls].find((token) => key.includes(token))
    if (found) throw badInput('control-token', `${quoted(found)} in the name of a field cannot be taken as plain text`)
    checkNames(item, controls)
  }
}

/**
 * Control tokens that the messages brought are encoded by themselves, as plain text; all other text as ever. As
 * transformers' `sanitize_control_tokens` does it.
 * @param data of each code point of the text, whether it came from the messages
 */
export const encodeApart = (
  text: string,
  data: Uint8Array,
  controls: ReadonlySet<string>,
  encoder: ChatEncoder,
): Encoding => {
  const encodePiece = pieceEncoder(encoder)
  const out: Encoding = { ids: [], tokens: [], offsets: [] }
  const touches = (start: number, end: number) => data.subarray(start, end).includes(1)
  let point = 0
  for (const { piece, asText } of piecesOf(text, touches, anyOf([...controls]))) {
    const { ids, tokens, offsets } = encodePiece(piece, asText, point === 0)
    for (const [i, id] of ids.entries()) {
      const [start, end] = [point + offsets[i][0], point + offsets[i][1]]
      if (controls.has(tokens[i]) && touches(start, end)) throw unavoidable(tokens[i])
      out.ids.push(id)
      out.tokens.push(tokens[i])
      out.offsets.push([start, end])
    }
    point += pointLength(piece)
  }
  return out
}

const unavoidable = (token: string) =>
  badInput(
    'control-token',
    `${quoted(token)} cannot be taken as plain text: the tokenizer makes the token of it anyway`,
  )

/** Control tokens with anything in them that came from the messages, and what stands between those. */
function* piecesOf(text: string, touches: (start: number, end: number) => boolean, pattern: RegExp) {
  let [done, at, point] = [0, 0, 0]
  for (const { index, 0: token } of text.matchAll(new RegExp(pattern, 'g'))) {
    point += pointLength(text.slice(at, index))
    at = index + token.length
    const start = point
    point += pointLength(token)
    if (!touches(start, point)) continue
    if (done < index) yield { piece: text.slice(done, index), asText: false }
    yield { piece: token, asText: true }
    done = at
  }
  if (done < text.length) yield { piece: text.slice(done), asText: false }
}

/** A piece from the middle is encoded behind a line break, which is taken away again, so that no prefix space is added. */
const pieceEncoder = (encoder: ChatEncoder) => {
  const line = encoder.encode('\n').ids
  const known = new Map<string, Encoding>()
  const inside = (piece: string, encode: (text: string) => Encoding): Encoding => {
    const behind = encode(`\n${piece}`)
    return line.every((id, i) => behind.ids[i] === id) ? cutFirst(behind, line.length) : encode(piece)
  }
  return (piece: string, asText: boolean, isFirst: boolean): Encoding => {
    if (!asText) return isFirst ? encoder.encode(piece) : inside(piece, encoder.encode)
    const found = known.get(piece) ?? inside(piece, encoder.encodePlain)
    known.set(piece, found)
    return found
  }
}

const cutFirst = ({ ids, tokens, offsets }: Encoding, count: number): Encoding => ({
  ids: ids.slice(count),
  tokens: tokens.slice(count),
  offsets: offsets.slice(count).map(([from, to]): [number, number] => [Math.max(0, from - 1), Math.max(0, to - 1)]),
})
