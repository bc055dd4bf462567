/**
 * What a pair ranker reads: a source and two candidates as one row of token ids, each part behind its marker,
 * `[CLS]<|source|>source[SEP][CLS]<|candidate1|>first[SEP][CLS]<|candidate2|>second[SEP]` (PairRM of LLM-Blender).
 *
 * The source has at most `sourceLength` tokens with its special ones, and the candidates share what is left of `length`. Markers
 * and special tokens that stand in the texts themselves are taken out, so that no text can pose as another part.
 */
import { badInput } from '../util/fault.ts'
import { type Message, shownTurn } from './messages.ts'
import { isIds, isMessages, type Text } from './rows.ts'

/** A source and its candidates as plain text or token ids. */
export type Part = string | readonly number[]
export type Candidates = { source: Part; candidates: Part[] }

/** The row of ids, and where in it the markers of the source and of both candidates stand. */
export type Pair = { ids: number[]; markers: readonly [number, number, number] }

export type PairTokens = {
  /** Texts and ids of the markers of a source and of its first and second candidate. */
  texts: readonly string[]
  ids: readonly number[]
  /** What stands before and behind the ids of a row that holds ids; texts get theirs from the tokenizer. */
  before: readonly number[]
  behind: readonly number[]
  sourceLength: number
  length: number
}

export type PairEncoder = {
  encode(text: string): { ids: number[] }
  tokenToId(token: string): number | undefined
  specialTokens: Readonly<Record<string, string>>
}

/** Without the markers, however they are nested, and with a space for every special token. */
export const withoutMarkers = (text: string, markers: readonly string[], special: readonly string[] = []): string => {
  const spaced = special.reduce((left, token) => left.replaceAll(token, ' '), text)
  const stripped = markers.reduce((left, marker) => left.replaceAll(marker, ''), spaced)
  return stripped === text ? text : withoutMarkers(stripped, markers, special)
}

/** All markers, that of an unnamed candidate too, which only training scripts of LLM-Blender use. */
const allMarkers = ({ texts }: PairTokens) => [...texts, '<|candidate|>']

const specialTexts = ({ specialTokens }: PairEncoder) =>
  ['cls_token', 'sep_token'].flatMap((name) => specialTokens[name] ?? [])

/** A part behind its marker, cut to a number of tokens; a token that ends every text is kept. */
const encodePart = (
  tokens: PairTokens,
  encoder: PairEncoder | undefined,
  part: Part,
  which: number,
  limit: number,
): number[] => {
  const marker = tokens.ids[which]
  const whole =
    typeof part === 'string'
      ? encodeText(tokens, encoder, part, which)
      : [...tokens.before, marker, ...part.filter((id) => !tokens.ids.includes(id)), ...tokens.behind]
  if (whole.length <= limit) return whole
  const end = typeof part === 'string' ? endOf(encoder!) : tokens.behind
  return [...whole.slice(0, limit - end.length), ...end]
}

const encodeText = (tokens: PairTokens, encoder: PairEncoder | undefined, text: string, which: number): number[] => {
  if (!encoder) throw badInput('no-tokenizer', 'holds text, and the ranker has no tokenizer; give ids')
  const { ids } = encoder.encode(tokens.texts[which] + withoutMarkers(text, allMarkers(tokens), specialTexts(encoder)))
  if (ids.filter((id) => tokens.ids.includes(id)).length === 1 && ids.includes(tokens.ids[which])) return ids
  throw badInput(
    'bad-tokenizer',
    `the tokenizer does not read ${tokens.texts[which]} as the token ${tokens.ids[which]} that config.json names`,
  )
}

/** What the tokenizer puts behind every text: its end token, if it has one. */
const endOf = (encoder: PairEncoder): number[] => {
  const sep = encoder.specialTokens.sep_token ?? encoder.specialTokens.eos_token
  const last = encoder.encode('').ids.at(-1)
  return last !== undefined && sep !== undefined && encoder.tokenToId(sep) === last ? [last] : []
}

