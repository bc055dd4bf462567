/**
 * Preference records as rankings of two. Peculiar: the prompt may stand inside the two sides. HH-RLHF writes a whole
 * dialogue as one text a side, whose prompt ends at the LAST "\n\nAssistant:"; UltraFeedback-binarized writes a whole
 * conversation a side, whose prompt is all messages but the last. Where the two sides disagree on the prompt, or a reply of HH-RLHF is
 * empty, the row carries a flag.
 */
import { conform, type Place, rowFault } from './check.ts'
import { type Flag, type Id, isMessages, type Message, type Ranking, schemas, type Text } from './rows.ts'

export const HH_MARK = '\n\nAssistant:'

/** {chosen, rejected} of HH-RLHF. Replies keep their white space; only white space counts as empty. */
export const hhRow = (record: Record<string, unknown>, place: Place): Ranking => {
  const { id, chosen, rejected } = conform(schemas.hh, record, place)
  const [better, worse] = [hhSplit(chosen, 'chosen', place), hhSplit(rejected, 'rejected', place)]
  const flags: Flag[] = []
  if (!better.reply.trim()) flags.push('empty-chosen')
  if (!worse.reply.trim()) flags.push('empty-rejected')
  if (better.prompt !== worse.prompt) flags.push('prefix-differs')
  const responses = [better.reply, worse.reply]
  return {
    kind: 'ranking',
    id,
    prompt: better.prompt,
    responses,
    ranks: [1, 2],
    turns: hhTurns(better.prompt),
    ...some(flags),
  }
}

const some = (flags: Flag[]) => (flags.length ? { flags } : {})

const hhSplit = (side: string, column: string, place: Place) => {
  const at = side.lastIndexOf(HH_MARK)
  if (at < 0)
    throw rowFault('bad-value', `has no ${JSON.stringify(HH_MARK)}, which marks the reply in HH-RLHF`, place, column)
  return { prompt: side.slice(0, at + HH_MARK.length), reply: side.slice(at + HH_MARK.length) }
}

/** The turns of a dialogue that ends with the mark of the reply to come. */
export const hhTurns = (prompt: string): Message[] => {
  const parts = prompt.slice(0, -HH_MARK.length).split(/\n\n(Human|Assistant): ?/)
  const turns: Message[] = []
  for (let i = 1; i < parts.length; i += 2)
    turns.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1] })
  return turns
}

/** {prompt?, chosen, rejected, score_* or *_rating, margin, prob}: text, ids or messages. */
export const preferenceRow = (record: Record<string, unknown>, place: Place, implicit: boolean): Ranking => {
  const row = implicit ? conform(schemas.implicit, record, place) : conform(schemas.preference, record, place)
  const given = 'prompt' in row ? (row.prompt as Text) : undefined
  const { chosen, rejected } = row
  const sides =
    isMessages(chosen) || isMessages(rejected)
      ? chatSides(given, chosen, rejected, place)
      : { prompt: given ?? (typeof chosen === 'string' ? '' : []), responses: [chosen, rejected] }
  const ratings = [row.score_chosen ?? row.chosen_rating ?? null, row.score_rejected ?? row.rejected_rating ?? null]
  return {
    kind: 'ranking',
    id: row.id ?? (row.prompt_id as Id | undefined),
    ...sides,
    ranks: [1, 2],
    ...(ratings.some((rating) => rating !== null) ? { ratings } : {}),
    ...(typeof row.margin === 'number' ? { margin: row.margin } : {}),
    ...(typeof row.prob === 'number' ? { prob: row.prob } : {}),
  }
}

/** Where a side is a conversation, so is the other, and the prompt is given as messages or as their common beginning. */
const chatSides = (given: Text | undefined, chosen: Text, rejected: Text, place: Place) => {
  if (!isMessages(chosen) || !isMessages(rejected))
    throw rowFault(
      'wrong-type',
      'chosen and rejected must both be messages, or both not',
      place,
      isMessages(chosen) ? 'rejected' : 'chosen',
    )
  if (given !== undefined && isMessages(given))
    return { prompt: given, responses: [afterPrompt(given, chosen), afterPrompt(given, rejected)] }
  if (chosen.length === 1 && rejected.length === 1 && typeof given === 'string')
    return { prompt: [{ role: 'user', content: given }], responses: [chosen[0].content, rejected[0].content] }
  const prompt = chosen.slice(0, -1)
  const flags: Flag[] = sameMessages(prompt, rejected.slice(0, -1)) ? [] : ['prefix-differs']
  return { prompt, responses: [chosen.at(-1)!.content, rejected.at(-1)!.content], ...some(flags) }
}

/** The reply alone: a string where it is one message, messages where it is several (calls of tools, say). */
const afterPrompt = (prompt: Message[], side: Message[]): Text => {
  const reply =
    side.length > prompt.length && sameMessages(prompt, side.slice(0, prompt.length)) ? side.slice(prompt.length) : side
  return reply.length === 1 && reply[0].role === 'assistant' ? reply[0].content : reply
}

const sameMessages = (a: Message[], b: Message[]) =>
  a.length === b.length && a.every(({ role, content }, i) => role === b[i].role && content === b[i].content)
