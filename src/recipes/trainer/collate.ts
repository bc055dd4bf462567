/**
 * Examples to the micro-batches of one step: token trees to pack, the arrays that each method's objective reads, and how
 * many examples are computed at once. `--batch-size` is what a loss and its metrics are taken over, not what memory has to
 * hold: where rows do not depend on each other, a batch goes through the model in equal parts, whose losses are shares of
 * the step. Products of 500 rows are as fast as those of 5,000, and a part keeps fewer activations between forward and
 * backward.
 */
import { packs, type Tree } from '../../data/batch.ts'
import type { RankedExample, TextExample, UnpairedExample } from '../../data/examples.ts'
import { widthOf } from '../../passes/model.ts'
import type { BatchArray, LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import type { Policy } from './policy.ts'

export const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/** A float32 array of a batch; by default a vector. */
export const floats = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): BatchArray => ({
  values: Float32Array.from(values),
  shape,
})

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

/** Without a prompt nothing precedes the first token of a response, so nothing predicts it: 1, else 0. */
const unpredicted = (prompt: { length: number }) => Number(prompt.length === 0)

// Micro-batches

/** Numbers in the hidden states of a micro-batch, at most; narrow models take more tokens. */
const hiddenNumbers = 460_800
/** Wide models take so many tokens all the same. */
const fewestTokens = 512
/** Where all weights are trained, each micro-batch adds a gradient to every one of them: fewer of them, of more tokens. */
const moreForAllWeights = 4

/** How many tokens are computed at once, about; all of a batch where the loss compares its rows. */
export const microBatchTokens = (
  { model, adapter }: Pick<Policy, 'model' | 'adapter'>,
  { together }: Pick<LossFunction, 'together'>,
): number => {
  if (together) return Number.POSITIVE_INFINITY
  const tokens = Math.max(fewestTokens, Math.floor(hiddenNumbers / widthOf(model)))
  return adapter ? tokens : moreForAllWeights * tokens
}

/** Equal parts, as few as keep each within the limit; single examples where no equal parts do. */
export const splitByTokens = <E>(examples: readonly E[], tokens: (example: E) => number, limit: number): E[][] => {
  const fits = (part: readonly E[]) => part.reduce((n, example) => n + tokens(example), 0) <= limit
  for (let size = examples.length; size > 1; size--) {
    if (examples.length % size !== 0) continue
    const parts = chunks(examples, size)
    if (parts.every(fits)) return parts
  }
  return chunks(examples, 1)
}

/** Batches of `batchSize` examples, each split so that the tokens of a micro-batch stay within the limit. */
export const microBatches = <E>(
  examples: readonly E[],
  batchSize: number,
  tokens: (example: E) => number,
  limit: number,
): E[][] => chunks(examples, batchSize).flatMap((batch) => splitByTokens(batch, tokens, limit))

// SFT

const textTree = ({ ids, targets }: TextExample): Tree => ({ trunk: ids, trunkTargets: targets, branches: [] })

const targetCount = ({ targets }: TextExample) => sum(targets.slice(1))

/** `numItems` []: the targets of the whole step, over which the loss is one mean. */
export const textBatches = (microBatches: readonly TextExample[][]): MicroBatch[] => {
  const items = sum(microBatches.flat().map(targetCount))
  return microBatches.map((examples) => ({
    packs: packs(examples.map(textTree), 0),
    arrays: { numItems: floats([items], []) },
    weight: sum(examples.map(targetCount)),
  }))
}

// Preferences and rankings

/** Best first; equal ranks as they stood, the unranked last. */
export const bestFirst = (example: RankedExample): RankedExample => {
  const place = (rank: number | null) => rank ?? Number.POSITIVE_INFINITY
  const order = example.ranks
    .map((_, k) => k)
    .sort((a, b) => place(example.ranks[a]) - place(example.ranks[b]) || a - b)
  const { prob, margin, ratings } = example
  const turned = order[0] !== 0
  return {
    ...example,
    responses: order.map((k) => example.responses[k]),
    ranks: order.map((k) => example.ranks[k]),
    prob: turned && prob !== undefined ? 1 - prob : prob,
    margin: turned && margin !== undefined ? -margin : margin,
    ratings: ratings && order.map((k) => ratings[k]),
  }
}

export const rankedTree = ({ prompt, responses }: RankedExample): Tree => ({ trunk: prompt, branches: responses })

/** Tokens that go through the model: the prompt once. */
export const rankedTokens = ({ prompt, responses }: Pick<RankedExample, 'prompt' | 'responses'>): number =>
  prompt.length + sum(responses.map(({ length }) => length))

/** Tokens as `num_tokens` counts them: the prompt with each response. */
export const rankedNumTokens = ({ prompt, responses }: RankedExample): number =>
  sum(responses.map(({ length }) => prompt.length + length))

/** LD-DPO (arXiv 2409.06411): weights of each response's tokens, `ldAlpha` beyond the length of the shortest response. */
export const lengthWeights = ({ responses }: RankedExample, ldAlpha: number): number[][] => {
  const shared = Math.min(...responses.map((response) => response.length))
  return responses.map((response) => response.map((_, t) => (t < shared ? 1 : ldAlpha)))
}

