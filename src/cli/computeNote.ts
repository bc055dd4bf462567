/** The line in which a command that loads a model says what 8-bit products gain on this machine. */
import { computeEvents } from '../passes/computeSpeed.node.ts'
import type { Compute } from '../passes/int8.ts'
import type { Model } from '../passes/model.ts'
import type { Reporter } from './reporter.ts'

/** Nothing for products in fp32, which are what one gets without asking. */
export const noteCompute = async (model: Model, compute: Compute, { show }: Pick<Reporter, 'show'>): Promise<void> => {
  if (compute !== 'fp32') for (const found of await computeEvents(model, compute, 'nothing')) show(found)
}
