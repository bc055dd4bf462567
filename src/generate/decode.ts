/**
 * Decoding with a key-value cache: prompts in one pass without padding (prefill), then one token a row at each step. The
 * same programs serve both, for any number of rows and any length; rows may come and go between steps.
 */
import { group } from 'd3-array'
import { pack } from '../data/batch.ts'
import { maskName } from '../nn/attention.ts'
import { cachedMask } from '../nn/attentionCached.ts'
import { deltaChunk } from '../nn/deltaRule.ts'
import { type Placed, partsOf, place, windowsOf } from '../passes/layout.ts'
import { type Model, ropeHandles } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { numel } from '../util/shape.ts'
import { chunkedPrefill, maxPrefillTokens, type Prompt, recentInputs } from './chunkedPrefill.ts'
import { pastOf, runSegments, type Segment, segmentsOf } from './decodePrograms.ts'
import {
  cacheViews,
  closeCache,
  copyRows,
  dropRow,
  freshStates,
  type KvCache,
  openCache,
  recentViews,
  reserve,
  writeRecent,
  writeTokens,
} from './kvCache.ts'
import { readPrompts, readsByLayer } from './readPrompts.ts'

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

/** Columns by which the grid of prompts grows: whole vectors of the engine's sums, as in the cache. */
const gridStep = 64

/** The columns of a prompt's row. */
const columnsOf = ({ ids }: Prompt) => Math.ceil(ids.length / gridStep) * gridStep

/** Prompts that are read together: those whose rows are equally long. */
export const prefillGroups = <P extends Prompt>(prompts: readonly P[]): P[][] => [...group(prompts, columnsOf).values()]

/**
 * Appends rows: each prompt is read once and fills as many rows as it has copies, side by side. A long prompt that comes
 * alone is read in chunks. No prompt may be empty. @returns normed hidden states at the end of each prompt, [prompts, C]
 * @param prompts one of the `prefillGroups`
 */
export const prefill = (decoder: Decoder, prompts: readonly Prompt[]): Handle => {
  const { model, cache } = decoder
  if (prompts.length === 1 && prompts[0].ids.length > maxPrefillTokens) return chunkedPrefill(decoder, prompts[0])
  // A single token is read twice
  const isAlone = prompts.length === 1 && prompts[0].ids.length === 1 && needsCompany(decoder)
  const read = isAlone ? [prompts[0], prompts[0]] : prompts
  const trees = read.map(({ ids }) => ({ trunk: ids, branches: [] }))
  const packed = pack(trees, 0, undefined, 'next', columnsOf(prompts[0]))
  let end = -1
  const ends = prompts.map(({ ids }) => (end += ids.length))
  const parts = readsByLayer(model) ? partsOf(model, packed.T) : 1
  const placed = place(model, { ...packed, targets: { index: ends, label: ends } }, parts)
  const { y, made, kept } = parts === 1 ? readTogether(decoder, placed, packed.B, read) : readByLayer(model, placed)
  store(cache, made, kept, prompts, read.length / prompts.length)
  model.backend.free([...placed.handles, ...made, ...kept])
  return y
}

const readByLayer = (model: Model, placed: Placed) => ({ ...readPrompts(model, placed), kept: [] })

/** With the programs of steps, and a cache that holds nothing. @param B rows of the grid */
const readTogether = ({ model, segments }: Decoder, placed: Placed, B: number, prompts: readonly Prompt[]) => {
  const { num_key_value_heads: heads, head_dim: D } = model.config
  const nothing = model.backend.zeros([B, heads, 1, 0, D])
  const { ids, shared, targets } = placed
  const rows = recentInputs(
    model,
    prompts.map(({ ids }) => ids.length),
    deltaChunk,
  )
  const fresh = freshStates(model, prompts.length)
  const past = pastOf(model, () => [nothing, nothing])
  const feeds = { ...past, ...shared, ...rows, ...fresh, ids, index: targets.index }
  const results = runSegments(model, segments, feeds)
  model.backend.free([nothing, ...Object.values(rows), ...Object.values(fresh)])
  return results
}

/** Puts the prompts' keys and values into new rows. @param times how often each prompt was read */
const store = (
  cache: KvCache,
  made: readonly Handle[],
  kept: readonly Handle[],
  prompts: readonly Prompt[],
  times: number,
) => {
  const before = cache.lengths.length
  const rows = prompts.reduce((n, { copies }) => n + copies, before)
  reserve(cache, rows, 1 + Math.max(...prompts.map(({ ids }) => ids.length)))
  const places: { row: number; position: number }[] = []
  const copies: { from: number; to: number }[] = []
  const sources: number[] = []
  for (const prompt of prompts) {
    const row = cache.lengths.length
    for (let time = 0; time < times; time++) {
      sources.push(row)
      for (let position = 0; position < prompt.ids.length; position++) places.push({ row, position })
    }
    for (let copy = 1; copy < prompt.copies; copy++) copies.push({ from: row, to: row + copy })
    for (let copy = 0; copy < prompt.copies; copy++) cache.lengths.push(prompt.ids.length)
  }
  writeTokens(cache, made, places)
  writeRecent(cache, kept, sources)
  if (copies.length) copyRows(cache, copies)
}

/**
 * Whether a row alone would get other last bits than beside others: the engine multiplies a single row by a matrix otherwise, unless the
 * matrix is laid out or quantized, as those outside the blocks never are.
 */
export const needsCompany = ({ model, packed }: Pick<Decoder, 'model' | 'packed'>): boolean =>
  model.architecture.outerLinears !== undefined || (model.quantized.size === 0 && (!packed || model.scalings.size > 0))

/** Appends one token to each row. @returns their normed hidden states, [rows, C]; a second row, which says nothing, beside one alone */
export const step = (decoder: Decoder, given: readonly number[]): Handle => {
  const { model, cache } = decoder
  const { backend } = model
  const isAlone = given.length === 1 && needsCompany(decoder)
  const ids = isAlone ? [given[0], given[0]] : given
  if (isAlone) cache.lengths.push(0)
  const longest = 1 + Math.max(...cache.lengths)
  reserve(cache, cache.lengths.length, longest)
  const views = cacheViews(cache)
  const shared = stepInputs(cache, ids)
  const past = pastOf(model, (n) => views[n])
  const recent = recentViews(cache, 0, ids.length)
  const { y, made, kept } = runSegments(model, decoder.segments, {
    ...past,
    ...recent,
    ...shared,
    ...gridOf(decoder),
    ...ropeHandles(model, longest),
  })
  writeTokens(
    cache,
    made,
    cache.lengths.map((position, row) => ({ row, position })),
  )
  writeRecent(cache, kept, [...ids.keys()])
  for (let row = 0; row < ids.length; row++) cache.lengths[row]++
  if (isAlone) cache.lengths.pop()
  backend.free([...Object.values(shared), ...Object.values(recent), ...made, ...kept])
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
  const rows = recentInputs(
    model,
    ids.map(() => 1),
    1,
  )
  return { ids: put(ids), positions: put(lengths), ...Object.fromEntries(masks), ...rows }
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
