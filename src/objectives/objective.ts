/** What an objective returns: a scalar to differentiate, and scalars to log under their published names. */
import type { Tensor } from '../tensor/tensor.ts'

export type Objective = { loss: Tensor; metrics: Record<string, Tensor> }

/**
 * Totals of the accumulation window, for a micro-batch that should return its share of the step (and be summed) rather
 * than its own mean (and be averaged). Scalars.
 */
export type Window = {
  /** Prompts, pairs or unpaired responses in the window. */
  rows: Tensor
  /** Tokens of the window's chosen responses (and prompts, where ORPO's likelihood covers them). */
  tokens: Tensor
}
