/**
 * MT-bench as rankings. Judgements hold no texts, so its questions and answers are read with them: question_id with turns,
 * model_id with choices, then pair judgements (g1_winner, g2_winner), votes of people (winner), or marks (score).
 */
import { z } from 'zod'
import { conform, type RecordLocation, rowFault } from '../../data/check.ts'
import type { Message } from '../../data/messages.ts'
import type { Ranking, Text } from '../../data/rows.ts'
import { judgementReader } from '../winRate/judgements.ts'
import { isMark, readMark } from '../winRate/marks.ts'
import type { Ranks } from './tasks.ts'

type Columns = Record<string, unknown>
type Placed = { record: Columns; location: RecordLocation }

const id = z.union([z.string(), z.number()]).transform(String)
const question = z.object({ question_id: id, turns: z.array(z.string()).min(1) })
const answer = z.object({
  question_id: id,
  model_id: z.string(),
  choices: z.array(z.object({ turns: z.array(z.string()).min(1) })).min(1),
})

export const mtBenchGatherer = () => {
  const questions = new Map<string, string[]>()
  const answers = new Map<string, string[]>()
  const judged: Placed[] = []
  return {
    add: (record: Columns, location: RecordLocation): void => {
      if (Array.isArray(record.choices)) {
        const { question_id, model_id, choices } = conform(answer, record, location)
        answers.set(JSON.stringify([question_id, model_id]), choices[0].turns)
      } else if (Array.isArray(record.turns)) {
        const { question_id, turns } = conform(question, record, location)
        questions.set(question_id, turns)
      } else judged.push({ record, location })
    },
    /** @returns rankings, and why judgements gave none */
    end: (): { rows: Ranking[]; dropped: string[] } => {
      const rows: Ranking[] = []
      const dropped: string[] = []
      const marks = new Map<
        string,
        { models: string[]; scores: number[]; turn: number; item: string; judge?: string }
      >()
      const add = (row: Ranking | string) => (typeof row === 'string' ? dropped.push(row) : rows.push(row))
      for (const { record, location } of judged) {
        if (isMark(record)) {
          const { item, model, score, turn = 1 } = readMark(record, location)
          if (score === undefined) {
            dropped.push('no-score')
            continue
          }
          const judge = judgeOf(record)
          const key = JSON.stringify([item, turn, judge])
          const own = marks.get(key) ?? { models: [], scores: [], turn, item, judge }
          marks.set(key, own)
          own.models.push(model)
          own.scores.push(score)
          continue
        }
        const read = judgementReader(record)
        if (!read)
          throw rowFault(
            'unknown-columns',
            'is none of MT-bench: questions (turns), answers (choices), judgements (g1_winner, winner or score)',
            location,
          )
        const { item, a, b, preferred, orders, turn = 1, judge } = read(record, location)
        if (preferred === undefined) add('no-verdict')
        // A tie that came of two orders that disagree says nothing of the answers
        else if (orders && orders[0] !== orders[1]) add('orders-disagree')
        else add(rankingOf(item, turn, [a, b], preferred === 0.5 ? [1, 1] : preferred < 0.5 ? [1, 2] : [2, 1], judge))
      }
      for (const { models, scores, turn, item, judge } of marks.values()) {
        const ranks = scores.map((score) => 1 + scores.filter((other) => other > score).length)
        const row = models.length < 2 ? 'one-response' : rankingOf(item, turn, models, ranks, judge)
        add(typeof row === 'string' ? row : { ...row, ratings: scores })
      }
      return { rows, dropped }
    },
  }

  function rankingOf(item: string, turn: number, models: string[], ranks: Ranks, judge?: string): Ranking | string {
    const turns = questions.get(item)
    if (!turns || turns.length < turn) return 'no-question'
    const responses = models.map((model) => {
      const own = answers.get(JSON.stringify([item, model]))
      return own && own.length >= turn ? responseOf(turns, own, turn) : undefined
    })
    if (responses.includes(undefined)) return 'no-answer'
    return {
      kind: 'ranking',
      id: `${item}-${turn}`,
      prompt: [{ role: 'user', content: turns[0] }],
      responses: responses as Text[],
      ranks,
      vote: { task: `${item}-${turn}`, ...(judge !== undefined && { annotator: judge }) },
    }
  }
}

/** All that a model said up to this turn, with the questions between: each model saw its own earlier answer. */
const responseOf = (questions: readonly string[], answers: readonly string[], turn: number): Text =>
  turn === 1
    ? answers[0]
    : answers
        .slice(0, turn)
        .flatMap((content, i): Message[] => [
          ...(i ? [{ role: 'user', content: questions[i] }] : []),
          { role: 'assistant', content },
        ])

const judgeOf = ({ judge }: Columns): string | undefined => {
  const [name] = [judge].flat()
  return typeof name === 'string' ? name : undefined
}
