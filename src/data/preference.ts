/**
 * Preference records as rankings of two. The prompt may be part of chosen and rejected: HH-RLHF writes a whole
 * dialogue in each, whose prompt ends at the LAST "\n\nAssistant:" of the chosen one; elsewhere the prompt is the
 * common beginning of both, as in TRL's extract_prompt. Where both disagree on the prompt, or a response of HH-RLHF is
 * empty, the row gets a flag.
 */
import { conform, type RecordLocation, rowFault } from './check.ts'
import { type Message, responseOf, sameMessage } from './messages.ts'
import { type Flag, type Id, isIds, isMessages, ownVote, type Ranking, schemas, type Text } from './rows.ts'

export const HH_MARK = '\n\nAssistant:'

/** {prompt, responses, best} */
export const bestOfNRow = (record: Record<string, unknown>, location: RecordLocation): Ranking[] => {
  const { id, prompt, responses, best } = conform(schemas.bestOfN, record, location)
  return [{ kind: 'ranking', id, prompt, responses, ranks: responses.map((_, i) => (i === best ? 1 : null)) }]
}

/** {prompt, responses} that nobody has ranked yet. */
export const unrankedRow = (record: Record<string, unknown>, location: RecordLocation): Ranking[] => {
  const { id, prompt, responses, ...voter } = conform(schemas.unranked, record, location)
  return [{ kind: 'ranking', id, prompt, responses, ranks: responses.map(() => null), ...ownVote(voter) }]
}

export const hasNoRanks = ({ ranks }: Record<string, unknown>): boolean =>
  ranks === null || ranks === undefined || (Array.isArray(ranks) && ranks.every((rank) => rank === null))

/** {chosen, rejected} of HH-RLHF. Responses keep their white space; only white space counts as empty. */
export const hhRow = (record: Record<string, unknown>, location: RecordLocation): Ranking => {
  const { id, chosen, rejected } = conform(schemas.hh, record, location)
  const prompt = hhPrompt(chosen, 'chosen', location)
  const better = chosen.slice(prompt.length)
  const differs = !rejected.startsWith(prompt)
  const worse = rejected.slice(differs ? hhPrompt(rejected, 'rejected', location).length : prompt.length)
  const flags: Flag[] = []
  if (!better.trim()) flags.push('empty-chosen')
  if (!worse.trim()) flags.push('empty-rejected')
  if (differs) flags.push('prefix-differs')
  return {
    kind: 'ranking',
    id,
    prompt,
    responses: [better, worse],
    ranks: [1, 2],
    turns: hhTurns(prompt),
    ...some(flags),
  }
}

const some = (flags: Flag[]) => (flags.length ? { flags } : {})

const hhPrompt = (side: string, column: string, location: RecordLocation): string => {
  const at = side.lastIndexOf(HH_MARK)
  if (at < 0)
    throw rowFault(
      'bad-value',
      `has no ${JSON.stringify(HH_MARK)}, which marks the response in HH-RLHF`,
      location,
      column,
    )
  return side.slice(0, at + HH_MARK.length)
}

/** The turns of a dialogue that ends with the mark of the response to come. */
export const hhTurns = (prompt: string): Message[] => {
  const parts = prompt.slice(0, -HH_MARK.length).split(/\n\n(Human|Assistant): ?/)
  const turns: Message[] = []
  for (let i = 1; i < parts.length; i += 2)
    turns.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1] })
  return turns
}

/** {prompt, responses, ranks} */
export const rankingRow = (record: Record<string, unknown>, location: RecordLocation): Ranking => {
  const { id, prompt, responses, ranks, ...voter } = conform(schemas.ranking, record, location)
  return { kind: 'ranking', id, prompt, responses, ranks, ...ownVote(voter) }
}

