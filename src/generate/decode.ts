/**
 * Decoding with a key-value cache: prompts in one pass without padding (prefill), then one token a row at each step. The
 * same programs serve both, for any number of rows and any length; rows may come and go between steps.
 */
import { pack } from '../data/batch.ts'
import { maskName } from '../nn/attention.ts'
import { cachedMask } from '../nn/attentionCached.ts'
import { place, windowsOf } from '../passes/layout.ts'
import { type Model, ropeHandles } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { numel } from '../util/shape.ts'
import { chunkedPrefill, maxPrefillTokens, type Prompt } from './chunkedPrefill.ts'
import { pastOf, runSegments, type Segment, segmentsOf } from './decodePrograms.ts'
import { cacheViews, closeCache, copyRows, dropRow, type KvCache, openCache, reserve, writeTokens } from './kvCache.ts'

/** A model's decoding programs, and the cache of the rows being decoded. */
export type Decoder = {
  readonly model: Model
  readonly packed: boolean
  readonly segments: Segment[]
  readonly cache: KvCache
  /** Indices of the last step's tokens, kept while the number of rows stays. */
  grid?: Record<'index' | 'qTo' | 'kvTo' | 'qBack', Handle>
}

export type DecoderOptions = {
  /**
   * Whether steps read copies of the weights, laid out by the engine: about twice as fast and twice the memory. The
   * weights must not change afterwards; adapters may, they are never copied.
   */
  packed?: boolean
}

export const openDecoder = (model: Model, { packed = false }: DecoderOptions = {}): Decoder => ({
  model,
  packed,
  segments: segmentsOf(model, packed),
  cache: openCache(model),
})

/** Frees what the decoder holds; the model stays. */
export const closeDecoder = (decoder: Decoder) => {
  const { model, cache, grid } = decoder
  closeCache(cache)
  if (grid) model.backend.free(Object.values(grid))
  decoder.grid = undefined
}

/**
 * Appends rows: each prompt is read once and fills as many rows as it has copies, side by side. A long prompt that comes
 * alone is read in chunks. No prompt may be empty. @returns normed hidden states at the end of each prompt, [prompts, C]
 */
export const prefill = (decoder: Decoder, prompts: readonly Prompt[]): Handle => {
  const { model, cache } = decoder
  if (prompts.length === 1 && prompts[0].ids.length > maxPrefillTokens) return chunkedPrefill(decoder, prompts[0])
  const packed = pack(
    prompts.map(({ ids }) => ({ trunk: ids, branches: [] })),
    0,
  )
  let end = -1
  const ends = prompts.map(({ ids }) => (end += ids.length))
  const placed = place(model, { ...packed, targets: { index: ends, label: ends } })
  const { num_key_value_heads: heads, head_dim: D } = model.config
  const nothing = model.backend.zeros([packed.B, heads, 1, 0, D])
  const past = pastOf(model, () => [nothing, nothing])
  const { ids, shared, targets } = placed
  const { y, made } = runSegments(model, decoder.segments, { ...past, ...shared, ids, index: targets.index })
  store(cache, made, prompts)
  model.backend.free([nothing, ...placed.handles, ...made])
  return y
}

/** Puts the prompts' keys and values into new rows. */
const store = (cache: KvCache, made: readonly Handle[], prompts: readonly Prompt[]) => {
  const before = cache.lengths.length
  const rows = prompts.reduce((n, { copies }) => n + copies, before)
  reserve(cache, rows, 1 + Math.max(...prompts.map(({ ids }) => ids.length)))
  const places: { row: number; position: number }[] = []
  const copies: { from: number; to: number }[] = []
  for (const prompt of prompts) {
    const row = cache.lengths.length
    for (let position = 0; position < prompt.ids.length; position++) places.push({ row, position })
    for (let copy = 1; copy < prompt.copies; copy++) copies.push({ from: row, to: row + copy })
    for (let copy = 0; copy < prompt.copies; copy++) cache.lengths.push(prompt.ids.length)
  }
  writeTokens(cache, made, places)
  if (copies.length) copyRows(cache, copies)
}

/** Appends one token to each row. @returns their normed hidden states, [rows, C] */
export const step = (decoder: Decoder, ids: readonly number[]): Handle => {
  const { model, cache } = decoder
  const { backend } = model
  const longest = 1 + Math.max(...cache.lengths)
  reserve(cache, cache.lengths.length, longest)
  const views = cacheViews(cache)
  const shared = stepInputs(cache, ids)
  const past = pastOf(model, (layer) => views[layer])
  const { y, made } = runSegments(model, decoder.segments, {
    ...past,
    ...shared,
    ...gridOf(decoder),
    ...ropeHandles(model, longest),
  })
  writeTokens(
    cache,
    made,
    cache.lengths.map((position, row) => ({ row, position })),
  )
  for (let row = 0; row < ids.length; row++) cache.lengths[row]++
  backend.free([...Object.values(shared), ...made])
  return y
}

/** Inputs that all programs of a step share: ids, positions and masks. */
const stepInputs = ({ model, lengths, capacity }: KvCache, ids: readonly number[]): Handles => {
  const { backend } = model
  const N = ids.length
  const put = (values: readonly number[]) => backend.put(BigInt64Array.from(values, BigInt), [N])
  const mask = (window: number | undefined) =>
    backend.put(cachedMask(lengths, capacity, window), [N, 1, 1, 1, capacity + 1])
  const masks = windowsOf(model).map((window) => [maskName(window), mask(window)])
  return { ids: put(ids), positions: put(lengths), ...Object.fromEntries(masks) }
}

/** Grid indices of one token a row: a grid of one column, so that every index counts up. */
const gridOf = (decoder: Decoder): Handles => {
  const { model, cache } = decoder
  const rows = cache.lengths.length
  if (decoder.grid?.index.shape[0] === rows) return decoder.grid
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = model.config
  const count = (...shape: number[]) =>
    model.backend.put(
      BigInt64Array.from({ length: numel(shape) }, (_, i) => BigInt(i)),
      shape,
    )
  if (decoder.grid) model.backend.free(Object.values(decoder.grid))
  decoder.grid = {
    index: count(rows),
    qTo: count(rows, heads, 1),
    kvTo: count(rows, kvHeads, 1),
    qBack: count(rows, heads),
  }
  return decoder.grid
}

/** Takes a row out of the batch; the last row has its number afterwards. */
export const drop = ({ cache }: Decoder, row: number) => dropRow(cache, row)
