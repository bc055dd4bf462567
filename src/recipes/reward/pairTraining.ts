/**
 * What a pair ranker learns from: of each row every two responses that its ranks order, in both orders, and the loss on the scores
 * of the better and of the worse. A row counts once, however many pairs its responses make.
 */
import { packTexts } from '../../data/encoderBatch.ts'
import { type Pair, type PairTokens, pairMaker, pairTexts } from '../../data/pairText.ts'
import type { Ranking } from '../../data/rows.ts'
import { type PairLoss, pairLoss } from '../../objectives/pairRanking.ts'
import { passesByLength } from '../../passes/hiddenStates.ts'
import type { Model } from '../../passes/model.ts'
import { pairRows } from '../../passes/pairScores.ts'
import { mean } from '../../statistics/summary.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { floats } from '../trainer/collate.ts'
import type { ExampleRule } from '../trainer/dataset.ts'

/** Pairs by turns with the better and with the worse response first, twice as many as there are comparisons. */
export type PairExample = { pairs: Pair[]; truncated: boolean }

/** Two responses, the better first. */
const orderedPairs = (ranks: Ranking['ranks']): (readonly [better: number, worse: number])[] => {
  const place = (k: number) => ranks[k] ?? Number.POSITIVE_INFINITY
  return ranks.flatMap((_, i) => ranks.flatMap((__, j) => (place(i) < place(j) ? [[i, j] as const] : [])))
}

export const pairRule = (tokens: PairTokens, tokenizer: Tokenizer | undefined): ExampleRule<Ranking, PairExample> => ({
  example: ({ prompt, responses, ranks }, count) => {
    const ordered = orderedPairs(ranks)
    if (ordered.length === 0) return 'tie'
    const texts = pairTexts(prompt, responses)
    const cut = pairMaker(tokens, tokenizer, texts)
    const whole = pairMaker(
      { ...tokens, sourceLength: Number.POSITIVE_INFINITY, length: Number.POSITIVE_INFINITY },
      tokenizer,
      texts,
    )
    const pairs = ordered.flatMap(([better, worse]) => [cut(better, worse), cut(worse, better)])
    if (ordered.some(([better, worse]) => cut(better, worse).ids.join() === swapped(cut(worse, better), tokens).join()))
      count('equal-replies')
    const truncated = ordered.some(([better, worse]) => whole(better, worse).ids.length > cut(better, worse).ids.length)
    return { pairs, truncated }
  },
  ids: ({ pairs }) => pairs.map(({ ids }) => ids),
  sequences: ({ pairs }) =>
    pairs.map(({ ids }) => ({ name: 'pair', ids, targets: new Uint8Array(ids.length).fill(1) })),
  method: 'reward',
})

/** The ids with the marker of the first candidate in place of the second's, and the other way round. */
const swapped = ({ ids }: Pair, { ids: [, first, second] }: PairTokens): number[] =>
  ids.map((id) => (id === first ? second : id === second ? first : id))

export const pairTokensOf = ({ pairs }: PairExample): number => pairs.reduce((n, { ids }) => n + ids.length, 0)

/** Arrays: `better`, `worse` [P], where among the targets their scores stand; `weights` [P], shares of a row in the step. */
export const pairBatches = (model: Model, microBatches: readonly PairExample[][]): MicroBatch[] => {
  const rows = microBatches.flat().length
  return microBatches.map((examples) => {
    const pairs = examples.flatMap((example) =>
      example.pairs.map((pair, k) => ({ pair, k, share: 1 / example.pairs.length })),
    )
    const texts = pairRows(
      model,
      pairs.map(({ pair }) => pair),
    )
    const passes = passesByLength(
      texts.map(({ ids }) => ids.length),
      Number.POSITIVE_INFINITY,
    )
    // Where in the order of the passes each pair comes, with three targets each
    const at = new Map(passes.flat().map((n, i) => [n, 3 * i]))
    const indices = (offset: (k: number) => number) => ({
      values: BigInt64Array.from(pairs, ({ k }, n) => BigInt(at.get(n)! + offset(k))),
      shape: [pairs.length],
    })
    return {
      packs: passes.map((numbers) => packTexts(numbers.map((n) => texts[n]))),
      arrays: {
        better: indices((k) => 1 + (k % 2)),
        worse: indices((k) => 2 - (k % 2)),
        weights: floats(pairs.map(({ share }) => share / rows)),
      },
      weight: examples.length,
    }
  })
}

export const pairObjective = (kind: PairLoss): LossFunction => ({
  name: `pair ${kind}`,
  stats: ['scores'],
  trace: ({ scores, array }) => {
    const of = (which: string) => scores.mean(-1).gather(array(which, ['P'], 'i64'))
    const [better, worse] = [of('better'), of('worse')]
    const weights = array('weights', ['P'])
    const share = (x: ReturnType<typeof of>) => x.mul(weights).sum().div(weights.sum())
    const right = better.gt(worse).cast('f32').add(better.ge(worse).cast('f32')).mul(0.5)
    return {
      loss: pairLoss(better, worse, kind).mul(weights).sum(),
      metrics: { accuracy: share(right), margin: share(better.sub(worse)) },
    }
  },
})

type Evaluation = { addBatch(batch: MicroBatch, scores: Float32Array): void; metrics(): Record<string, number> }

/**
 * Metrics on held-out rows, over all comparisons: how often the better response wins with both orders taken together (`accuracy`,
 * a tie counts half) and by one order (`accuracy_single`), and how often both orders agree (`consistency`).
 */
export const pairEvaluation = (): Evaluation => {
  const gaps: [number, number][] = []
  return {
    addBatch: ({ arrays, packs }, scores) => {
      const targets = packs.reduce((n, pack) => n + pack.targets.index.length, 0)
      const tasks = scores.length / targets
      const score = (m: number) => mean(Array.from(scores.subarray(m * tasks, (m + 1) * tasks)))
      const gap = (n: number) => score(Number(arrays.better.values[n])) - score(Number(arrays.worse.values[n]))
      for (let n = 0; n < arrays.better.values.length; n += 2) gaps.push([gap(n), gap(n + 1)])
    },
    metrics: () => {
      const won = (gap: number) => (gap === 0 ? 0.5 : Number(gap > 0))
      return {
        accuracy: mean(gaps.map(([a, b]) => won(a + b))),
        accuracy_single: mean(gaps.flatMap((both) => both.map(won))),
        consistency: mean(gaps.map(([a, b]) => Number(Math.sign(a) === Math.sign(b)))),
        comparisons: gaps.length,
      }
    },
  }
}
