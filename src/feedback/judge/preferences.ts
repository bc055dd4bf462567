/**
 * Judgements as rows to train on: the answer that the judge prefers in both orders is `chosen`, the other one `rejected`. In option
 * mode `prob` is P(chosen is better), the mean of both orders. What says nothing is dropped and counted.
 */
import { recordFor } from '../../data/records.ts'
import type { Ranking, Text } from '../../data/rows.ts'
import type { JudgeCase, JudgeMode, Judgement } from './judge.ts'

/** {"id", "prompt", "chosen", "rejected"}, in option mode with "prob", and what a row has for its chat template. */
export type JudgedPreference = Record<string, unknown>

/** Why a judgement gives no row. */
export type NoPreference = 'tie' | 'orders-disagree' | 'error' | 'no-prompt'

/** Of a case with two answers. */
export const preferenceOf = (
  { id, prompt, answers, responses = answers, template }: JudgeCase,
  { verdict, verdicts, scores }: Judgement,
  mode: JudgeMode,
): JudgedPreference | NoPreference => {
  if (verdict === 'error' || verdict === null) return 'error'
  if (verdict === 'tie') return verdicts[0] === verdicts.at(-1) ? 'tie' : 'orders-disagree'
  if (prompt === undefined) return 'no-prompt'
  const first = scores.reduce((sum, score) => sum + score, 0) / scores.length
  const row: Ranking = {
    kind: 'ranking',
    ...{ id, prompt: prompt as Text, responses: [...responses], ranks: verdict === 'A' ? [1, 2] : [2, 1], template },
    ...(mode === 'options' && { prob: first }),
  }
  return recordFor('preference', row, {}) as JudgedPreference
}
