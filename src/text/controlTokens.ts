/**
 * Keeps the control tokens that a chat template writes apart from the same texts in messages, as
 * `sanitize_control_tokens` of transformers does. The template sees the messages as they are. Which characters of the
 * rendered text came from them is known from marks (jinja/marks.ts), and no control token is recognised there.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { ChatEncoder, Encoding } from './encoding.ts'
import { markData, markText } from './jinja/marks.ts'
import type { Statement } from './jinja/nodes.ts'
import { pointLength } from './jinja/values.ts'
import { wellFormed } from './unicode.ts'

/** The special tokens, and the other added tokens that the template itself writes, except white space. */
export const controlTokens = (added: ChatEncoder['added'], template: readonly Statement[]): ReadonlySet<string> => {
  const literals = textsOf(template)
  const isControl = ({ content, special }: ChatEncoder['added'][number]) =>
    special || (content.trim() !== '' && literals.some((text) => text.includes(content)))
  return new Set(added.filter(isControl).map(({ content }) => content))
}

/** All texts of a template's syntax tree: what it writes as it is, and its string constants. */
const textsOf = (node: unknown): string[] => {
  if (Array.isArray(node)) return node.flatMap(textsOf)
  if (typeof node !== 'object' || node === null) return []
  const { type, text, value } = node as { type?: string; text?: unknown; value?: unknown }
  if (type === 'data' && typeof text === 'string') return [text]
  if (type === 'const') return typeof value === 'string' ? [value] : []
  return Object.values(node).flatMap(textsOf)
}

/**
 * Messages with their texts marked, except roles, from which templates make control tokens, and added tokens in the
 * assistant's messages that are not special, such as those around its reasoning: those it may have written itself.
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
 * Data as a tokenizer reads it, without unpaired surrogates. Throws the Fault 'control-token' for what cannot be
 * marked: control tokens in the names of fields, which can reach the text too, and the code points that marks use.
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
 * Encodes control tokens that came from the messages as plain text, each by itself, and all other text as usual.
 * @param data for each code point of the text, 1 where it came from the messages
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
      const start = point + offsets[i][0]
      const end = point + offsets[i][1]
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

/** The text in pieces: control tokens of which any character came from the messages, and the text between those. */
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

/**
 * A piece from inside the text is encoded after a line break, which is then removed, so that no prefix space is added.
 */
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
