/** Rows as TRL and LLaMA-Factory read them. A row that has no form there is left out, with the reason. */
import { contentText, type Message } from '../../data/messages.ts'
import { isIds, isMessages, type Ranking, type Row, type Text } from '../../data/rows.ts'
import { pairsOf } from './voteRows.ts'

/** What a file for training can hold; one file holds rows of one of them. */
export type TrainingKind = 'preference' | 'unpaired' | 'sft' | 'text' | 'prompt'

export type Exported =
  /** `dropped`: why pairs of the row are not among its records. */
  { kind: TrainingKind; records: object[]; dropped: string[] } | { reason: string }

/** A value, or why there is none. */
type Read<R> = R | string

const turnsOf = (text: string | Message[], role: 'user' | 'assistant'): Message[] =>
  isMessages(text) ? text : [{ role, content: text }]

const texts = (...values: Text[]): (string | Message[])[] | undefined =>
  values.some(isIds) ? undefined : (values as (string | Message[])[])

const pairs = (row: Ranking): Read<ReturnType<typeof pairsOf>> => {
  const found = pairsOf(row)
  return found.pairs.length ? found : (found.dropped[0] ?? 'one-response')
}

const whole = (kind: TrainingKind, ...records: object[]): Exported => ({ kind, records, dropped: [] })

// ---- TRL -------------------------------------------------------------------------------------------------------------

/**
 * The records of a row for TRL: {"prompt", "chosen", "rejected"} of every pair, {"prompt", "completion", "label"},
 * {"messages"}, {"prompt", "completion"}, {"text"} or {"prompt"}. Where one side is turns, all are.
 */
export const trlRecords = (row: Row): Exported => {
  if (row.kind === 'labelled' || row.kind === 'rated') return { reason: `${row.kind}-row` }
  if (row.kind === 'messages') return whole('sft', { messages: row.messages })
  if (row.kind === 'text') return isIds(row.text) ? { reason: 'token-ids' } : whole('text', { text: row.text })
  if (row.kind === 'prompt') {
    const own = texts(row.prompt)
    return own ? whole('prompt', { prompt: own[0] }) : { reason: 'token-ids' }
  }
  if (row.kind === 'ranking') {
    const own = texts(row.prompt, ...row.responses)
    if (!own) return { reason: 'token-ids' }
    const found = pairs(row)
    if (typeof found === 'string') return { reason: found }
    const records = found.pairs.map(({ prompt, responses, ranks, margin }) => {
      const turned = ranks[0] === null || (ranks[1] !== null && ranks[1] < ranks[0])
      const [chosen, rejected] = turned ? responses.toReversed() : responses
      const sides = alike([prompt, chosen, rejected] as (string | Message[])[])
      return {
        prompt: sides[0],
        chosen: sides[1],
        rejected: sides[2],
        ...(margin !== undefined && { margin: turned ? -margin : margin }),
      }
    })
    return { kind: 'preference', records, dropped: found.dropped }
  }
  const own = texts(row.prompt, row.completion)
  if (!own) return { reason: 'token-ids' }
  const [prompt, completion] = alike(own)
  if (row.kind === 'unpaired') return whole('unpaired', { prompt, completion, label: row.label })
  return whole('sft', { prompt, completion })
}

/** Prompt and responses all as turns, where one of them is. */
const alike = (sides: readonly (string | Message[])[]) =>
  sides.some(isMessages) ? sides.map((side, i) => turnsOf(side, i ? 'assistant' : 'user')) : sides

// ---- LLaMA-Factory ---------------------------------------------------------------------------------------------------

const names: Readonly<Record<string, string>> = { user: 'human', assistant: 'gpt', system: 'system' }

type Turn = { from: string; value: string }

/** ShareGPT's turns: a system prompt at most, then human and gpt by turns, which LLaMA-Factory demands. */
const shareGpt = (turns: readonly Message[], last: 'human' | 'gpt'): Read<Turn[]> => {
  const made: Turn[] = []
  for (const turn of turns) {
    const from = names[turn.role]
    if (!from || turn.tool_calls) return 'tool-turns'
    made.push({ from, value: contentText(turn) })
  }
  const spoken = made.filter(({ from }, i) => i > 0 || from !== 'system')
  const byTurns = spoken.every(({ from }, i) => from === (i % 2 ? 'gpt' : 'human'))
  return byTurns && spoken.at(-1)?.from === last ? made : 'turns-out-of-order'
}

/** What dataset_info.json says of a file of these rows. */
export const datasetInfo = (kind: TrainingKind, file: string): object => {
  if (kind === 'text') return { file_name: file, columns: { prompt: 'text' } }
  return {
    file_name: file,
    formatting: 'sharegpt',
    ...(kind === 'preference' && { ranking: true }),
    columns: {
      messages: 'conversations',
      ...(kind === 'preference' && { chosen: 'chosen', rejected: 'rejected' }),
      ...(kind === 'unpaired' && { kto_tag: 'kto_tag' }),
    },
  }
}

/** The records of a row for LLaMA-Factory, in its sharegpt form; `datasetInfo` describes the file. */
export const llamaFactoryRecords = (row: Row): Exported => {
  if (row.kind === 'labelled' || row.kind === 'rated' || row.kind === 'prompt') return { reason: `${row.kind}-row` }
  if (row.kind === 'text') return isIds(row.text) ? { reason: 'token-ids' } : whole('text', { text: row.text })
  if (row.kind === 'messages') return one('sft', shareGpt(row.messages, 'gpt'))
  if (row.kind === 'ranking') {
    const found = pairs(row)
    if (typeof found === 'string') return { reason: found }
    const records: object[] = []
    for (const pair of found.pairs) {
      const record = preference(pair)
      if (typeof record === 'string') return { reason: record }
      records.push(record)
    }
    return { kind: 'preference', records, dropped: found.dropped }
  }
  const own = texts(row.prompt, row.completion)
  if (!own) return { reason: 'token-ids' }
  const turns = shareGpt([...turnsOf(own[0], 'user'), ...turnsOf(own[1], 'assistant')], 'gpt')
  return row.kind === 'unpaired' ? one('unpaired', turns, { kto_tag: row.label }) : one('sft', turns)
}

const one = (kind: TrainingKind, turns: Read<Turn[]>, more = {}): Exported =>
  typeof turns === 'string' ? { reason: turns } : whole(kind, { conversations: turns, ...more })

const preference = ({ prompt, responses, ranks }: Ranking): Read<object> => {
  const own = texts(prompt, ...responses)
  if (!own) return 'token-ids'
  const conversations = shareGpt(turnsOf(own[0], 'user'), 'human')
  if (typeof conversations === 'string') return conversations
  const sides = own.slice(1).map((response) => turnsOf(response, 'assistant'))
  if (sides.some((turns) => turns.length !== 1 || turns[0].role !== 'assistant' || turns[0].tool_calls))
    return 'turns-out-of-order'
  const [a, b] = sides.map(([turn]) => ({ from: 'gpt', value: contentText(turn) }))
  const turned = ranks[0] === null || (ranks[1] !== null && ranks[1] < ranks[0])
  return { conversations, chosen: turned ? b : a, rejected: turned ? a : b }
}
