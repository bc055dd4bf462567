/** What a reward model's run measures beside its loss: the bias it begins with, held-out rows, the scale it is saved with. */

import type { RankedExample } from '../../data/examples.ts'
import { scoresOf } from '../../passes/scores.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { rewardFile, rewardNotes } from '../../rewards/notes.ts'
import { mean } from '../../statistics/summary.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { rankedTree } from '../trainer/collate.ts'
import type { Examples } from '../trainer/dataset.ts'
import type { Policy } from '../trainer/policy.ts'
import { calibrationFile, calibrationOf } from './calibration.ts'
import { rewardBatches } from './collate.ts'
import type { RewardConfig } from './schema.ts'
import { evaluationMetrics, type ScoredRow, scoredRows } from './scoredRows.ts'

/** Training rows that stand for all: of the bias, and of the scale where there are no held-out rows. */
const sampleRows = 256

export const openEvaluation = async (
  { model }: Policy,
  kind: RewardKind,
  examples: Examples<RankedExample>,
  config: RewardConfig,
) => {
  const sample = async () => (await examples.train.take(0, Math.min(sampleRows, examples.train.length))).examples
  // Before a checkpoint's weights are there, so a resumed run finds the same
  const bias = config.initBias ? -(await meanBest(model, await sample())) : 0
  let last: ScoredRow[] | undefined
  const outputs = model.config.num_labels
  return {
    bias,
    evaluation: () => {
      const rows: ScoredRow[] = []
      return {
        see: (batch: MicroBatch, scores: Float32Array) => void rows.push(...scoredRows(batch, scores)),
        measures: () => {
          last = rows
          return evaluationMetrics(rows)
        },
      }
    },
    texts: async (): Promise<Record<string, string>> => {
      const rows = last ?? (await judgedSample(model, await sample(), bias))
      const notes = rewardNotes(
        { kind, outputs, bias, of: last ? 'held-out' : 'training' },
        rows.flatMap((row) => row.rewards),
      )
      return {
        [rewardFile]: json(notes),
        ...(last && { [calibrationFile]: json(calibrationOf(kind, last)) }),
      }
    },
  }
}

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`

/** The mean score of the best responses. */
const meanBest = async (model: Policy['model'], examples: readonly RankedExample[]): Promise<number> => {
  const best = examples.map(({ prompt, responses }) => ({ trunk: prompt, branches: [responses[0]] }))
  return mean((await scoresOf(model, best)).map(([[score]]) => score))
}

const judgedSample = async (model: Policy['model'], examples: readonly RankedExample[], bias: number) => {
  const scores = await scoresOf(model, examples.map(rankedTree))
  return examples.flatMap((example, i) => {
    const [batch] = rewardBatches([[example]], { bias, margins: 'none' })
    return scoredRows(batch, Float32Array.from(scores[i].flat()))
  })
}
