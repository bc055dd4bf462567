/** Rankings as files of labelling tools: tasks with their votes, as Label Studio and Argilla import them. */
import { contentText, shownTurn } from '../../data/messages.ts'
import { type Id, isIds, isMessages, type Text } from '../../data/rows.ts'
import type { Ranks, Task } from './tasks.ts'

/** What a tool cannot hold as it is, by what became of it. */
export type Changed = (what: string, n?: number) => void

/** Text for people. A prompt of one plain turn is that turn; of several, each begins with its role. */
const shown = (text: Exclude<Text, number[]>): string => {
  if (!isMessages(text)) return text
  if (text.length === 1) return contentText(text[0])
  return text.map((turn) => `${turn.role}: ${shownTurn(turn)}`).join('\n\n')
}

/** The prompt and the responses as texts, or why there are none. */
const textsOf = ({ prompt, responses }: Task) => {
  if (isIds(prompt) || responses.some(isIds)) return 'token-ids'
  return {
    prompt: shown(prompt),
    messages: isMessages(prompt) ? prompt : undefined,
    responses: (responses as Exclude<Text, number[]>[]).map(shown),
  }
}

const isTied = (ranks: Ranks) => {
  const given = ranks.filter((rank) => rank !== null)
  return new Set(given).size < given.length
}

/** As Label Studio numbers annotators; names of others are kept as they are. */
const annotatorOf = (annotator: Id | undefined) => (annotator === undefined ? {} : { completed_by: annotator })

/**
 * A task of Label Studio with a ranker: {"id", "data": {"prompt", "items"}, "annotations"}. Its ranker has no ties: a vote
 * that ties is left out and counted. Responses without a rank stay in the bucket "_".
 * @returns undefined for rows of token ids
 */
export const labelStudioTask = (task: Task, number: number, changed: Changed): object | undefined => {
  const texts = textsOf(task)
  if (typeof texts === 'string') {
    changed(texts, task.votes.length)
    return undefined
  }
  const ids = texts.responses.map((_, i) => String(i + 1))
  const annotations = task.votes.flatMap(({ ranks, vote = {} }, at) => {
    if (isTied(ranks)) {
      changed('vote-with-tie')
      return []
    }
    const placed = ids.filter((_, i) => ranks[i] !== null).sort((a, b) => ranks[Number(a) - 1]! - ranks[Number(b) - 1]!)
    const left = ids.filter((_, i) => ranks[i] === null)
    return [
      {
        id: vote.annotation ?? `${number}-${at + 1}`,
        ...annotatorOf(vote.annotator),
        was_cancelled: false,
        ...(vote.lead_time !== undefined && { lead_time: vote.lead_time }),
        ...(vote.created_at !== undefined && { created_at: vote.created_at }),
        result: [
          {
            id: `rank${number}-${at + 1}`,
            from_name: 'rank',
            to_name: 'answers',
            type: 'ranker',
            value: { ranker: left.length ? { best: placed, _: left } : { rank: placed } },
          },
        ],
      },
    ]
  })
  return {
    id: task.id ?? number,
    data: {
      prompt: texts.prompt,
      ...(texts.messages && { messages: texts.messages }),
      items: texts.responses.map((body, i) => ({ id: ids[i], title: `Answer ${ids[i]}`, body })),
    },
    annotations,
  }
}

/**
 * A record of Argilla with a ranking question: {"id", "fields", "responses"}. Ties stay. Its rankings must be whole:
 * responses without a rank are written as tied behind all others, and counted.
 * @returns undefined for rows of token ids
 */
export const argillaRecord = (task: Task, number: number, changed: Changed): object | undefined => {
  const texts = textsOf(task)
  if (typeof texts === 'string') {
    changed(texts, task.votes.length)
    return undefined
  }
  const names = texts.responses.map((_, i) => `response-${i + 1}`)
  return {
    id: String(task.id ?? number),
    fields: { prompt: texts.prompt, ...Object.fromEntries(names.map((name, i) => [name, texts.responses[i]])) },
    responses: task.votes.map(({ ranks, vote }) => {
      const placed = ranks.filter((rank) => rank !== null)
      if (placed.length < ranks.length) changed('unranked-as-last')
      return {
        ...(vote?.annotator !== undefined && { user_id: String(vote.annotator) }),
        status: 'submitted',
        values: { ranking: { value: names.map((value, i) => ({ value, rank: ranks[i] ?? placed.length + 1 })) } },
      }
    }),
    suggestions: [],
    metadata: texts.messages ? { messages: JSON.stringify(texts.messages) } : {},
  }
}
