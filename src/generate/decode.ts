/**
 * Decoding with a cache: prompts in one ragged pass, then one token a row. One set of programs serves every number of
 * rows and every length, and rows may come and go between steps.
 */
import { pack } from '../data/batch.ts'
import { maskName } from '../nn/attention.ts'
import { cachedMask } from '../nn/attentionCached.ts'
import { targetStates } from '../passes/head.ts'
import { type Placed, place, windowsOf } from '../passes/layout.ts'
import { layerPart, type Model, ropeHandles } from '../passes/model.ts'
import { embed } from '../passes/stack.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { type Cache, cacheViews, closeCache, copyRows, dropRow, openCache, reserve, writeTokens } from './cache.ts'
import { promptBlock, type Segment, segmentsOf } from './programs.ts'

/** A model made ready to decode, and the rows under way. */
export type Decoder = { model: Model; packed: boolean; segments: Segment[]; cache: Cache }

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

/** Gives back what the decoder holds; the model stays. */
export const closeDecoder = ({ cache }: Decoder) => closeCache(cache)

type Prompt = { ids: ArrayLike<number>; copies: number }

/**
 * Appends rows: each prompt is read once, and stands in as many rows as it has copies, those of one prompt together.
 * Takes ids that are not empty. @returns hidden states at the end of each prompt, [prompts, C], normed
 */
export const prefill = ({ model, cache }: Decoder, prompts: readonly Prompt[]): Handle => {
  const packed = pack(
    prompts.map(({ ids }) => ({ trunk: ids, branches: [] })),
    0,
  )
  let end = -1
  const ends = prompts.map(({ ids }) => (end += ids.length))
  const placed = place(model, { ...packed, targets: { index: ends, label: ends } })
  const { hidden, made } = readPrompts(model, placed)
  store(cache, made, prompts)
  const h = targetStates(model, hidden, placed)
  model.backend.free([hidden, ...placed.handles, ...made.flat()])
  return h
}

/** The last hidden states [N, C], and each layer's keys and values [N, kvHeads*D]. */
const readPrompts = (model: Model, placed: Placed) => {
  const { backend, config } = model
  let hidden = embed(model, placed)
  const made = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const feeds = { ...placed.shared, ...layerPart(model, layer).handles, x: hidden }
    const { y, keys, values } = backend.run(promptBlock(model, layer), feeds)
    backend.free([hidden])
    hidden = y
    return [keys, values] as const
  })
  return { hidden, made }
}

/** Puts the prompts' keys and values into new rows. */
const store = (cache: Cache, made: Cache['store'], prompts: readonly Prompt[]) => {
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

/** Appends one token to each row. @returns hidden states at them, [rows, C], normed */
export const step = (decoder: Decoder, ids: readonly number[]): Handle => {
  const { model, cache } = decoder
  const { backend } = model
  const longest = 1 + Math.max(...cache.lengths)
  reserve(cache, cache.lengths.length, longest)
  const made = stepInputs(cache, ids)
  const { x, states } = runSegments(decoder, { ...made, ...ropeHandles(model, longest) })
  writeTokens(
    cache,
    states,
    cache.lengths.map((position, row) => ({ row, position })),
  )
  for (let row = 0; row < ids.length; row++) cache.lengths[row]++
  backend.free([...Object.values(made), ...states.flat()])
  return x
}

/** What a step's programs share: ids, positions and masks. */
const stepInputs = ({ model, lengths, capacity }: Cache, ids: readonly number[]): Handles => {
  const { backend } = model
  const N = ids.length
  const put = (values: readonly number[]) => backend.put(BigInt64Array.from(values, BigInt), [N])
  const mask = (window: number | undefined) =>
    backend.put(cachedMask(lengths, capacity, window), [N, 1, 1, 1, capacity])
  const masks = windowsOf(model).map((window) => [maskName(window), mask(window)])
  return { ids: put(ids), positions: put(lengths), ...Object.fromEntries(masks) }
}

const runSegments = ({ model, segments, cache }: Decoder, shared: Handles) => {
  const { backend } = model
  const views = cacheViews(cache)
  const past: Record<string, Handle> = {}
  views.forEach(([keys, values], layer) => {
    past[`keys ${layer}`] = keys
    past[`values ${layer}`] = values
  })
  const states: (readonly [Handle, Handle])[] = []
  let x: Handle | undefined
  for (const { layers, program, handles } of segments) {
    const made = backend.run(program, { ...handles, ...past, ...shared, ...(x && { x }) })
    for (const layer of layers) states.push([made[`new keys ${layer}`], made[`new values ${layer}`]])
    if (x) backend.free([x])
    x = made.y
  }
  return { x: x!, states }
}

/** Takes a row out of the batch; the last row has its number afterwards. */
export const drop = ({ cache }: Decoder, row: number) => dropRow(cache, row)
