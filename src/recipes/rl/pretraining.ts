/**
 * PPO-ptx (Ouyang et al. 2022, eq. 2): to what PPO maximises, gamma E[log pi(x)] over pretraining texts x is added. The
 * expectation needs no sample of the policy, so it joins as a loss of its own: rows beside the rollout's in every update,
 * whose gradients add up with theirs before the one clipped step. Peculiar: which rows depends on the update's number alone.
 */

import { type TextExample, textExample } from '../../data/examples.ts'
import { rowOrder } from '../../data/shuffle.ts'
import { sftLoss } from '../../objectives/sft.ts'
import { scalar } from '../../tensor/tensor.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { type ExampleStream, exampleStream } from '../../train/stream.ts'
import { microBatchTokens, splitByTokens, textBatches } from '../trainer/collate.ts'
import { openDataset, requireKnownIds } from '../trainer/dataset.ts'
import type { TrainerSettings } from '../trainer/trainer.ts'
import type { RecipeContext, RlContext } from './context.ts'

export type PretrainingSettings = TrainerSettings & {
  ptxData: string[]
  ptxCoef: number
  ptxBatchSize?: number
}

export type Pretraining = {
  files: readonly string[]
  /** Its survey comes before the first batch: without any text that can be used a batch would be looked for without end. */
  stream: ExampleStream<TextExample>
  /** Of the update with this number, counted from 0. */
  batches(update: number): Promise<MicroBatch[]>
}

/** -gamma times the mean log-prob of a token; `loss/ptx_avg` is without gamma. */
const objective = (gamma: number): LossFunction => ({
  name: `ptx ${gamma}`,
  stats: ['logps'],
  trace: ({ logps, array }) => {
    const weights = scalar(1).broadcastTo(logps.shape)
    const { loss } = sftLoss({ logps, weights, numItems: array('numItems', []) }, { lossType: 'nll' })
    return { loss: loss.mul(gamma), metrics: { 'loss/ptx_avg': logps.mean().neg() } }
  },
})

export const openPretraining = async (
  settings: PretrainingSettings,
  { own }: Pick<RecipeContext, 'own'>,
  { tokenization, policy }: Pick<RlContext, 'tokenization' | 'policy'>,
): Promise<Pretraining> => {
  const { ptxData: data, column, seed } = settings
  const { rows } = own(await openDataset('sft', { data, column }))
  const { encoder, limits } = tokenization
  const stream = exampleStream<Awaited<ReturnType<typeof rows.row>>, TextExample>({
    ...{ length: rows.length, row: rows.row, where: rows.where },
    ...{ order: rowOrder(rows.length, { seed }), epochs: Number.POSITIVE_INFINITY },
    example: (row) => {
      const made = textExample(encoder, row, limits, { assistantOnly: false, completionOnly: false }, () => {})
      requireKnownIds(row, typeof made === 'string' ? [] : [made.ids], tokenization)
      return made
    },
    truncated: () => false,
  })
  const count = settings.ptxBatchSize ?? settings.batchSize
  const ofItsOwn = { loss: objective(settings.ptxCoef), head: {} }
  return {
    files: rows.files,
    stream,
    async batches(update) {
      const { examples } = await stream.take(update * count, count)
      const parts = splitByTokens(examples, ({ ids }) => ids.length, microBatchTokens(policy, ofItsOwn.loss))
      return textBatches(parts).map((batch) => ({ ...batch, own: ofItsOwn }))
    },
  }
}