export type RankedOptions = {
  /** LD-DPO's weight of the tokens beyond the shortest response. */
  ldAlpha?: number
  /** The likelihood covers the prompt too (ORPO as TRL has it). */
  prompts: boolean
}

/**
 * Arrays, best response first: `ranks`, `lengths` (tokens), `refLogps` [B, K]; `promptLengths`, `prob` [B]; `weights` [M] of
 * LD-DPO; `windowRows`, `windowTokens` [], totals of the step.
 * @param refLogps [micro-batch][example][response] sums of log-probs in nats; undefined without a reference model
 */
export const rankedBatches = (
  microBatches: readonly RankedExample[][],
  refLogps: readonly number[][][] | undefined,
  options: RankedOptions,
): MicroBatch[] => {
  const window = windowTotals(microBatches, options)
  return microBatches.map((examples, i) => rankedBatch(examples, refLogps?.[i], options, window))
}

/** Tokens of a response that something predicts. */
const predicted = ({ prompt, responses }: RankedExample, k: number) => responses[k].length - unpredicted(prompt)

const windowTotals = (microBatches: readonly RankedExample[][], { prompts }: RankedOptions) => {
  const examples = microBatches.flat()
  const tokens = (example: RankedExample) =>
    predicted(example, 0) + (prompts ? Math.max(0, example.prompt.length - 1) : 0)
  return { windowRows: floats([examples.length], []), windowTokens: floats([sum(examples.map(tokens))], []) }
}

const rankedBatch = (
  examples: readonly RankedExample[],
  refLogps: readonly number[][] | undefined,
  options: RankedOptions,
  window: Record<string, BatchArray>,
): MicroBatch => {
  const K = Math.max(...examples.map(({ responses }) => responses.length))
  const grid = (value: (example: RankedExample, k: number, b: number) => number): BatchArray =>
    floats(
      examples.flatMap((example, b) =>
        Array.from({ length: K }, (_, k) => (k < example.responses.length ? value(example, k, b) : 0)),
      ),
      [examples.length, K],
    )
  const trees = examples.map((example) => ({
    ...rankedTree(example),
    ...(options.prompts && { trunkTargets: example.prompt.map(() => 1) }),
  }))
  const packed = packs(trees, K)
  const sequence = packed.flatMap(({ targets }) => Array.from(targets.sequence))
  const arrays: Record<string, BatchArray> = {
    ...window,
    lengths: grid(predicted),
    ranks: grid((example, k) => example.ranks[k] ?? -1),
    promptLengths: floats(examples.map(({ prompt }) => Math.max(0, prompt.length - 1))),
    prob: floats(examples.map(({ prob }) => prob ?? 1)),
  }
  if (refLogps) arrays.refLogps = grid((_, k, b) => refLogps[b][k])
  if (options.ldAlpha !== undefined) arrays.weights = floats(targetWeights(examples, options.ldAlpha, sequence, K))
  return { packs: packed, arrays, weight: examples.length }
}

/** [M] LD-DPO's weight of each target. Targets of one response come in the order of its tokens. */
const targetWeights = (
  examples: readonly RankedExample[],
  ldAlpha: number,
  sequence: ArrayLike<number>,
  K: number,
): number[] => {
  const weights = examples.map((example) => lengthWeights(example, ldAlpha))
  const next = new Map<number, number>()
  return Array.from(sequence, (s) => {
    const tree = Math.floor(s / K)
    if (tree >= examples.length) return 1
    const t = next.get(s) ?? unpredicted(examples[tree].prompt)
    next.set(s, t + 1)
    return weights[tree][s % K][t]
  })
}

// KTO

/**
 * Each prompt with its own completion and, for the estimate of the KL, with that of the example before it, as TRL rotates
 * completions within a batch.
 */
export const unpairedTrees = (
  examples: readonly UnpairedExample[],
  { rotated, maxLength }: { rotated: boolean; maxLength: number },
): Tree[] =>
  examples.map(({ prompt, completion }, i) => {
    const mismatched = rotated ? [examples.at(i - 1)!.completion.slice(0, maxLength - prompt.length)] : []
    return { trunk: prompt, branches: [completion, ...mismatched] }
  })

/** Arrays: `labels` [B] (1 is desirable), `refLogps` [B, 1 or 2], `windowRows` [], the examples of the step. */
export const unpairedBatches = (
  microBatches: readonly UnpairedExample[][],
  trees: readonly Tree[][],
  refLogps: readonly number[][][],
): MicroBatch[] => {
  const rows = floats([microBatches.flat().length], [])
  return microBatches.map((examples, i) => {
    const K = trees[i][0].branches.length
    const labels = floats(examples.map(({ label }) => Number(label)))
    return {
      packs: packs(trees[i], K),
      arrays: { windowRows: rows, labels, refLogps: floats(refLogps[i].flat(), [examples.length, K]) },
      weight: examples.length,
    }
  })
}
