/** The demo's result: how many sums are right before and after alignment. */
import { type Share, wilson } from '../../statistics/intervals.ts'
import { errorOf, promptOf, type Sum, totalOf } from './addition.ts'
import type { DemoSizes } from './settings.ts'

/** A sum for the evaluation, with its greedy completions before and after alignment. */
export type TestedSum = { prompt: string; right: string; before: string; after: string }

/** How many completions are right, one off, and further off. */
type ErrorCounts = { right: number; close: number; wrong: number }

export type DemoResult = {
  seed: number
  sizes: DemoSizes
  parameters: number
  /** The lowest loss that imitation can reach, in nats per token: the entropy of the class. */
  floor: number
  /** Right completions of the fine-tuned model and of the aligned one, of the same sums. */
  before: Share
  after: Share
  kinds: { before: ErrorCounts; after: ErrorCounts }
  /** Sums that were wrong before and are right after, and the other way round. */
  mended: number
  spoiled: number
  rankings: number
  /** Sums among those ranked of which the model itself sampled the right completion at least once. */
  knew: number
  seconds: { learn: number; compare: number; align: number }
}

/** Completions of each sum, of which the first counts. */
type Completions = readonly (readonly string[])[]

const errorCounts = (sums: readonly Sum[], completions: Completions): ErrorCounts => {
  const errors = sums.map((sum, i) => errorOf(sum, completions[i][0]))
  const right = errors.filter((error) => error === 0).length
  const close = errors.filter((error) => error === 1).length
  return { right, close, wrong: sums.length - right - close }
}

export const shareRight = (sums: readonly Sum[], completions: Completions): Share =>
  wilson(errorCounts(sums, completions).right, sums.length)

/** What alignment changed. */
export const compareCompletions = (
  sums: readonly Sum[],
  before: Completions,
  after: Completions,
): Pick<DemoResult, 'before' | 'after' | 'kinds' | 'mended' | 'spoiled'> => {
  const areRight = (completions: Completions) => sums.map((sum, i) => errorOf(sum, completions[i][0]) === 0)
  const wasRight = areRight(before)
  const isRight = areRight(after)
  return {
    before: shareRight(sums, before),
    after: shareRight(sums, after),
    kinds: { before: errorCounts(sums, before), after: errorCounts(sums, after) },
    mended: sums.filter((_, i) => !wasRight[i] && isRight[i]).length,
    spoiled: sums.filter((_, i) => wasRight[i] && !isRight[i]).length,
  }
}

export const testedSum = (sum: Sum, before: string, after: string): TestedSum => ({
  prompt: promptOf(sum),
  right: String(totalOf(sum)),
  before,
  after,
})
