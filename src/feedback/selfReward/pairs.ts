/** From scores to preference pairs, and how far scores agree with people's rankings. */

/** The mean of the scores that could be read; undefined where none could. */
export const meanScore = (scores: readonly (number | undefined)[]): number | undefined => {
  const read = scores.filter((score) => score !== undefined)
  return read.length ? read.reduce((a, b) => a + b, 0) / read.length : undefined
}

/** Why a prompt gives no pair. */
export type NoPair = 'fewer-than-two-scored' | 'equal-scores' | 'equal-texts'

/**
 * The best response against the worst, by their numbers; of equal scores the first. Two must be scored, and unequal.
 * @example bestAgainstWorst(['a', 'b', 'c'], [3, undefined, 4]) // { chosen: 2, rejected: 0 }
 */
export const bestAgainstWorst = (
  responses: readonly string[],
  scores: readonly (number | undefined)[],
): { chosen: number; rejected: number } | NoPair => {
  const scored = scores.flatMap((score, i) => (score === undefined ? [] : [{ score, i }]))
  if (scored.length < 2) return 'fewer-than-two-scored'
  const best = scored.reduce((a, b) => (b.score > a.score ? b : a))
  const worst = scored.reduce((a, b) => (b.score < a.score ? b : a))
  if (best.score === worst.score) return 'equal-scores'
  if (responses[best.i] === responses[worst.i]) return 'equal-texts'
  return { chosen: best.i, rejected: worst.i }
}

/** Pairs of answers that people ranked apart, by how a judge's scores order them. */
export type PairCounts = { same: number; tied: number; other: number; unscored: number }

/** @param rankings people's ranks (1 is best, null unranked) and the judge's scores of the same answers */
export const pairAgreement = (
  rankings: readonly { ranks: readonly (number | null)[]; scores: readonly (number | undefined)[] }[],
): PairCounts => {
  const counts: PairCounts = { same: 0, tied: 0, other: 0, unscored: 0 }
  for (const { ranks, scores } of rankings)
    ranks.forEach((better, i) => {
      ranks.forEach((worse, j) => {
        if (better === null || worse === null || better >= worse) return
        const [a, b] = [scores[i], scores[j]]
        if (a === undefined || b === undefined) counts.unscored++
        else if (a === b) counts.tied++
        else counts[a > b ? 'same' : 'other']++
      })
    })
  return counts
}
