/** From a rollout's experience batch to the micro-batches of its updates. */

import { packs } from '../../data/batch.ts'
import { type Aggregation, tokenWeights } from '../../objectives/aggregation.ts'
import type { BatchArray } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { permutation, rng } from '../../util/rng.ts'
import { chunks, floats, splitByTokens } from '../trainer/collate.ts'
import { treesOf } from './logps.ts'
import type { ExperienceBatch } from './method.ts'

export type UpdateSettings = {
  /** Prompts of a batch, and batches of an update. */
  batchSize: number
  gradAccum: number
  /** Passes over a rollout, and updates in each. */
  numIterations: number
  stepsPerGeneration: number
  maxNewTokens: number
  seed: number
}

type UpdateSizes = Omit<UpdateSettings, 'maxNewTokens' | 'seed'>

const promptsPerUpdate = ({ batchSize, gradAccum }: UpdateSizes) => batchSize * gradAccum

export const promptsPerRollout = (settings: UpdateSizes) => promptsPerUpdate(settings) * settings.stepsPerGeneration

/**
 * Updates on a whole rollout. With more than one, the policy is no longer the one that sampled, so its old log-probs are
 * needed.
 */
export const updatesPerRollout = ({
  numIterations,
  stepsPerGeneration,
}: Pick<UpdateSizes, 'numIterations' | 'stepsPerGeneration'>) => numIterations * stepsPerGeneration

/** Updates of a run over so many prompts. Its last rollout may have fewer prompts than the others. */
export const totalUpdates = (prompts: number, settings: UpdateSizes): number => {
  const size = promptsPerRollout(settings)
  const updatesOn = (count: number) => Math.ceil(count / promptsPerUpdate(settings)) * settings.numIterations
  return Math.floor(prompts / size) * updatesOn(size) + updatesOn(prompts % size)
}

/**
 * Numbers of the prompts of each update, pass after pass over a rollout: in their order where an update takes all of them,
 * else drawn anew in each pass.
 */
export const promptsOfUpdates = (prompts: number, settings: UpdateSettings, rolloutNumber: number): number[][] => {
  const inOrder = Array.from({ length: prompts }, (_, i) => i)
  return Array.from({ length: settings.numIterations }, (_, pass) => {
    const shuffled = [...permutation(prompts, rng(settings.seed, rolloutNumber, pass))]
    return chunks(settings.stepsPerGeneration > 1 ? shuffled : inOrder, promptsPerUpdate(settings))
  }).flat()
}

/** The part of a batch that belongs to these prompts. */
const ofPrompts = (
  { rollout, columns, mask, rewards }: ExperienceBatch,
  promptNumbers: readonly number[],
): ExperienceBatch => {
  const G = rollout.perPrompt
  const take = <T>(values: readonly T[]): T[] => promptNumbers.flatMap((g) => values.slice(g * G, (g + 1) * G))
  return {
    rollout: { prompts: promptNumbers.map((g) => rollout.prompts[g]), samples: take(rollout.samples), perPrompt: G },
    columns: Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, take(values)])),
    mask: take(mask),
    rewards: take(rewards),
  }
}

/** Tokens of a prompt and its samples that go through the model, and tokens that count, of each of its samples. */
const sizesOf = (batch: ExperienceBatch, promptNumber: number): { tokens: number; lengths: number[] } => {
  const { rollout, mask } = ofPrompts(batch, [promptNumber])
  return {
    tokens: [...rollout.prompts, ...rollout.samples].reduce((n, { ids }) => n + ids.length, 0),
    lengths: rollout.samples.map(({ ids }, i) => (mask[i] ? ids.length : 0)),
  }
}

/**
 * The micro-batches of one update on these prompts.
 * @param aggregation of the losses of tokens, over batches of `batchSize` prompts, however these are split
 * @param tokensAtOnce tokens that are computed together, roughly; batches with more are split by prompts
 */
export const minibatches = (
  batch: ExperienceBatch,
  promptNumbers: readonly number[],
  {
    batchSize,
    maxNewTokens,
    aggregation,
    tokensAtOnce,
  }: Pick<UpdateSettings, 'batchSize' | 'maxNewTokens'> & { aggregation: Aggregation; tokensAtOnce: number },
): MicroBatch[] => {
  const sized = promptNumbers.map((g) => ({ g, ...sizesOf(batch, g) }))
  const batches = chunks(sized, batchSize)
  const weights = tokenWeights(
    aggregation,
    batches.map((prompts) => prompts.flatMap(({ lengths }) => lengths)),
    maxNewTokens,
  )
  return batches.flatMap((prompts, i) => {
    const weightsOfPrompts = chunks(weights[i], batch.rollout.perPrompt)
    const weighted = prompts.map((prompt, k) => ({ ...prompt, weights: weightsOfPrompts[k] }))
    return splitByTokens(weighted, ({ tokens }) => tokens, tokensAtOnce).map((part) =>
      microBatch(
        ofPrompts(
          batch,
          part.map(({ g }) => g),
        ),
        part.flatMap((prompt) => prompt.lengths),
        part.flatMap((prompt) => prompt.weights),
      ),
    )
  })
}

/**
 * @param lengths [S] tokens that count
 * @param weights [S] of each token of a sample
 * @returns a micro-batch with the arrays `lengths` [S], `weights` [M], and the columns, each [S] or [M]
 */
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
      ? floats(byTarget(sequence, values as readonly (readonly number[])[]))
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

/**
 * Values of tokens in the order of the targets: a sample's tokens come in their order, packs may mix the samples.
 * @param sequence [M] the sample of each target   @param values [S][tokens]
 */
const byTarget = (sequence: readonly number[], values: readonly (readonly number[])[]): number[] => {
  const next = values.map(() => 0)
  return sequence.map((s) => values[s][next[s]++])
}
