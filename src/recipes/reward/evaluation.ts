/** What a reward model's run measures beside its loss: initial bias, metrics on evaluation rows, the scale of its rewards. */

import type { RankedExample } from '../../data/examples.ts'
import { scoresOf } from '../../passes/scores.ts'
import { type RewardKind, rewardFile, rewardNotes } from '../../rewards/notes.ts'
import { mean } from '../../statistics/summary.ts'
import { rankedTree } from '../trainer/collate.ts'
import type { Examples } from '../trainer/dataset.ts'
import type { Policy } from '../trainer/policy.ts'
import type { TrainerSetup } from '../trainer/trainer.ts'
import { calibrationFile, calibrationOf } from './calibration.ts'
import { rewardBatches } from './collate.ts'
import { evaluationMetrics, type ScoredRow, scoredRows } from './metrics.ts'
import type { RewardConfig } from './schema.ts'

/** Training rows that stand for all: for the bias, and for the scale of the rewards where there are no evaluation rows. */
const sampleRows = 256

export type RewardEvaluation = {
  /** Added to every reward; with --init-bias, minus the mean score of the best responses before training. */
  bias: number
  /** Of the trainer: collects the scores of one evaluation and gives its metrics. */
  evaluation: NonNullable<TrainerSetup<RankedExample>['evaluation']>
  /** Files beside the saved model: the scale of its rewards, and its calibration where there are evaluation rows. */
  files(): Promise<Record<string, string>>
}

export const openEvaluation = async (
  { model }: Policy,
  kind: RewardKind,
  examples: Examples<RankedExample>,
  config: RewardConfig,
): Promise<RewardEvaluation> => {
  const sample = async () => (await examples.train.take(0, Math.min(sampleRows, examples.train.length))).examples
  // Measured before the weights of a checkpoint are read, so that a resumed run gets the same bias
  const bias = config.initBias ? -(await meanBest(model, await sample())) : 0
  let last: ScoredRow[] | undefined
  return {
    bias,
    evaluation: () => {
      const rows: ScoredRow[] = []
      return {
        addBatch: (batch, scores) => void rows.push(...scoredRows(batch, scores)),
        metrics: () => {
          last = rows
          return evaluationMetrics(rows)
        },
      }
    },
    files: async () => {
      const rows = last ?? (await scoreExamples(model, await sample(), bias))
      const notes = rewardNotes(
        { kind, outputs: model.config.num_labels, bias, of: last ? 'held-out' : 'training' },
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

const scoreExamples = async (
  model: Policy['model'],
  examples: readonly RankedExample[],
  bias: number,
): Promise<ScoredRow[]> => {
  const scores = await scoresOf(model, examples.map(rankedTree))
  return examples.flatMap((example, i) => {
    const [batch] = rewardBatches([[example]], { bias, margins: 'none' })
    return scoredRows(batch, Float32Array.from(scores[i].flat()))
  })
}
