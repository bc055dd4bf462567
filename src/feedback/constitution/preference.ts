/**
 * Pairs of replies that a model compared under a principle: the probability that one is better, the preference row with it as
 * a soft label, and the counts of all (section 4.1 of arXiv 2212.08073).
 */
import type { Message } from '../../data/messages.ts'
import { mean } from '../../statistics/summary.ts'
import type { TextPrompt } from '../textModel/textModel.ts'
import { type Form, responseRequest } from './dialogue.ts'
import { countBy, type FailedCall, rowText, sameText, type Written } from './transcript.ts'

/** What a model said of both orders of a pair, all in [0, 1]. */
export type Comparison = {
  /** Probability that the first reply is better, as (A) and as (B). */
  asA: number
  asB: number
  /** The share of all probability that the two options had, in the order where they had less of it. */
  mass: number
}

export type Pair = {
  /** Number of the prompt in the data, and of the pair among those of the prompt, from 0. */
  row: number
  pair: number
  prompt: readonly Message[]
  /** Undefined where sampling failed. */
  replies?: readonly [Written, Written]
  /** Id of the principle that was drawn. */
  principle: string
  comparison?: Comparison
  failure?: FailedCall
  dropped?: PairDropReason
}

/** Why a pair gives no row, in the order in which they are looked for. */
export const pairDropReasons = {
  'too-long': 'the prompt, or the question with both replies, leaves no room in the context',
  failed: 'a call of the model failed',
  empty: 'a reply is empty',
  cut: 'a reply was cut at the limit of new tokens',
  same: 'both replies say the same',
  undecided: 'both replies are equally likely to be the better one',
} as const
export type PairDropReason = keyof typeof pairDropReasons

/**
 * From the normalised log-probabilities of (A) and (B), in nats.
 * @param logps [2][2] of (A) and (B), first with the first reply as (A), then with it as (B)
 * @param mass [2] the options' share of all probability in both orders
 */
export const comparisonOf = (logps: readonly (readonly number[])[], mass: readonly number[]): Comparison => ({
  asA: Math.exp(logps[0][0]),
  asB: Math.exp(logps[1][1]),
  mass: Math.min(...mass),
})

/** P(the first reply is better), the mean over both orders. */
export const probabilityOf = ({ asA, asB }: Comparison): number => (asA + asB) / 2

/** Whether both orders prefer the same reply. */
export const isConsistent = ({ asA, asB }: Comparison): boolean => asA > 0.5 === asB > 0.5 && asA !== 0.5 && asB !== 0.5

/** Within so much of 0.5 a probability is rounding and no preference. */
const undecided = 1e-6

/** Why a pair gives no row; undefined for one that does, and for one that is not compared yet. */
export const pairDropReasonOf = (
  { replies, comparison, failure }: Pair,
  keep: readonly string[] = [],
): PairDropReason | undefined => {
  if (failure) return failure.code === 'prompt-too-long' ? 'too-long' : 'failed'
  if (!replies) return undefined
  const [first, second] = replies
  if (!first.text || !second.text) return 'empty'
  if ((first.cut || second.cut) && !keep.includes('cut')) return 'cut'
  if (sameText(first.text, second.text)) return 'same'
  return comparison && Math.abs(probabilityOf(comparison) - 0.5) < undecided ? 'undecided' : undefined
}

/** A preference with the probability of its order: `prob` of `attune dpo` and `attune reward`. */
export type ComparedRow = { prompt: TextPrompt; chosen: string; rejected: string; prob: number }

/** Undefined for a dropped pair. */
export const preferenceRow = (form: Form, { prompt, replies, comparison, dropped }: Pair): ComparedRow | undefined => {
  if (dropped || !replies || !comparison) return undefined
  const p = probabilityOf(comparison)
  const [chosen, rejected] = p > 0.5 ? replies : [replies[1], replies[0]]
  return {
    prompt: responseRequest(form, prompt),
    chosen: rowText(form, chosen.text),
    rejected: rowText(form, rejected.text),
    prob: Math.max(p, 1 - p),
  }
}

export type PairCounts = {
  pairs: number
  kept: number
  dropped: Partial<Record<PairDropReason, number>>
  failures: Record<string, number>
  /** Pairs that were compared, and how many of them both orders decided alike. */
  compared: number
  consistent: number
  /** Kept pairs whose chosen reply has more characters, of those whose replies differ in length. */
  longer: number
  unequal: number
  /** Mean probability of (A), whatever stood there: 0.5 without a preference for a place. NaN of none. */
  first: number
  /** Mean `prob` of the kept rows, and the mean share of all probability that (A) and (B) had. NaN of none. */
  prob: number
  mass: number
  /** Kept rows by `prob`: 0.5 to 0.6, 0.6 to 0.7, ..., 0.9 to 1. */
  bins: number[]
  /** All that could be drawn, in the order of the constitution. */
  principles: { id: string; kind?: string; drawn: number; compared: number; consistent: number }[]
}

/** @param principles all that could be drawn */
export const countPairs = (
  pairs: readonly Pair[],
  principles: readonly { id: string; kind?: string }[],
): PairCounts => {
  const compared = pairs.filter((pair) => pair.comparison)
  const comparisons = compared.map(({ comparison }) => comparison!)
  const kept = compared.filter(({ dropped }) => dropped === undefined)
  const probs = kept.map(({ comparison }) => Math.max(probabilityOf(comparison!), 1 - probabilityOf(comparison!)))
  const bins = [0, 0, 0, 0, 0]
  for (const prob of probs) bins[Math.min(4, Math.floor((prob - 0.5) * 10))]++
  const lengths = kept.map(({ replies, comparison }) => {
    const [first, second] = replies!.map(({ text }) => text.length)
    return probabilityOf(comparison!) > 0.5 ? first - second : second - first
  })
  return {
    pairs: pairs.length,
    kept: kept.length,
    dropped: countBy(pairs.map(({ dropped }) => dropped)),
    failures: countBy(pairs.map(({ failure }) => failure?.code)),
    compared: compared.length,
    consistent: comparisons.filter(isConsistent).length,
    longer: lengths.filter((difference) => difference > 0).length,
    unequal: lengths.filter((difference) => difference !== 0).length,
    first: mean(comparisons.map(({ asA, asB }) => (asA + 1 - asB) / 2)),
    prob: mean(probs),
    mass: mean(comparisons.map(({ mass }) => mass)),
    bins,
    principles: principles.map(({ id, kind }) => {
      const drawn = pairs.filter(({ principle }) => principle === id)
      const decided = drawn.flatMap(({ comparison }) => comparison ?? [])
      return {
        id,
        ...(kind !== undefined && { kind }),
        ...{ drawn: drawn.length, compared: decided.length, consistent: decided.filter(isConsistent).length },
      }
    }),
  }
}
