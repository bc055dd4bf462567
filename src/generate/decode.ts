/**
 * Decoding with a cache, a block at a time: prompts in one ragged pass, then one token a row. One set of programs
 * serves every number of rows and every length; layers of a kind share theirs.
 */
import { pack } from '../data/batch.ts'
import { type Attend, attendRagged, maskName } from '../nn/attention.ts'
import { attendCached, cachedMask } from '../nn/attentionCached.ts'
import { compileProgram } from '../onnx/model.ts'
import { kindOf, place, windowsOf } from '../passes/layout.ts'
import { executable, layerPart, type Model, outerPart, type Part, ropeHandles, scopeOf } from '../passes/model.ts'
import { embedProgram, raggedContext } from '../passes/stack.ts'
import { type Executable, elements, type Handle, type Handles } from '../runtime/backend.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { type Cache, cacheViews, closeCache, copyRows, dropRow, openCache, reserve, writeTokens } from './cache.ts'

const attends = { ragged: attendRagged, cached: attendCached }
type Which = keyof typeof attends

type Layer = { part: Part; ragged: Executable; cached: Executable }

/** A model made ready to decode, and the rows under way. */
export type Decoder = { model: Model; packed: boolean; outer: Part; layers: Layer[]; cache: Cache }

export type DecoderOptions = {
  /**
   * Whether steps read copies of the weights, laid out by the engine: about twice as fast and twice the memory. The
   * weights must not change afterwards; adapters may, they are never copied.
   */
  packed?: boolean
}

export const openDecoder = (model: Model, { packed = false }: DecoderOptions = {}): Decoder => {
  const layer = (_: unknown, i: number): Layer => {
    const part = layerPart(model, i)
    return { part, ragged: block(model, i, part, 'ragged', false), cached: block(model, i, part, 'cached', packed) }
  }
  const layers = Array.from({ length: model.config.num_hidden_layers }, layer)
  return { model, packed, outer: outerPart(model), layers, cache: openCache(model) }
}

/** Gives back what the decoder holds; the model stays. */
export const closeDecoder = ({ cache }: Decoder) => closeCache(cache)

/** A block that also gives its keys and values, [N, kvHeads*D], for the cache. */
const block = (model: Model, layer: number, part: Part, which: Which, packed: boolean): Executable => {
  const kind = kindOf(model, layer)
  const key = `${which} ${packed ? layer : ''} ${part.signature} ${JSON.stringify(kind)}`
  const build = () => {
    const kept: Record<string, Tensor> = {}
    const keeping: Attend = (q, k, v, options) => {
      Object.assign(kept, { keys: k, values: v })
      return attends[which](q, k, v, options)
    }
    const x = input('x', ['N', model.config.hidden_size])
    const context = { ...raggedContext, attend: keeping }
    const y = model.architecture.block(scopeOf(part), x, context, model.config, kind)
    const outputs = { y, newKeys: kept.keys, newValues: kept.values }
    return compileProgram(which, outputs, packed ? isPacked(part) : undefined)
  }
  return executable(model, key, build, part.handles)
}

/** A file of ONNX holds less than 2 GiB; larger weights are fed. */
const largestPacked = 1.5 * 2 ** 30

/** Names of a part's inputs whose values go into its program. */
export const isPacked =
  ({ handles }: Part) =>
  (name: string): boolean =>
    name in handles && !/\.lora_[AB]\.weight$/.test(name) && 4 * elements(handles[name].shape) < largestPacked

/** Runs the blocks. @returns the hidden states [N, C], and each layer's new keys and values [N, kvHeads*D] */
const run = (
  { model, outer, layers }: Decoder,
  ids: Handle,
  shared: Handles,
  which: Which,
  past: Cache['views'] = [],
) => {
  const { backend } = model
  let { x } = backend.run(embedProgram(model, outer), { ...outer.handles, ...shared, ids })
  const made = layers.map(({ part, [which]: program }, i) => {
    const cached: Handles = past.length ? { keys: past[i][0], values: past[i][1] } : {}
    const { y, newKeys, newValues } = backend.run(program, { ...shared, ...part.handles, ...cached, x })
    backend.free([x])
    x = y
    return [newKeys, newValues] as const
  })
  return { hidden: x, made }
}

/**
 * Appends rows: each prompt is read once, and stands in as many rows as it has copies, those of one prompt together.
 * Takes ids that are not empty. @returns hidden states at the end of each prompt, [prompts, C], normed
 */
export const prefill = (decoder: Decoder, prompts: readonly { ids: ArrayLike<number>; copies: number }[]): Handle => {
  const { model, cache } = decoder
  const packed = pack(
    prompts.map(({ ids }) => ({ trunk: ids, branches: [] })),
    0,
  )
  const lengths = prompts.map(({ ids }) => ids.length)
  const ends = lengths.map((_, p) => lengths.slice(0, p + 1).reduce((a, b) => a + b) - 1)
  const placed = place(model, { ...packed, targets: { index: ends, label: ends } })
  const { hidden, made } = run(decoder, placed.ids, placed.shared, 'ragged')
  store(cache, made, prompts)
  const h = lastStates(decoder, hidden, placed.targets.index)
  model.backend.free([hidden, ...placed.handles, ...made.flat()])
  return h
}

/** Puts the prompts' keys and values into new rows. */
const store = (cache: Cache, made: Cache['store'], prompts: readonly { ids: ArrayLike<number>; copies: number }[]) => {
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

const i64 = (values: readonly number[]) => BigInt64Array.from(values, BigInt)

/** Appends one token to each row. @returns hidden states at them, [rows, C], normed */
export const step = (decoder: Decoder, ids: readonly number[]): Handle => {
  const { model, cache } = decoder
  const { backend } = model
  const N = ids.length
  const longest = 1 + Math.max(...cache.lengths)
  reserve(cache, N, longest)
  const put = (values: readonly number[]) => backend.put(i64(values), [N])
  const made = {
    positions: put(cache.lengths),
    ...Object.fromEntries(windowsOf(model).map((window) => [maskName(window), putMask(cache, window)])),
  }
  const [token, all] = [put(ids), put(ids.map((_, row) => row))]
  const shared = { ...made, ...ropeHandles(model, longest) }
  const { hidden, made: cached } = run(decoder, token, shared, 'cached', cacheViews(cache))
  writeTokens(
    cache,
    cached,
    cache.lengths.map((position, row) => ({ row, position })),
  )
  for (let row = 0; row < N; row++) cache.lengths[row]++
  const h = lastStates(decoder, hidden, all)
  backend.free([token, all, hidden, ...Object.values(made), ...cached.flat()])
  return h
}

const putMask = ({ model, lengths, capacity }: Cache, window: number | undefined): Handle =>
  model.backend.put(cachedMask(lengths, capacity, window), [lengths.length, 1, 1, capacity])

/** Final norm of the rows by index. */
const lastStates = ({ model, outer }: Decoder, hidden: Handle, index: Handle): Handle =>
  model.backend.run(lastProgram(model, outer), { ...outer.handles, hidden, index }).h

const lastProgram = (model: Model, outer: Part) =>
  executable(model, `last ${outer.signature}`, () => {
    const states = input('hidden', ['N', model.config.hidden_size]).gather(input('index', ['R'], 'i64'))
    return compileProgram('last', { h: model.architecture.finalNorm(scopeOf(outer), states, model.config) })
  })

/** Takes a row out of the batch; the last row has its number afterwards. */
export const drop = ({ cache }: Decoder, row: number) => dropRow(cache, row)
