/**
 * How the tokens of a step are averaged, as a weight for the tokens of each completion. Only `dapo` averages over the
 * whole step; the others are means of micro-batch means, as published and as in TRL, so they depend on the micro-batch
 * size.
 */
import { sum } from '../statistics/summary.ts'

/**
 * `grpo` mean over completions of token means (arXiv 2402.03300, eq. 3) · `bnpo` token mean of the micro-batch · `dr_grpo` token
 * sum / (completions * longest allowed) (arXiv 2503.20783) · `dapo` token sum / tokens of the step (arXiv 2503.14476, eq. 8) ·
 * `sum` mean over completions of token sums (REINFORCE's log pi(y|x); LUSPO, arXiv 2602.05261).
 */
export type Aggregation = 'grpo' | 'bnpo' | 'dr_grpo' | 'dapo' | 'sum'

/**
 * The weight of each token of a completion, by micro-batch and completion. With them the losses of a step's micro-batches
 * add up to the step's loss.
 * @param lengths counted tokens of each completion; 0 for one that is masked out but counts among the completions
 * @param maxLength the most tokens that a completion may have, for dr_grpo
 */
export const tokenWeights = (
  aggregation: Aggregation,
  lengths: readonly (readonly number[])[],
  maxLength: number,
): number[][] => {
  const micros = lengths.length
  const step = Math.max(1, sum(lengths.flat()))
  return lengths.map((micro) => {
    const completions = micro.length
    const tokens = Math.max(1, sum(micro))
    const weight = {
      grpo: (length: number) => 1 / (length * completions * micros),
      bnpo: () => 1 / (tokens * micros),
      dr_grpo: () => 1 / (completions * maxLength * micros),
      dapo: () => 1 / step,
      sum: () => 1 / (completions * micros),
    }[aggregation]
    return micro.map((length) => (length === 0 ? 0 : weight(length)))
  })
}
