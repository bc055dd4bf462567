/** What an objective returns: the loss, a scalar to differentiate, and metrics under their published names. */
import type { Tensor } from '../tensor/tensor.ts'

export type Objective = { loss: Tensor; metrics: Record<string, Tensor> }

/**
 * Totals of the gradient accumulation window. With them a micro-batch returns its share of the step's loss, to be summed;
 * without them its own mean. Scalars.
 */
export type Window = {
  /** Prompts, pairs or unpaired completions in the window. */
  rows: Tensor
  /** Tokens of the window's chosen responses (and prompts, where ORPO's likelihood covers them). */
  tokens: Tensor
}
