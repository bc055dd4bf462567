/**
 * Judgements as rows to train on: the answer that the judge prefers in both orders is `chosen`, the other one `rejected`. In option
 * mode `prob` is P(chosen is better), the mean of both orders. What says nothing is dropped and counted.
 */
import type { Message } from '../../data/messages.ts'
import type { JudgeCase, JudgeMode, Judgement } from './judge.ts'

export type JudgedPreference = {
  id: string | number
  prompt: string | readonly Message[]
  chosen: string
  rejected: string
  prob?: number
}

/** Why a judgement gives no row. */
export type NoPreference = 'tie' | 'orders-disagree' | 'error' | 'no-prompt'

/** Of a case with two answers. */
export const preferenceOf = (
  { id, prompt, answers }: JudgeCase,
  { verdict, verdicts, scores }: Judgement,
  mode: JudgeMode,
): JudgedPreference | NoPreference => {
  if (verdict === 'error' || verdict === null) return 'error'
  if (verdict === 'tie') return verdicts[0] === verdicts.at(-1) ? 'tie' : 'orders-disagree'
  if (prompt === undefined) return 'no-prompt'
  const [chosen, rejected] = verdict === 'A' ? answers : [answers[1], answers[0]]
  const row = { id, prompt, chosen, rejected }
  if (mode !== 'options') return row
  const first = scores.reduce((sum, score) => sum + score, 0) / scores.length
  return { ...row, prob: verdict === 'A' ? first : 1 - first }
}
