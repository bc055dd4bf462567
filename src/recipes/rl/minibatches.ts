/**
 * From a rollout to the batches of its updates. Peculiar: what a method knows of its samples stands in columns, a number
 * or a list of numbers (a token each) for each sample; an objective reads them by name, so methods differ in their columns
 * and their objective alone.
 */

import { packs } from '../../data/batch.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import { type Aggregation, tokenWeights } from '../../objectives/aggregation.ts'
import type { BatchArray } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { permutation, rng } from '../../util/rng.ts'
import { chunks, floats, splitByTokens } from '../trainer/collate.ts'
import { treesOf } from './sampleStats.ts'

/** By name, in the order of the samples: one number each, or one for each of its tokens. */
export type Columns = Record<string, (number | number[])[]>

/** A rollout that can be learnt from. */
export type ExperienceBatch = {
  rollout: Rollout
  columns: Columns
  /** Samples that count; the others are there and move nothing. */
  mask: boolean[]
  /** Null where it failed. */
  rewards: (number | null)[]
}

export type UpdateSettings = {
  /** Prompts of a batch, and batches of a step. */
  batchSize: number
  gradAccum: number
  /** Passes over a rollout, and steps in each. */
  numIterations: number
  stepsPerGeneration: number
  maxNewTokens: number
  seed: number
}

export const promptsPerRollout = ({ batchSize, gradAccum, stepsPerGeneration }: UpdateSettings) =>
  batchSize * gradAccum * stepsPerGeneration

/** Of a whole rollout. More than one need to know what the policy was that sampled. */
export const updatesPerRollout = ({
  numIterations,
  stepsPerGeneration,
}: Pick<UpdateSettings, 'numIterations' | 'stepsPerGeneration'>) => numIterations * stepsPerGeneration

/** Numbers of the prompts of each update: in their order where there is one, else drawn anew in each pass. */
export const promptsOfUpdates = (prompts: number, settings: UpdateSettings, number: number): number[][] => {
  const size = settings.batchSize * settings.gradAccum
  const order = Array.from({ length: prompts }, (_, i) => i)
  return Array.from({ length: settings.numIterations }, (_, pass) => {
    const drawn = [...permutation(prompts, rng(settings.seed, number, pass))]
    return chunks(settings.stepsPerGeneration > 1 ? drawn : order, size)
  }).flat()
}

/** The batch of some of its prompts. */
const partOf = ({ rollout, columns, mask, rewards }: ExperienceBatch, numbers: readonly number[]): ExperienceBatch => {
  const G = rollout.perPrompt
  const of = <T>(values: readonly T[]): T[] => numbers.flatMap((g) => values.slice(g * G, (g + 1) * G))
  return {
    rollout: { ...rollout, prompts: numbers.map((g) => rollout.prompts[g]), samples: of(rollout.samples) },
    columns: Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, of(values)])),
    mask: of(mask),
    rewards: of(rewards),
  }
}

/**
 * The micro-batches of one optimizer step on these prompts, in parts of `atOnce` tokens about.
 * @param aggregation over whole micro-batches, whatever the parts
 */
export const minibatches = (
  batch: ExperienceBatch,
  numbers: readonly number[],
  {
    batchSize,
    maxNewTokens,
    aggregation,
    atOnce,
  }: Pick<UpdateSettings, 'batchSize' | 'maxNewTokens'> & { aggregation: Aggregation; atOnce: number },
): MicroBatch[] => {
  const micros = chunks(numbers, batchSize)
  const lengths = micros.map((micro) => {
    const { rollout, mask } = partOf(batch, micro)
    return rollout.samples.map(({ ids }, i) => (mask[i] ? ids.length : 0))
  })
  const weights = tokenWeights(aggregation, lengths, maxNewTokens)
  const G = batch.rollout.perPrompt
  const tokens = (g: number) => tokensOf(partOf(batch, [g]).rollout)
  return micros.flatMap((micro, i) => {
    const [ownLengths, ownWeights] = [lengths[i], weights[i]].map((values) => chunks(values, G))
    const prompts = micro.map((g, k) => ({ g, lengths: ownLengths[k], weights: ownWeights[k] }))
    return splitByTokens(prompts, ({ g }) => tokens(g), atOnce).map((part) =>
      microBatch(
        partOf(
          batch,
          part.map(({ g }) => g),
        ),
        part.flatMap((prompt) => prompt.lengths),
        part.flatMap((prompt) => prompt.weights),
      ),
    )
  })
}

/** That go through the model: prompts once. */
const tokensOf = ({ prompts, samples }: Rollout) => [...prompts, ...samples].reduce((n, { ids }) => n + ids.length, 0)

/** `weights` [M], `lengths` [S] and the columns: a number for each sample [S], or for each token [M]. */
const microBatch = (
  { rollout, columns }: ExperienceBatch,
  lengths: readonly number[],
  weights: readonly number[],
): MicroBatch => {
  const { trees, K } = treesOf(rollout)
  const packed = packs(trees, K)
  const sequence = packed.flatMap(({ targets }) => Array.from(targets.sequence))
  const arrays = Object.entries(columns).map(([name, values]): [string, BatchArray] => [
    name,
    Array.isArray(values[0])
      ? floats(tokensInOrder(sequence, values as readonly (readonly number[])[]))
      : floats(values as readonly number[]),
  ])
  return {
    packs: packed,
    arrays: {
      lengths: floats(lengths),
      weights: floats(sequence.map((s) => weights[s])),
      ...Object.fromEntries(arrays),
    },
    weight: rollout.samples.length,
  }
}

/** Values of each sample's tokens, in the order in which the packs aim at them. */
const tokensInOrder = (sequence: readonly number[], values: readonly (readonly number[])[]): number[] => {
  const next = values.map(() => 0)
  return sequence.map((s) => values[s][next[s]++])
}
