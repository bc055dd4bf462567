/**
 * Chunked prefill: a long prompt is read in chunks of a limited number of tokens, so that attention's scores need memory in
 * proportion to the length of the prompt, not to its square. The cache has room for the whole prompt from the beginning, and
 * the programs attend to all that they are given. So each chunk gets a copy of the filled part of the cache; that costs
 * little beside the chunk's matrix products.
 */
import { hidden, maskName } from '../nn/attention.ts'
import { deltaChunk } from '../nn/deltaRule.ts'
import { cachedRows, latestName } from '../nn/recent.ts'
import { deltaInputs, earlierInputs, hasDeltaRule, recentLayers, windowsOf } from '../passes/layout.ts'
import { type Model, ropeHandles } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { numel } from '../util/shape.ts'
import { pastOf, runSegments, type Segment } from './decodePrograms.ts'
import { clearRecent, copyRows, type KvCache, recentViews, reserve, writeRecent, writeTokens } from './kvCache.ts'

export type Prompt = { ids: ArrayLike<number>; copies: number }

/** A prompt of more tokens is read in chunks. */
export const maxPrefillTokens = 1024
/** Tokens of a chunk. Half of a chunk's attention to itself is computed only to be masked, so smaller chunks waste less. */
const chunkSize = 512

/** Reads a prompt into new rows of the cache, one for each copy. @returns the normed hidden state at its end, [1, C] */
export const chunkedPrefill = (
  { model, segments, cache }: { model: Model; segments: readonly Segment[]; cache: KvCache },
  { ids, copies }: Prompt,
  chunkTokens = chunkSize,
): Handle => {
  const { backend } = model
  const tokens = Array.from(ids)
  const row = cache.lengths.length
  reserve(cache, row + copies, 1 + ids.length)
  let last: Handle | undefined
  for (let start = 0; start < tokens.length; start += chunkTokens) {
    const chunk = tokens.slice(start, start + chunkTokens)
    const inputs = chunkInputs(model, chunk, start)
    const past = pastCopies(cache, row, start)
    if (start === 0) clearRecent(cache, row)
    const recent = recentViews(cache, row, 1)
    const feeds = { ...pastOf(model, (n) => past[n]), ...recent, ...inputs, ...ropeHandles(model, ids.length) }
    const { y, made, kept } = runSegments(model, segments, feeds)
    writeTokens(
      cache,
      made,
      chunk.map((_, t) => ({ row, position: start + t })),
    )
    writeRecent(cache, kept, [row])
    const used = [...past.flat(), ...Object.values(recent), ...made, ...kept, ...Object.values(inputs)]
    backend.free(last ? [...used, last] : used)
    last = y
  }
  if (copies > 1)
    copyRows(
      cache,
      Array.from({ length: copies - 1 }, (_, i) => ({ from: row, to: row + 1 + i })),
    )
  for (let copy = 0; copy < copies; copy++) cache.lengths.push(ids.length)
  return last!
}

/** Copies of the first `length` cached tokens of a row: for each layer keys and values, [1, kvHeads, 1, length, D]. */
const pastCopies = ({ model, store, capacity }: KvCache, row: number, length: number) => {
  const { num_key_value_heads: heads, head_dim: D } = model.config
  const empty = () => model.backend.zeros([1, heads, 1, length, D])
  const copies = store.map(() => [empty(), empty()] as const)
  const pairs = store.flatMap((pair, layer) => pair.map((from, i) => [from, copies[layer][i]] as const))
  const each = Uint32Array.from({ length: heads }, (_, head) => head)
  model.backend.copy(pairs, {
    from: each.map((head) => (row * heads + head) * capacity * D),
    to: each.map((head) => head * length * D),
    width: length * D,
  })
  return copies
}

/** Inputs of the programs for a chunk after `start` tokens, on a grid of one row. */
const chunkInputs = (model: Model, ids: readonly number[], start: number): Handles => {
  const { backend, config } = model
  const T = ids.length
  const put = (shape: readonly number[], value: (i: number) => number) =>
    backend.put(
      BigInt64Array.from({ length: numel(shape) }, (_, i) => BigInt(value(i))),
      shape,
    )
  /** Where each element of [1, heads, T] stands in [T, heads]. */
  const headsFirst = (heads: number) => put([1, heads, T], (i) => (i % T) * heads + Math.floor(i / T))
  const { num_attention_heads: heads } = config
  const mask = (window: number | undefined) => backend.put(chunkMask(T, start, window), [1, 1, 1, T, start + T])
  return {
    ids: put([T], (t) => ids[t]),
    positions: put([T], (t) => start + t),
    index: put([1], () => T - 1),
    qTo: headsFirst(heads),
    kvTo: headsFirst(config.num_key_value_heads),
    // The way back: where each element of [T, heads] stands in [heads, T]
    qBack: put([T, heads], (i) => (i % heads) * T + Math.floor(i / heads)),
    ...Object.fromEntries(windowsOf(model).map((window) => [maskName(window), mask(window)])),
    ...recentInputs(model, [T], deltaChunk),
  }
}

/**
 * The indices by which layers without attention read earlier tokens, for rows of so many new tokens each.
 * @param chunk tokens of a chunk of the delta rule: what is computed for a row must not depend on the lengths of others
 */
export const recentInputs = (model: Model, lengths: readonly number[], chunk: number): Handles => {
  const counts = [...new Set(recentLayers(model).map(({ count }) => count))]
  const inputs = counts.map((count): Handles => {
    const { earlier, latest } = cachedRows(lengths, count)
    const kept = model.backend.put(BigInt64Array.from(latest, BigInt), [lengths.length, count])
    return { ...earlierInputs(model, earlier), [latestName(count)]: kept }
  })
  const delta = hasDeltaRule(model) ? deltaInputs(model, consecutive(lengths), chunk) : {}
  return Object.assign({}, ...inputs, delta)
}

/** The tokens of rows that stand one after the other. */
const consecutive = (lengths: readonly number[]): number[][] => {
  let end = 0
  return lengths.map((length) => {
    end += length
    return Array.from({ length }, (_, t) => end - length + t)
  })
}

/** [T, start+T]: 0 where the token at position start + t sees a position, elsewhere `hidden`. */
const chunkMask = (T: number, start: number, window = Number.POSITIVE_INFINITY): Float32Array => {
  const width = start + T
  const mask = new Float32Array(T * width).fill(hidden)
  for (let t = 0; t < T; t++) {
    const position = start + t
    mask.fill(0, t * width + Math.max(0, position + 1 - window), t * width + position + 1)
  }
  return mask
}
