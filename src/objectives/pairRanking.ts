/** From the scores of pairs to rankings and to a loss, as PairRanker has them (Jiang et al. 2023, arXiv 2306.02561). */
import type { Tensor } from '../tensor/tensor.ts'

/**
 * How much better each candidate is than the others: the mean over all N candidates of L_ij - L_ji, itself counted as 0.
 * @param logits [N][N] score of i less that of j, where i stands first
 *
 * Example: `meanAdvantages([[0, 2], [-1, 0]])` is [1.5, -1.5]
 */
export const meanAdvantages = (logits: readonly (readonly number[])[]): number[] =>
  logits.map((row, i) => row.reduce((sum, logit, j) => sum + (i === j ? 0 : logit - logits[j][i]), 0) / row.length)

/** 1 for the highest score; equal scores share the rank of the first of them. Example: `ranksOf([1, 3, 3])` is [3, 1, 1] */
export const ranksOf = (scores: readonly number[]): number[] =>
  scores.map((score) => 1 + scores.filter((other) => other > score).length)

/**
 * Sorts candidates by comparing neighbours, from the last place to the first, until none changes places: best first. Of two that
 * are equal the first stays first.
 *
 * Yields the pairs that it needs compared, [i, j] with i standing first, and is given how much better i is: above 0, below, or 0.
 */
export function* bubbleSort(count: number): Generator<readonly [number, number], number[], number> {
  const order = Array.from({ length: count }, (_, i) => i)
  for (let done = 0; done < count - 1; done++) {
    let changed = false
    for (let at = count - 1; at > done; at--) {
      const better = yield [order[at - 1], order[at]]
      if (better >= 0) continue
      ;[order[at - 1], order[at]] = [order[at], order[at - 1]]
      changed = true
    }
    if (!changed) break
  }
  return order
}

/** What `--pair-loss` takes. */
export const pairLosses = ['difference', 'labels'] as const
export type PairLoss = (typeof pairLosses)[number]

/**
 * The loss of each pair [P], nats. `difference`: -log sigmoid(s_b - s_w). `labels`: the cross-entropy of both scores, 1 for the better
 * and 0 for the worse, -(log sigmoid(s_b) + log sigmoid(-s_w)) / 2 (eq. 1; a head that is pushed down by nothing would score all high).
 * @param better, worse [P] scores
 */
export const pairLoss = (better: Tensor, worse: Tensor, kind: PairLoss): Tensor =>
  kind === 'difference'
    ? better.sub(worse).logSigmoid().neg()
    : better.logSigmoid().add(worse.neg().logSigmoid()).mul(-0.5)
