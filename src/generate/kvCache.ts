/**
 * The key-value cache of the rows being decoded: for each layer [slots, kvHeads, capacity, D] on the engine, keys already
 * rotated. Rows in use are always the first ones: the last row moves into the slot of one that ends, and the programs
 * read a view of the rows in use, so nothing is computed for empty slots.
 */

import { attentionLayers, keptStates } from '../passes/layout.ts'
import type { Model } from '../passes/model.ts'
import type { Handle, Handles, Runs } from '../runtime/backend.ts'
import { numel } from '../util/shape.ts'

export type KvCache = {
  readonly model: Model
  /** Tokens of each row in use. */
  readonly lengths: number[]
  slots: number
  capacity: number
  /** Of each layer with attention: keys, then values. */
  store: (readonly [keys: Handle, values: Handle])[]
  /** The rows in use, as the blocks read them. */
  views: (readonly [keys: Handle, values: Handle])[]
  /** Of each of `keptStates` [slots, ...]: what the next token reads of those before. */
  recent: Handle[]
}

export const openCache = (model: Model): KvCache => ({
  model,
  lengths: [],
  slots: 0,
  capacity: 0,
  store: [],
  views: [],
  recent: [],
})

export const closeCache = (cache: KvCache) => {
  cache.model.backend.free([...cache.views.flat(), ...cache.store.flat(), ...cache.recent])
  Object.assign(cache, { lengths: [], slots: 0, capacity: 0, store: [], views: [], recent: [] })
}

/** Lengths grow by a quarter, in steps of 64: attention computes over what is reserved. */
const grown = (capacity: number, needed: number) => Math.ceil(Math.max(needed, capacity * 1.25) / 64) * 64

/** Whether an array of the engine can hold so many rows of so many tokens. */
export const fits = (model: Model, rows: number, length: number) =>
  numel(cacheShape(model, rows, grown(0, length))) <= 2 ** 29

/** Makes room for so many rows of so many tokens. */
export const reserve = (cache: KvCache, rows: number, length: number) => {
  if (rows <= cache.slots && length <= cache.capacity) return
  const slots = Math.max(rows, cache.slots)
  const wider = grown(cache.capacity, length)
  const capacity =
    length <= cache.capacity ? cache.capacity : fits(cache.model, slots, wider) ? wider : grown(0, length)
  resizeCache(cache, slots, capacity)
}

const resizeCache = (cache: KvCache, slots: number, capacity: number) => {
  const { model, store, lengths } = cache
  const shape = cacheShape(model, slots, capacity)
  const empty = () => model.backend.zeros(shape)
  const wider = attentionLayers(model).map(() => [empty(), empty()] as const)
  const recent = emptyStates(model, slots)
  const heads = model.config.num_key_value_heads
  const D = model.config.head_dim
  const blocks = Array.from({ length: lengths.length * heads }, (_, i) => i)
  const runs = {
    from: Uint32Array.from(blocks, (i) => i * cache.capacity * D),
    to: Uint32Array.from(blocks, (i) => i * capacity * D),
    width: Math.min(cache.capacity, capacity) * D,
  }
  copyAll(model, store, wider, runs)
  copyRecent(
    model,
    cache.recent,
    recent,
    lengths.map((_, row) => ({ from: row, to: row })),
  )
  model.backend.free([...cache.views.flat(), ...store.flat(), ...cache.recent])
  Object.assign(cache, { slots, capacity, store: wider, views: [], recent })
}

/** What rows keep that have read nothing. */
const emptyStates = (model: Model, rows: number) =>
  keptStates(model).map(({ shape }) => model.backend.zeros([rows, ...shape]))

/** The same by the names of the programs' inputs; to be freed. */
export const freshStates = (model: Model, rows: number): Handles => {
  const empty = emptyStates(model, rows)
  return Object.fromEntries(keptStates(model).map(({ before }, i) => [before, empty[i]]))
}

/** Copies what rows keep in layers without attention. */
const copyRecent = (
  model: Model,
  from: readonly Handle[],
  to: readonly Handle[],
  rows: readonly { from: number; to: number }[],
) => {
  for (const [i, source] of rows.length ? from.entries() : []) {
    const width = numel(source.shape.slice(1))
    model.backend.copy([[source, to[i]]], {
      from: Uint32Array.from(rows, (row) => row.from * width),
      to: Uint32Array.from(rows, (row) => row.to * width),
      width,
    })
  }
}

/** Writes what rows keep. @param kept of `runSegments`, [R, ...] each  @param rows numbers of the R rows */
export const writeRecent = ({ model, recent }: KvCache, kept: readonly Handle[], rows: readonly number[]) =>
  copyRecent(
    model,
    kept,
    recent,
    rows.map((to, from) => ({ from, to })),
  )

/** A new row has read nothing. */
export const clearRecent = (cache: KvCache, row: number) => {
  const empty = emptyStates(cache.model, 1)
  writeRecent(cache, empty, [row])
  cache.model.backend.free(empty)
}

