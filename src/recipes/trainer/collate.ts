/** Examples to the micro-batches of one step: trees to pack, and the arrays that each method's loss reads. */
import { packs, type Tree } from '../../data/batch.ts'
import type { RankedExample, TextExample, UnpairedExample } from '../../data/examples.ts'
import type { BatchArray } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'

export const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/** A row, or a grid of this shape. */
export const floats = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): BatchArray => ({
  values: Float32Array.from(values),
  shape,
})

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

/** Nothing comes before the first token of a response without a prompt, so nothing predicts it. */
const unpredicted = (prompt: { length: number }) => Number(prompt.length === 0)

/** In order: reference passes queue behind each other anyway. */
export const eachExample = async <E, V>(micros: readonly E[][], value: (example: E) => Promise<V>): Promise<V[][]> => {
  const all: V[][] = []
  for (const micro of micros) {
    const values: V[] = []
    for (const example of micro) values.push(await value(example))
    all.push(values)
  }
  return all
}

// SFT

export const textTree = ({ ids, targets }: TextExample): Tree => ({ trunk: ids, trunkTargets: targets, branches: [] })

const targetCount = ({ targets }: TextExample) => sum(targets.slice(1))

/** `numItems`: the targets of the whole step. */
export const textBatches = (micros: readonly TextExample[][]): MicroBatch[] => {
  const items = sum(micros.flat().map(targetCount))
  return micros.map((examples) => ({
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

/** That go through the model: the prompt once. */
export const rankedTokens = ({ prompt, responses }: Pick<RankedExample, 'prompt' | 'responses'>): number =>
  prompt.length + sum(responses.map(({ length }) => length))

/** LD-DPO (arXiv 2409.06411): tokens beyond the shorter response's length count `ldAlpha`. */
export const lengthWeights = ({ responses }: RankedExample, ldAlpha: number): number[][] => {
  const shared = Math.min(...responses.map((response) => response.length))
  return responses.map((response) => response.map((_, t) => (t < shared ? 1 : ldAlpha)))
}

export type RankedOptions = {
  ldAlpha?: number /** The prompt of each tree counts as well (ORPO as TRL has it). */
  prompts: boolean
}

/** @param refs per micro-batch and example, a sum for each response; undefined without a reference */
export const rankedBatches = (
  micros: readonly RankedExample[][],
  refs: readonly number[][][] | undefined,
  options: RankedOptions,
): MicroBatch[] => {
  const window = windowOf(micros, options)
  return micros.map((examples, i) => rankedBatch(examples, refs?.[i], options, window))
}

const predicted = ({ prompt, responses }: RankedExample, k: number) => responses[k].length - unpredicted(prompt)

const windowOf = (micros: readonly RankedExample[][], { prompts }: RankedOptions) => {
  const tokens = (example: RankedExample) =>
    predicted(example, 0) + (prompts ? Math.max(0, example.prompt.length - 1) : 0)
  return { windowRows: floats([micros.flat().length], []), windowTokens: floats([sum(micros.flat().map(tokens))], []) }
}

const rankedBatch = (
  examples: readonly RankedExample[],
  refs: readonly number[][] | undefined,
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
  if (refs) arrays.refLogps = grid((_, k, b) => refs[b][k])
  if (options.ldAlpha !== undefined) arrays.weights = floats(targetWeights(examples, options.ldAlpha, sequence, K))
  return { packs: packed, arrays, weight: examples.length }
}

/** A weight for each target, in the order of the targets: a response's tokens come in their order. */
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

/** Each prompt with its own response and, for the estimate of the KL, with another's. */
export const unpairedTree = (own: UnpairedExample, other: UnpairedExample | undefined, maxLength: number): Tree => ({
  trunk: own.prompt,
  branches: [own.completion, ...(other ? [other.completion.slice(0, maxLength - own.prompt.length)] : [])],
})

/** As TRL rotates inside a batch: each takes the response of the one before it. */
export const unpairedTrees = (examples: readonly UnpairedExample[], rotated: boolean, maxLength: number): Tree[] =>
  examples.map((own, i) => unpairedTree(own, rotated ? examples.at(i - 1) : undefined, maxLength))

export const unpairedBatches = (
  micros: readonly UnpairedExample[][],
  trees: readonly Tree[][],
  refs: readonly number[][][],
): MicroBatch[] => {
  const rows = floats([micros.flat().length], [])
  return micros.map((examples, i) => {
    const K = trees[i][0].branches.length
    const labels = floats(examples.map(({ label }) => Number(label)))
    return {
      packs: packs(trees[i], K),
      arrays: { windowRows: rows, labels, refLogps: floats(refs[i].flat(), [examples.length, K]) },
      weight: examples.length,
    }
  })
}