/** Encodes the parts once, so that a source and candidates of many pairs are read once each. */
export const pairMaker = (
  tokens: PairTokens,
  encoder: PairEncoder | undefined,
  { source, candidates }: Candidates,
): ((first: number, second: number) => Pair) => {
  const sourceIds = encodePart(tokens, encoder, source, 0, tokens.sourceLength)
  const limit = Math.floor((tokens.length - sourceIds.length) / 2)
  const made = candidates.map((): (number[] | undefined)[] => [])
  const part = (k: number, which: number) =>
    (made[k][which] ??= encodePart(tokens, encoder, candidates[k], which, limit))
  return (first, second) => joined([sourceIds, part(first, 1), part(second, 2)], tokens)
}

const joined = (parts: readonly number[][], { ids: markers }: PairTokens): Pair => {
  const ids = parts.flat()
  return { ids, markers: markers.map((marker) => ids.indexOf(marker)) as unknown as Pair['markers'] }
}

/** A row of ids that is joined already. Throws a Fault 'bad-row' without each marker once. */
export const joinedPair = (ids: readonly number[], tokens: PairTokens): Pair => {
  for (const [k, marker] of tokens.ids.entries())
    if (ids.filter((id) => id === marker).length !== 1)
      throw badInput('bad-row', `must hold the marker ${tokens.texts[k]}, the id ${marker}, once`)
  return { ids: [...ids], markers: tokens.ids.map((marker) => ids.indexOf(marker)) as unknown as Pair['markers'] }
}

// Conversations

const instruction = 'Finish the following coversation in each i-th turn by filling in <Response i> with your response.'

/** What each role says: the system before all, then user and assistant in turn. Throws a Fault 'bad-row' for other orders. */
const turnsOf = (messages: readonly Message[]) => {
  const turns = messages.filter(({ role }) => role !== 'system')
  if (!turns.every(({ role }, i) => role === (i % 2 ? 'assistant' : 'user')))
    throw badInput('bad-row', 'turns must alternate between user and assistant, and begin with the user')
  const said = (wanted: string) => messages.filter(({ role }) => role === wanted).map(shownTurn)
  return { system: said('system'), user: said('user'), assistant: said('assistant') }
}

/** What the system says stands before the source. */
const withSystem = (system: readonly string[], source: string) => [...system, source].join('\n')

/**
 * Whole conversations with the same user turns as a source and candidates, in the words that PairRM was trained on (its mistake
 * in spelling too): the source is what the user says, a candidate all that the assistant answers.
 */
export const conversationTexts = (conversations: readonly (readonly Message[])[]): Candidates => {
  const all = conversations.map(turnsOf)
  const asked = all.map(({ system, user }) => JSON.stringify([system, user]))
  if (asked.some((each) => each !== asked[0]))
    throw badInput('bad-row', 'conversations must have the same turns of the user')
  const { system, user } = all[0]
  if (all.some(({ assistant }) => assistant.length !== user.length))
    throw badInput('bad-row', 'every turn of the user needs an answer')
  const source = user.map((text, i) => `USER: ${text}\nAssistant: <Response ${i + 1}>`).join('\n')
  const candidate = (texts: readonly string[]) => texts.map((text, i) => `<Response ${i + 1}>: ${text}`).join('\n')
  return {
    source: withSystem(system, instruction + source),
    candidates: all.map(({ assistant }) => candidate(assistant)),
  }
}

/**
 * A prompt with its candidates. A single turn of the user is the source as it is; a longer conversation is written as one. Without
 * a prompt candidates are whole conversations. Throws Faults 'bad-row'.
 */
export const pairTexts = (prompt: Text | undefined, candidates: readonly Text[]): Candidates => {
  if (prompt === undefined) {
    if (candidates.every(isMessages)) return conversationTexts(candidates)
    throw badInput('bad-row', 'needs a prompt, or candidates that are whole conversations')
  }
  if (!isMessages(prompt)) return { source: prompt, candidates: candidates.map(answerOf) }
  const { system, user, assistant } = turnsOf(prompt)
  if (user.length === 1 && assistant.length === 0)
    return { source: withSystem(system, user[0]), candidates: candidates.map(answerOf) }
  return conversationTexts(
    candidates.map((candidate) => [...prompt, { role: 'assistant', content: textOf(candidate) }]),
  )
}

const answerOf = (candidate: Text): Part => (isMessages(candidate) ? textOf(candidate) : candidate)

const textOf = (candidate: Text): string => {
  if (isIds(candidate)) throw badInput('bad-row', 'a conversation has texts as candidates, not ids')
  return typeof candidate === 'string' ? candidate : candidate.map(shownTurn).join('\n')
}
