/**
 * Pretraining rows beside PPO's (PPO-ptx, arXiv 2203.02155, eq. 2): gamma E[log pi(x)] over pretraining texts x is added to
 * what PPO maximises.
 *
 * The expectation needs no sample of the policy, so it is a loss of its own: pretraining rows join the minibatch of every
 * update, and the gradients add up before the one clipped step. The number of an update alone says which rows.
 */
import { type TextExample, textExample } from '../../data/examples.ts'
import type { Sft } from '../../data/rows.ts'
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
  /** To be surveyed before the first batch: without any usable text, a batch would be looked for without end. */
  stream: ExampleStream<TextExample>
  /** Micro-batches of the update with this number, counted from 0. */
  batches(update: number): Promise<MicroBatch[]>
}

/** -gamma times the mean log-prob of a token; the metric `loss/ptx_avg` is without gamma. */
const ptxObjective = (gamma: number): LossFunction => ({
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
  const { rows } = own(await openDataset('sft', { data, column, chat: false }))
  const { encoder, limits } = tokenization
  const stream = exampleStream<Sft, TextExample>({
    length: rows.length,
    row: rows.row,
    where: rows.where,
    order: rowOrder(rows.length, { seed }),
    epochs: Number.POSITIVE_INFINITY,
    example: (row) => {
      const example = textExample(encoder, row, limits, { assistantOnly: false, completionOnly: false }, () => {})
      requireKnownIds(row, typeof example === 'string' ? [] : [example.ids], tokenization)
      return example
    },
    truncated: () => false,
  })
  const rowsPerUpdate = settings.ptxBatchSize ?? settings.batchSize
  const loss = ptxObjective(settings.ptxCoef)
  return {
    files: rows.files,
    stream,
    async batches(update) {
      const { examples } = await stream.take(update * rowsPerUpdate, rowsPerUpdate)
      const parts = splitByTokens(examples, ({ ids }) => ids.length, microBatchTokens(policy, loss))
      return textBatches(parts).map((batch) => ({ ...batch, own: { loss, head: {} } }))
    },
  }
}
