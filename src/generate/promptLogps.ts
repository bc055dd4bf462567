/** Log-probabilities of a prompt's tokens, as `score` computes them, and the likeliest tokens in their places (`echo` with `logprobs`). */

import { pack } from '../data/batch.ts'
import { chunkRows, targetStates, tokenPass } from '../passes/head.ts'
import { place } from '../passes/layout.ts'
import type { Model } from '../passes/model.ts'
import { forward } from '../passes/stack.ts'
import type { Handle } from '../runtime/backend.ts'
import { badInput } from '../util/fault.ts'
import { batchLogits, topWidth } from './batchLogits.ts'
import type { ScoredToken } from './sampling.ts'

/** Both null for the first token, which nothing predicts. */
export type PromptToken = { id: number; logp: number | null; tops: ScoredToken[] | null }

/** Attention scores of one layer at most: 1 GiB. */
const maxAttentionScores = 2 ** 28

/** @param tops how many of the likeliest tokens to tell at each place; 128 at most. Throws the Fault 'memory'. */
export const promptLogps = async (model: Model, ids: readonly number[], tops: number): Promise<PromptToken[]> => {
  const { backend, config } = model
  if (config.num_attention_heads * ids.length ** 2 > maxAttentionScores)
    throw badInput(
      'memory',
      `${ids.length} tokens are too many for the log-probabilities of a prompt; send a shorter one`,
    )
  const scored = (id: number, i: number): PromptToken => ({ id, logp: logps[i - 1], tops: likeliest[i - 1] })
  let logps: Float32Array = new Float32Array()
  let likeliest: ScoredToken[][] = []
  if (ids.length > 1) {
    const placed = place(model, pack([{ trunk: ids, trunkTargets: ids.map((_, t) => Number(t > 0)), branches: [] }], 0))
    const { hidden } = forward(model, placed, 'none')
    const h = targetStates(model, hidden, placed)
    const stats = tokenPass(model, h, placed, ['logps'])
    const reading = Promise.all([backend.read(stats.logps), topsOf(model, h, tops)])
    backend.free([hidden, h, stats.logps, ...placed.handles])
    ;[logps, likeliest] = await reading
  }
  return ids.map((id, i) => (i === 0 ? { id, logp: null, tops: null } : scored(id, i)))
}

/** @param h [M, C], whose head is run in chunks */
const topsOf = async (model: Model, h: Handle, tops: number): Promise<ScoredToken[][]> => {
  const [M, C] = h.shape
  if (tops === 0) return Array.from({ length: M }, () => [])
  const { backend } = model
  const width = topWidth(model.config.vocab_size)
  const step = chunkRows(model.config.vocab_size)
  const chunks: Promise<ScoredToken[][]>[] = []
  for (let from = 0; from < M; from += step) {
    const count = Math.min(step, M - from)
    const view = backend.view(h, from * C, [count, C])
    const made = batchLogits({ model, packed: false }, view, Array<number>(count).fill(1), true)
    const names = ['most', 'spread', 'topIds', 'top'] as const
    const reading = Promise.all(names.map((name) => backend.read(made[name])))
    backend.free([view, ...Object.values(made)])
    chunks.push(
      reading.then(([most, spread, topIds, top]) =>
        Array.from({ length: count }, (_, r) =>
          Array.from({ length: Math.min(tops, width) }, (_, i) => ({
            id: topIds[r * width + i],
            logp: top[r * width + i] - most[r] - spread[r],
          })),
        ),
      ),
    )
  }
  return (await Promise.all(chunks)).flat()
}
