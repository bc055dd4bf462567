/**
 * EFT rows of self-rewarding: judgements that teach a model to judge. Of answers that people ranked a judge's judgements are
 * kept where they put the answers in the people's order, and the commonest score is thinned out.
 */
import { rng } from '../../util/rng.ts'

/** A judgement as text, and its score; undefined where none could be read. */
export type Judgement = { text: string; score?: number }

/** Why judgements are not used. */
export type EftRejection = 'no-score' | 'other-order' | 'commonest-score'

/**
 * Whether scores order answers as people do: a better rank has the higher score. People's ties and unranked answers (null)
 * demand nothing.
 */
export const agreesWithRanks = (ranks: readonly (number | null)[], scores: readonly number[]): boolean =>
  ranks.every((a, i) => ranks.every((b, j) => a === null || b === null || a >= b || scores[i] > scores[j]))

/**
 * The first of several draws whose scores agree with people's ranks, or why there is none.
 * @param draws [draw][answer]
 */
export const agreeingDraw = (
  ranks: readonly (number | null)[],
  draws: readonly (readonly Judgement[])[],
): number | 'no-score' | 'other-order' => {
  const scored = draws.flatMap((judgements, d) => {
    const scores = judgements.map(({ score }) => score)
    return scores.every((score) => score !== undefined) ? [{ d, scores }] : []
  })
  if (scored.length === 0) return 'no-score'
  return scored.find(({ scores }) => agreesWithRanks(ranks, scores))?.d ?? 'other-order'
}

/**
 * Which of the judgements stay when the commonest score is cut down to as many as the second commonest has. With one score
 * alone all stay. Which ones go is drawn by the seed.
 */
export const thinnedOut = (scores: readonly number[], seed: number): boolean[] => {
  const counts = new Map<number, number>()
  for (const score of scores) counts.set(score, (counts.get(score) ?? 0) + 1)
  const [first, second] = [...counts].sort((a, b) => b[1] - a[1])
  const kept = scores.map(() => true)
  if (!second) return kept
  const { uniform } = rng(seed, stream)
  const common = scores
    .flatMap((score, i) => (score === first[0] ? [{ i, key: uniform(i) }] : []))
    .sort((a, b) => a.key - b.key)
  for (const { i } of common.slice(second[1])) kept[i] = false
  return kept
}

/** Keeps these random numbers apart from others of the same seed ("eft" in ASCII). */
const stream = 0x656674
