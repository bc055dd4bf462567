/** What a model says about the targets of a batch: one pass forward, nothing kept for a gradient. */
import type { PackedBatch } from '../data/batch.ts'
import type { Handle } from '../runtime/backend.ts'
import { type HeadSettings, type StatName, targetStates, tokenPass } from './head.ts'
import { type Placed, place } from './layout.ts'
import type { Model } from './model.ts'
import { scorePass } from './scoreHead.ts'
import { forward } from './stack.ts'

/**
 * Statistics of a batch's targets, [M] each, and their `scores` [M, num_labels], without gradients. The language head is
 * run only where something of it is asked. The caller frees them and `placed.handles`.
 */
export const targetStats = <S extends StatName | 'scores'>(
  model: Model,
  packed: PackedBatch,
  names: readonly S[],
  settings: HeadSettings = {},
): { stats: Record<S, Handle>; placed: Placed } => {
  const placed = place(model, packed)
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  const ofTokens = names.filter((name): name is S & StatName => name !== 'scores')
  const stats = {
    ...(ofTokens.length > 0 && tokenPass(model, h, placed, ofTokens, settings)),
    ...(ofTokens.length < names.length && { scores: scorePass(model, h) }),
  } as Record<S, Handle>
  model.backend.free([hidden, h])
  return { stats, placed }
}
