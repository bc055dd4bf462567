/**
 * How the tokens of a step are averaged, as a weight for each response's tokens. Peculiar: only `dapo` looks at the whole
 * step; the others are means of micro-batch means, as published and as TRL has them, so they change with how a step is cut.
 */
import { sum } from '../statistics/summary.ts'

/**
 * `grpo` mean over responses of token means (arXiv 2402.03300, eq. 3) · `bnpo` token mean of the micro-batch · `dr_grpo` token
 * sum / (responses * longest allowed) (arXiv 2503.20783) · `dapo` token sum / tokens of the step (arXiv 2503.14476, eq. 8) ·
 * `sum` mean over responses of token sums (REINFORCE's log pi(y|x); LUSPO, arXiv 2602.05261).
 */
export type Aggregation = 'grpo' | 'bnpo' | 'dr_grpo' | 'dapo' | 'sum'

/**
 * The weight of each token of a response, by micro-batch and response; those of a step's micro-batches add up to its loss.
 * @param lengths counted tokens of each response; 0 where a response counts for nothing but is there
 * @param maxLength the most tokens that a response may have, for dr_grpo
 */
export const tokenWeights = (
  aggregation: Aggregation,
  lengths: readonly (readonly number[])[],
  maxLength: number,
): number[][] => {
  const micros = lengths.length
  const step = Math.max(1, sum(lengths.flat()))
  return lengths.map((micro) => {
    const [responses, tokens] = [micro.length, Math.max(1, sum(micro))]
    const weight = {
      grpo: (length: number) => 1 / (length * responses * micros),
      bnpo: () => 1 / (tokens * micros),
      dr_grpo: () => 1 / (responses * maxLength * micros),
      dapo: () => 1 / step,
      sum: () => 1 / (responses * micros),
    }[aggregation]
    return micro.map((length) => (length === 0 ? 0 : weight(length)))
  })
}