/** Views of what these rows keep, by the names of the programs' inputs; to be freed. */
export const recentViews = ({ model, recent }: KvCache, first: number, rows: number): Handles =>
  Object.fromEntries(
    keptStates(model).map(({ before, shape }, i) => [
      before,
      model.backend.view(recent[i], first * numel(shape), [rows, ...shape]),
    ]),
  )

/** What layers without attention make of a text cannot be cut back to an earlier token. */
export const keepsAll = (model: Model) => keptStates(model).length === 0

const cacheShape = ({ config }: Model, rows: number, capacity: number) => [
  rows,
  config.num_key_value_heads,
  capacity,
  config.head_dim,
]

const copyAll = (model: Model, from: KvCache['store'], to: KvCache['store'], runs: Runs) => {
  if (runs.from.length === 0) return
  const pairs = from.flatMap((pair, layer) => pair.map((handle, i) => [handle, to[layer][i]] as const))
  model.backend.copy(pairs, runs)
}

/**
 * Writes new keys and values into the cache.
 * @param made of each program of some layers, in order: keys, then values of each of them, [N, kvHeads, D]
 * @param places row and position of each of N tokens
 */
export const writeTokens = (
  { model, store, capacity }: KvCache,
  made: readonly Handle[],
  places: readonly { row: number; position: number }[],
) => {
  const { num_key_value_heads: heads, head_dim: D } = model.config
  const index = Array.from({ length: places.length * heads }, (_, i) => i)
  const size = index.length * D
  const parts = made.flatMap((states) =>
    Array.from({ length: numel(states.shape) / size }, (_, i) => [states, i * size] as const),
  )
  const pairs = store.flat().map((to, i) => [parts[i][0], to, parts[i][1]] as const)
  model.backend.copy(pairs, {
    from: Uint32Array.from(index, (i) => i * D),
    to: Uint32Array.from(index, (i) => {
      const { row, position } = places[Math.floor(i / heads)]
      return ((row * heads + (i % heads)) * capacity + position) * D
    }),
    width: D,
  })
}

/** Copies whole rows over others. */
export const copyRows = (
  { model, store, capacity, recent }: KvCache,
  pairs: readonly { from: number; to: number }[],
) => {
  const width = numel(cacheShape(model, 1, capacity))
  copyAll(model, store, store, {
    from: Uint32Array.from(pairs, ({ from }) => from * width),
    to: Uint32Array.from(pairs, ({ to }) => to * width),
    width,
  })
  copyRecent(model, recent, recent, pairs)
}

/** Adds a row that begins with the first tokens of another. */
export const forkRow = (cache: KvCache, from: number, length: number) => {
  const { lengths } = cache
  reserve(cache, lengths.length + 1, length + 1)
  copyRows(cache, [{ from, to: lengths.length }])
  lengths.push(length)
}

/** Cuts a row back to its first tokens. */
export const cutRow = (cache: KvCache, row: number, length: number) => {
  cache.lengths[row] = length
}

/** Makes each row what row `parents[row]` was. */
export const reorderRows = (cache: KvCache, parents: readonly number[]) => {
  const moves = parents.map((from, to) => ({ from, to })).filter(({ from, to }) => from !== to)
  // A row that is both read and overwritten is read from a copy behind the rows in use
  const behind = [...new Set(moves.map(({ from }) => from))].filter((row) => parents[row] !== row)
  const rows = cache.lengths.length
  reserve(cache, rows + behind.length, Math.max(...cache.lengths))
  const spare = behind.map((from, i) => ({ from, to: rows + i }))
  const placed = moves.map(({ from, to }) => ({ from: spare.find((each) => each.from === from)?.to ?? from, to }))
  if (moves.length) copyRows(cache, [...spare, ...placed])
  const lengths = parents.map((row) => cache.lengths[row])
  lengths.forEach((length, row) => {
    cache.lengths[row] = length
  })
}

/** Gives memory back that only a long row needed which has left. */
export const trim = (cache: KvCache) => {
  const needed = grown(0, 1 + Math.max(...cache.lengths))
  if (cache.capacity > 2 * needed) resizeCache(cache, cache.slots, needed)
}

/** Takes a row out; the last one stands in its place afterwards. */
export const dropRow = (cache: KvCache, row: number) => {
  const last = cache.lengths.length - 1
  if (row !== last) copyRows(cache, [{ from: last, to: row }])
  cache.lengths[row] = cache.lengths[last]
  cache.lengths.pop()
}

/** Keys and values of the rows in use, [rows, kvHeads, 1, capacity, D] of each layer. */
export const cacheViews = (cache: KvCache): KvCache['views'] => {
  const { model, lengths, capacity, store } = cache
  if (cache.views[0]?.[0].shape[0] === lengths.length) return cache.views
  model.backend.free(cache.views.flat())
  const { num_key_value_heads: heads, head_dim: D } = model.config
  const shape = [lengths.length, heads, 1, capacity, D]
  const view = (handle: Handle) => model.backend.view(handle, 0, shape)
  cache.views = store.map(([keys, values]) => [view(keys), view(values)] as const)
  return cache.views
}
