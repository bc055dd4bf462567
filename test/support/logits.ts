/** Logits of golden rows, and their largest difference from the golden logits. */
import { logitsPass, targetStates } from '../../src/passes/head.ts'
import { place } from '../../src/passes/layout.ts'
import type { Model } from '../../src/passes/model.ts'
import { forward } from '../../src/passes/stack.ts'
import { type fixtureTensors, largestDifference } from './golden.ts'
import { packRows } from './model.ts'

export type Golden = Awaited<ReturnType<typeof fixtureTensors>>

export const goldenBatch = async (golden: Golden) => {
  const [B] = golden.shape('input_ids')
  return packRows(await golden.ints('input_ids'), await golden.ints('attention_mask'), B)
}

/** Largest difference between a model's logits and `expected` [B, T, V]. */
export const logitsDifference = async (model: Model, golden: Golden, expected = 'logits'): Promise<number> => {
  const batch = await goldenBatch(golden)
  const targets = { index: Array.from(batch.ids, (_, n) => n), label: batch.ids }
  const placed = place(model, { ...batch, targets })
  const { hidden } = forward(model, placed, 'none')
  const logits = await model.backend.read(logitsPass(model, targetStates(model, hidden, placed)))
  const wanted = await golden.floats(expected)
  const V = model.config.vocab_size
  const rows = Array.from(batch.places, (place, n) =>
    largestDifference(logits.subarray(n * V, (n + 1) * V), wanted.subarray(place * V, (place + 1) * V)),
  )
  return Math.max(...rows)
}
