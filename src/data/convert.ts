/** Conversions between kinds of rows where the meaning is clear; elsewhere a Fault says what the rows are. */
import { badInput, type Where } from '../util/fault.ts'
import { responseOf } from './messages.ts'
import {
  type Completion,
  isMessages,
  type Prompt,
  type Ranking,
  type Rated,
  type Row,
  type Sft,
  type Text,
  type Unpaired,
} from './rows.ts'

const columns = {
  'preference or ranking': 'prompt, chosen and rejected, or prompt, responses and ranks',
  unpaired: 'prompt, completion and label',
  'fine-tuning': 'text, or messages, or prompt and completion',
  'prompt and completion': 'prompt and completion',
  prompt: 'prompt, text or messages',
}

const refuse = (row: Row, wanted: keyof typeof columns, where?: Where): never => {
  throw badInput(
    'wrong-kind',
    `rows of the kind "${row.kind}" cannot be read as ${wanted} rows, which have the columns ${columns[wanted]}; --column NAME=COLUMN renames`,
    where,
  )
}

/** Rankings as they are. (Rated rows make rankings with their neighbours: pairNeighbours.) */
export const asRankings = (row: Row, where?: Where): Ranking[] =>
  row.kind === 'ranking' ? [row] : refuse(row, 'preference or ranking', where)

/** Unpaired rows. A preference gives two, the chosen one desirable; a tie gives none. */
export const asUnpaired = (row: Row, where?: Where): Unpaired[] => {
  if (row.kind === 'unpaired') return [row]
  if (row.kind !== 'ranking' || row.responses.length !== 2) return refuse(row, 'unpaired', where)
  const [a, b] = row.ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
  if (a === b) return []
  const { id, prompt, responses, template } = row
  return responses.map((completion, i) => ({
    kind: 'unpaired',
    id,
    ...(template && { template }),
    prompt,
    completion,
    label: i === 0 ? a < b : b < a,
  }))
}

/** Rows of supervised fine-tuning: of a ranking the best response (the first of ties), of unpaired rows the desirable ones. */
export const asSft = (row: Row, where?: Where): Sft[] => {
  if (row.kind === 'text' || row.kind === 'messages' || row.kind === 'completion') return [row]
  if (row.kind === 'unpaired') return row.label ? [completion(row, row.completion)] : []
  if (row.kind === 'rated') return [completion(row, row.response)]
  if (row.kind === 'ranking') return [completion(row, row.responses[bestOf(row)])]
  return refuse(row, 'fine-tuning', where)
}

const completion = (
  { id, prompt, template, beside }: Pick<Completion, 'id' | 'prompt' | 'template' | 'beside'>,
  completion: Text,
): Completion => ({
  kind: 'completion',
  id,
  prompt,
  completion,
  ...(template && { template }),
  ...(beside && { beside }),
})

/** A prompt with its completion: of a conversation the assistant's last message, of a ranking the best response. */
export const asCompletions = (row: Row, where?: Where): Completion[] => {
  if (row.kind === 'text') return refuse(row, 'prompt and completion', where)
  if (row.kind !== 'messages') return asSft(row, where) as Completion[]
  const last = row.messages.at(-1)!
  return last.role === 'assistant' && row.messages.length > 1
    ? [completion({ ...row, prompt: row.messages.slice(0, -1) }, responseOf([last]))]
    : []
}

const bestOf = ({ ranks }: Ranking) => ranks.indexOf(bestRank(ranks))

/** Infinity where no response is ranked. A list may be too long to be the arguments of Math.min. */
export const bestRank = (ranks: Ranking['ranks']): number =>
  ranks.reduce<number>((best, rank) => Math.min(best, rank ?? Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY)

/** The prompt alone: of a conversation everything before the assistant's last message, of a text the whole text. */
export const asPrompts = (row: Row & Pick<Prompt, 'record'>, where?: Where): Prompt[] => {
  const kept = { ...(row.template && { template: row.template }), ...(row.record && { record: row.record }) }
  const of = (prompt: Text): Prompt[] => [{ kind: 'prompt', id: row.id, prompt, ...kept }]
  if (row.kind === 'prompt') return [row]
  if (row.kind === 'text') return of(row.text)
  if (row.kind === 'messages')
    return of(row.messages.at(-1)!.role === 'assistant' ? row.messages.slice(0, -1) : row.messages)
  if (row.kind === 'labelled') return refuse(row, 'prompt', where)
  return of(row.prompt)
}

/** The kinds of rows that a data set can be opened as: the conversion, and the reason counted for a row that gives none. */
export const conversions = {
  ranking: { of: asRankings, none: 'tie' },
  unpaired: { of: asUnpaired, none: 'tie' },
  sft: { of: asSft, none: 'undesirable' },
  prompt: { of: asPrompts, none: 'no-prompt' },
  completion: { of: asCompletions, none: 'no-answer' },
} as const

export type Kinds = { ranking: Ranking; unpaired: Unpaired; sft: Sft; prompt: Prompt; completion: Completion }

/**
 * Pairs neighbouring rows with the same prompt, the more helpful one chosen (HelpSteer2). Push rows in order; each row is
 * used once, and equal helpfulness makes no pair.
 */
export const pairNeighbours = (drop: (reason: string, rows: number) => void) => {
  let waiting: Rated | undefined
  return {
    push: (row: Rated): Ranking[] => {
      const first = waiting
      waiting = row
      if (!first || !samePrompt(first.prompt, row.prompt)) {
        if (first) drop('no-neighbour', 1)
        return []
      }
      waiting = undefined
      const by = first.ratings.helpfulness - row.ratings.helpfulness
      if (by === 0) drop('equal-ratings', 2)
      return by === 0 ? [] : [by > 0 ? pair(first, row) : pair(row, first)]
    },
    end: () => {
      if (waiting) drop('no-neighbour', 1)
    },
  }
}

const pair = (chosen: Rated, rejected: Rated): Ranking => ({
  kind: 'ranking',
  id: chosen.id,
  ...(chosen.template && { template: chosen.template }),
  prompt: chosen.prompt,
  responses: [chosen.response, rejected.response],
  ranks: [1, 2],
  ratings: [chosen.ratings.helpfulness, rejected.ratings.helpfulness],
})

const samePrompt = (a: Text, b: Text): boolean =>
  typeof a === 'string' || typeof b === 'string'
    ? a === b
    : isMessages(a) === isMessages(b) && JSON.stringify(a) === JSON.stringify(b)
