/** What a model says about the targets of a batch: one pass forward, nothing kept for a gradient. */
import type { PackedBatch } from '../data/batch.ts'
import type { Handle } from '../runtime/backend.ts'
import { type HeadSettings, type StatName, targetStates, tokenPass } from './head.ts'
import { type Placed, place } from './layout.ts'
import type { Model } from './model.ts'
import { forward } from './stack.ts'

/** Statistics of a batch's targets, without gradients. The caller frees them and `placed.handles`. */
export const targetStats = <S extends StatName>(
  model: Model,
  packed: PackedBatch,
  names: readonly S[],
  settings: HeadSettings = {},
): { stats: Record<S, Handle>; placed: Placed } => {
  const placed = place(model, packed)
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  const stats = tokenPass(model, h, placed, names, settings)
  model.backend.free([hidden, h])
  return { stats, placed }
}