/** {prompt?, chosen, rejected, score_* or *_rating, margin, prob}: text, ids or messages. */
export const preferenceRow = (
  record: Record<string, unknown>,
  location: RecordLocation,
  implicit: boolean,
): Ranking => {
  const row = implicit ? conform(schemas.implicit, record, location) : conform(schemas.preference, record, location)
  const given = 'prompt' in row ? (row.prompt as Text) : undefined
  const sides = sidesOf(given, row.chosen, row.rejected, location)
  const ratings = [row.score_chosen ?? row.chosen_rating ?? null, row.score_rejected ?? row.rejected_rating ?? null]
  return {
    kind: 'ranking',
    id: row.id ?? (row.prompt_id as Id | undefined),
    ...sides,
    ranks: [1, 2],
    ...(ratings.some((rating) => rating !== null) ? { ratings } : {}),
    ...(typeof row.margin === 'number' ? { margin: row.margin } : {}),
    ...(typeof row.prob === 'number' ? { prob: row.prob } : {}),
    ...ownVote(row),
  }
}

const sidesOf = (given: Text | undefined, chosen: Text, rejected: Text, location: RecordLocation) => {
  if (isMessages(chosen) || isMessages(rejected)) return chatSides(given, chosen, rejected, location)
  if (given !== undefined) return { prompt: given, responses: [chosen, rejected] }
  if (typeof chosen === 'string' && typeof rejected === 'string') return withoutPrompt(chosen, rejected)
  if (isIds(chosen) && isIds(rejected)) {
    const length = commonLength(chosen, rejected, (a, b) => a === b)
    return { prompt: chosen.slice(0, length), responses: [chosen.slice(length), rejected.slice(length)] }
  }
  throw rowFault('wrong-type', 'chosen and rejected must both be texts, or both ids', location, 'rejected')
}

/** Where a side is a conversation, so is the other, and the prompt is given as messages or as their common beginning. */
const chatSides = (given: Text | undefined, chosen: Text, rejected: Text, location: RecordLocation) => {
  if (!isMessages(chosen) || !isMessages(rejected))
    throw rowFault(
      'wrong-type',
      'chosen and rejected must both be messages, or both not',
      location,
      isMessages(chosen) ? 'rejected' : 'chosen',
    )
  if (given !== undefined && isMessages(given))
    return { prompt: given, responses: [afterPrompt(given, chosen), afterPrompt(given, rejected)] }
  if (chosen.length === 1 && rejected.length === 1 && typeof given === 'string')
    return { prompt: [{ role: 'user', content: given }], responses: [responseOf(chosen), responseOf(rejected)] }
  const length = commonLength(chosen, rejected, sameMessage)
  return {
    prompt: chosen.slice(0, length),
    responses: [responseOf(chosen.slice(length)), responseOf(rejected.slice(length))],
    ...some(length === 0 ? ['prefix-differs'] : []),
  }
}

/** The response alone, where a side repeats the prompt. */
const afterPrompt = (prompt: Message[], side: Message[]): Text => {
  const repeated = side.length > prompt.length && prompt.every((message, i) => sameMessage(message, side[i]))
  return responseOf(repeated ? side.slice(prompt.length) : side)
}

/** Length of the common beginning of two sides; where one begins the other, its last item counts as its response. */
const commonLength = <T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): number => {
  const shorter = Math.min(a.length, b.length)
  const at = a.findIndex((item, i) => i >= shorter || !same(item, b[i]))
  return at < 0 || at >= shorter ? Math.max(0, shorter - 1) : at
}

/** The common beginning of two texts, by code points; a space at its end belongs to the responses. */
const withoutPrompt = (chosen: string, rejected: string) => {
  const [a, b] = [Array.from(chosen), Array.from(rejected)]
  const common = commonLength(a, b, (x, y) => x === y)
  const differs = common < Math.min(a.length, b.length) && a[common] !== b[common]
  const length = differs && a[common - 1] === ' ' ? common - 1 : common
  const prompt = a.slice(0, length).join('')
  return { prompt, responses: [chosen.slice(prompt.length), rejected.slice(prompt.length)] }
}

/** A response is rated above one that it is ranked below: the margin of the pair would contradict its order. */
export const contradicts = ({
  ranks,
  ratings = [],
}: {
  ranks: Ranking['ranks']
  ratings?: readonly (number | null)[]
}): boolean =>
  ratings.some((rating, i) =>
    ratings.some((other, j) => rating !== null && other !== null && rating > other && ranks[i]! > (ranks[j] ?? 0)),
  )
