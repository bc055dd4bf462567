/**
 * What self-play learns from: for each prompt its answers in the order of who gave them, the data first, then the helpers,
 * the model's own, and the very first model's. Peculiar: equal answers say nothing about each other, and a list of equal
 * answers alone says nothing at all.
 */
import { z } from 'zod'
import type { RankedExample } from '../../data/examples.ts'

const ids = z.array(z.number().int().nonnegative())

export const listSchema = z.object({
  /** Of the data, and the iteration whose answer it holds. */
  row: z.number(),
  from: z.number(),
  /** Why it is not trained on. */
  dropped: z.string().optional(),
  /** How often each odd thing was met. */
  odd: z.array(z.string()),
  prompt: ids,
  /** Of each answer, in order: who gave it, its tokens, its rank (0 is left out), its log-prob under the snapshot. */
  roles: z.array(z.enum(['data', 'helper', 'own', 'first'])),
  replies: z.array(ids),
  ranks: z.array(z.number()),
  refs: z.array(z.number()),
})
/** A prompt with its answers, as it lies in the run's folder. */
export type List = z.infer<typeof listSchema>
export type Role = List['roles'][number]

export type Candidate = {
  role: Role
  ids: number[]
  rank: number
  /** Equal where answers are equal. */
  key: string
}

export type EqualRule = 'drop' | 'tie'

/** Ranks with 0 for what is left out: of equal answers all but the best, or none and they share the best one's rank. */
export const ranksOf = (candidates: readonly Candidate[], rule: EqualRule): number[] =>
  candidates.map(({ key, rank }, k) => {
    const first = candidates.findIndex((other) => other.key === key)
    if (first === k) return rank
    return rule === 'tie' ? candidates[first].rank : 0
  })

/**
 * T-SPIN compares by role, so ranks stay 1 (data), 2 (own), 3 (first). `drop` leaves out the first model's answer where
 * it equals another, and the whole list where its own answer is the data's.
 */
export const tripletRanks = (candidates: readonly Candidate[], rule: EqualRule): number[] =>
  rule === 'tie' ? candidates.map(({ rank }) => rank) : ranksOf(candidates, 'drop')

export const isList = (ranks: readonly number[]) => ranks.filter((rank) => rank > 0).length > 1

/** As the objective takes it. */
export const rankedOf = ({ prompt, replies, ranks, refs }: List): { example: RankedExample; refs: number[] } => {
  const kept = ranks.flatMap((rank, k) => (rank > 0 ? [k] : []))
  const pick = <T>(values: readonly T[]) => kept.map((k) => values[k])
  return { example: { prompt, responses: pick(replies), ranks: pick(ranks), truncated: false }, refs: pick(refs) }
}
