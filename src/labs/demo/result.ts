/** The demo's result: how many sums are right before and after each alignment, and what may be said of that. */
import { type Share, wilson } from '../../statistics/intervals.ts'
import { percent, whole } from '../../util/format.ts'
import { errorOf, promptOf, type Sum, totalOf } from './addition.ts'
import type { DemoSizes } from './settings.ts'

/** What follows the alignment by rankings, from the same model: right answers, learned from in three ways. */
export const besides = ['imitation', 'spin', 'asft'] as const
export type Beside = (typeof besides)[number]

/** A sum for the evaluation, with its greedy completions before alignment and after the one by rankings. */
export type AnsweredSum = { prompt: string; right: string; before: string; after: string }

/** With those after each of the alignments beside it. */
export type TestedSum = AnsweredSum & Record<Beside, string>

/** How many completions are right, one off, and further off. */
type ErrorCounts = { right: number; close: number; wrong: number }

/** What an alignment changed. */
export type Outcome = {
  /** Right completions of the fine-tuned model and of the aligned one, of the same sums. */
  before: Share
  after: Share
  kinds: { before: ErrorCounts; after: ErrorCounts }
  /** Sums that were wrong before and are right after, and the other way round. */
  mended: number
  spoiled: number
}

/** With the outcome of the alignment by rankings. */
export type DemoResult = Outcome & {
  seed: number
  sizes: DemoSizes
  parameters: number
  /** The lowest loss that imitation can reach, in nats per token: the entropy of the class. */
  floor: number
  rankings: number
  /** Sums among those ranked of which the model itself sampled the right completion at least once. */
  knew: number
  seconds: { learn: number; compare: number; align: number }
  beside: Record<Beside, Outcome & { seconds: number }>
}

/** Completions of each sum, of which the first counts. */
export type Completions = readonly (readonly string[])[]

const errorCounts = (sums: readonly Sum[], completions: Completions): ErrorCounts => {
  const errors = sums.map((sum, i) => errorOf(sum, completions[i][0]))
  const right = errors.filter((error) => error === 0).length
  const close = errors.filter((error) => error === 1).length
  return { right, close, wrong: sums.length - right - close }
}

export const shareRight = (sums: readonly Sum[], completions: Completions): Share =>
  wilson(errorCounts(sums, completions).right, sums.length)

/** What alignment changed. */
export const compareCompletions = (sums: readonly Sum[], before: Completions, after: Completions): Outcome => {
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

export const testedSum = (sum: Sum, before: string, after: string): AnsweredSum => ({
  prompt: promptOf(sum),
  right: String(totalOf(sum)),
  before,
  after,
})

type AlignmentRow = { name: string; learnedFrom: string; outcome: Outcome; seconds: number }

/** The alignments in their order, as tables and pictures name them. */
export const alignmentRows = (result: DemoResult): AlignmentRow[] => {
  const { rankings, sizes, seconds, beside } = result
  const answers = `${whole(sizes.ranked)} answers`
  const row = (name: string, learnedFrom: string, { seconds, ...outcome }: DemoResult['beside'][Beside]) => ({
    name,
    learnedFrom,
    outcome,
    seconds,
  })
  return [
    { name: 'rankings (dpo)', learnedFrom: `${whole(rankings)} rankings`, outcome: result, seconds: seconds.align },
    row('imitation (sft)', answers, beside.imitation),
    row('SPIN', answers, beside.spin),
    row('aSFT', `${answers} and a helper`, beside.asft),
  ]
}

/** Which alignments raised the share of right sums beyond the interval of before. */
export const gainText = (result: DemoResult): string => {
  const { before } = result
  const rows = alignmentRows(result)
  const gained = rows.filter(({ outcome }) => outcome.after.low > before.high)
  const rest = rows.filter((row) => !gained.includes(row))
  const named = (list: readonly AlignmentRow[]) => list.map(({ name }) => name).join(', ')
  if (gained.length === 0) return 'No way makes the model right more often, beyond what chance allows.'
  const shares = gained.map(({ outcome }) => outcome.after.share)
  const [was, low, high] = [before.share, Math.min(...shares), Math.max(...shares)].map((share) => percent(share))
  const rise = `from ${was} right to ${low === high ? low : `between ${low} and ${high}`}`
  if (rest.length === 0) return `All four ways work here: ${rise}.`
  return `Some ways work here, ${rise}: ${named(gained)}. No gain beyond what chance allows: ${named(rest)}.`
}

/** What one run cannot say. */
export const limitText = 'One run does not say which way is best: another seed (--seed) gives other numbers.'
