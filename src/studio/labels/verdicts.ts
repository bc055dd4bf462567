/** What a value says of each two responses: the common ground of all modes, for disagreement, agreement and known answers. */
import type { Ranks } from '../../feedback/votes/tasks.ts'
import type { Mode, VoteValue } from './api.ts'

/** 0: the first is better; 1: a tie; 2: the second; 3: nothing is said. Of mode `good` one verdict: 0 is good, 2 bad. */
export type Verdict = 0 | 1 | 2 | 3
export const unsaid = 3

/** Ranks by the mean of a response's ratings; equal means tie. */
const ranksOfRatings = (ratings: readonly Record<string, number>[]): Ranks => {
  const means = ratings.map((rating) => {
    const given = Object.values(rating)
    return given.reduce((a, b) => a + b, 0) / given.length
  })
  return means.map((mean) => 1 + means.filter((other) => other > mean + 1e-9).length)
}

/** The ranks of the responses that a value means, 1 for the best; undefined where it compares none. */
export const ranksOf = (value: VoteValue): Ranks | undefined =>
  value.ranks ?? (value.ratings?.length ? ranksOfRatings(value.ratings) : undefined)

/** The verdicts of the pairs (0, 1), (0, 2), ..., (1, 2), ... */
export const verdictsOf = (mode: Mode, value: VoteValue, responses: number): number[] => {
  if (mode === 'good') return [value.bothBad ? 2 : value.good === undefined ? unsaid : value.good ? 0 : 2]
  const verdicts = new Array<number>((responses * (responses - 1)) / 2).fill(unsaid)
  const ranks = ranksOf(value)
  if (!ranks) return value.bothBad ? verdicts.fill(1) : verdicts
  let at = 0
  for (let i = 0; i < responses; i++)
    for (let j = i + 1; j < responses; j++, at++) {
      const [a, b] = [ranks[i], ranks[j]]
      if (a === null && b === null) continue
      const by = (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY)
      verdicts[at] = by < 0 ? 0 : by === 0 ? 1 : 2
    }
  return verdicts
}

/** How far people disagree on a task: over each two of them, the share of pairs that differ; a tie differs by half. */
export const disagreementOf = (votes: readonly (readonly number[])[]): number | null => {
  let [total, compared] = [0, 0]
  for (const [i, a] of votes.entries())
    for (const b of votes.slice(i + 1))
      for (let at = 0; at < a.length; at++) {
        if (a[at] === unsaid || b[at] === unsaid) continue
        total += Math.abs(a[at] - b[at]) / 2
        compared++
      }
  return compared ? total / compared : null
}

/** Whether a vote is right: it turns no pair of the known answer round, and ties none of two that differ there. */
export const isRight = (mode: Mode, value: VoteValue, known: VoteValue, responses: number): boolean => {
  const [own, right] = [verdictsOf(mode, value, responses), verdictsOf(mode, known, responses)]
  return right.every((verdict, at) => verdict === unsaid || verdict === 1 || own[at] === verdict)
}
