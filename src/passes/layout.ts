/** Puts a packed batch on the engine: token ids, and the indices and masks that all layers share. */
import type { PackedBatch } from '../data/batch.ts'
import type { LayerKind } from '../models/architecture.ts'
import { layoutTensors } from '../nn/attention.ts'
import { chunkNames, chunkPlaces, deltaChunk, madeStateName, stateName, textsOf } from '../nn/deltaRule.ts'
import { earlierName, earlierRows, keptName, recentName } from '../nn/recent.ts'
import { distanceNames, distanceRows } from '../nn/relative.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { input } from '../tensor/tensor.ts'
import { executable, type Model, ropeHandles } from './model.ts'

export type Placed = {
  tokens: number
  /** Of each row, for attention: see `attendRagged`. */
  parts: number
  ids: Handle
  /** Shared inputs of the blocks. */
  shared: Handles
  targets: { count: number; index: Handle; label: Handle }
  handles: Handle[]
}

const largest = (values: ArrayLike<number>): number => {
  let most = 0
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i])
  return most
}

const i64 = (values: ArrayLike<number>) => BigInt64Array.from(values as number[], BigInt)

export const windowsOf = (model: Model): (number | undefined)[] => {
  const kinds = attentionLayers(model).map((layer) => kindOf(model, layer))
  return [...new Set(kinds.map(({ window }) => window))]
}

const layersOf = ({ config }: Model) => Array.from({ length: config.num_hidden_layers }, (_, i) => i)

/** Those that keep keys and values. */
export const attentionLayers = (model: Model) =>
  layersOf(model).filter((layer) => {
    const { recent, keysOf } = kindOf(model, layer)
    return !recent && keysOf === undefined
  })

/** Those that read a few tokens before, with how many. */
export const recentLayers = (model: Model) =>
  layersOf(model).flatMap((layer) => {
    const { recent } = kindOf(model, layer)
    return recent ? [{ layer, ...recent }] : []
  })

/** What a row keeps for its next token in layers without attention: inputs and outputs of the programs, and their shapes for one row. */
export const keptStates = (model: Model) =>
  recentLayers(model).flatMap(({ layer, count, width }) => {
    const { state } = kindOf(model, layer)
    return [
      { layer, before: recentName(layer), after: keptName(layer), shape: [count, width] },
      ...(state ? [{ layer, before: stateName(layer), after: madeStateName(layer), shape: state }] : []),
    ]
  })

/** Whether layers compute by the delta rule. */
export const hasDeltaRule = (model: Model) => layersOf(model).some((layer) => kindOf(model, layer).state)

/** Inputs of the delta rule for texts of which each is a list of tokens, in chunks of so many. */
export const deltaInputs = ({ backend }: Model, texts: readonly (readonly number[])[], longest: number): Handles => {
  const { tokens, shape, places } = chunkPlaces(texts, longest)
  return {
    [chunkNames.tokens]: backend.put(tokens, shape),
    [chunkNames.places]: backend.put(places, [places.length]),
  }
}

const batchChunks = (model: Model, batch: PlacedBatch): Handles => {
  if (!hasDeltaRule(model)) return {}
  const texts = textsOf(batch)
  return deltaInputs(model, texts, Math.min(deltaChunk, largest(texts.map((text) => text.length))))
}

/** The most tokens before that a layer reads. */
export const mostRecent = (model: Model) => Math.max(0, ...recentLayers(model).map(({ count }) => count))

/** By the names of the inputs. */
export const earlierInputs = ({ backend }: Model, earlier: readonly (readonly number[])[]): Handles =>
  Object.fromEntries(earlier.map((rows, i) => [earlierName(i + 1), backend.put(i64(rows), [rows.length])]))

export const kindOf = (model: Model, layer: number): LayerKind => model.architecture.layerKind(model.config, layer)

/** Rows are divided into so many parts for attention (see `attendRagged`) where they are long enough to repay it. */
const rowParts = 4
const longEnough = 128

const layoutProgram = (model: Model, parts: number) =>
  executable(model, `layout ${parts}`, () => {
    const [B, T] = ['B', parts === 1 ? 'T' : `${parts}*S`]
    const grid = (name: string) =>
      parts === 1 ? input(name, [B, T], 'i64') : input(name, [B, parts, 'S'], 'i64').reshape([B, T])
    const flat = (name: string) => input(name, ['N'], 'i64')
    const { num_attention_heads: heads, num_key_value_heads: kvHeads } = model.config
    const layout = {
      rows: grid('rows'),
      places: flat('places'),
      groups: grid('groups'),
      segments: grid('segments'),
      positions: flat('positions'),
    }
    return compileProgram(
      'layout',
      layoutTensors(layout, heads, kvHeads, model.architecture.encoder ? 'encoder' : windowsOf(model), parts),
    )
  })

/** From arrays over tokens to arrays over the grid: rows (the token's index, 0 where none), groups (-1 where none), segments. */
const grids = (batch: Pick<PlacedBatch, 'ids' | 'groups' | 'segments'>, size: number, places: ArrayLike<number>) => {
  const rows = new BigInt64Array(size)
  const groups = new BigInt64Array(size).fill(-1n)
  const segments = new BigInt64Array(size)
  for (let n = 0; n < batch.ids.length; n++) {
    rows[places[n]] = BigInt(n)
    groups[places[n]] = BigInt(batch.groups[n])
    segments[places[n]] = BigInt(batch.segments[n])
  }
  return { rows, groups, segments }
}

/** The parts of a packed batch that the passes read. */
export type PlacedBatch = Omit<PackedBatch, 'targets'> & { targets: Omit<PackedBatch['targets'], 'sequence'> }

/** What the blocks of an encoder read beside the layout: kinds of tokens, and the rows of its table of relative positions. */
const encoderInputs = (
  { architecture: { encoder }, config, backend }: Model,
  { T, ids, types }: PlacedBatch,
): Handles => {
  if (!encoder) return {}
  const distances = encoder.distances?.(config)
  const falling = distances && distanceRows(T, distances)
  const put = (values: readonly number[]) => backend.put(i64(values), [values.length])
  return {
    ...(encoder.tokenTypes(config) > 0 && { types: put(Array.from(types ?? new Uint8Array(ids.length))) }),
    ...(falling && {
      [distanceNames.falling]: put(falling),
      // One place of 2T is unused: behind the distances, falling or rising
      [distanceNames.rising]: put([...falling.slice(0, -1).reverse(), 0]),
    }),
  }
}

/** Parts of the rows of a batch: an encoder's tokens attend to later ones too. */
export const partsOf = ({ architecture }: Model, T: number) => (architecture.encoder || T < longEnough ? 1 : rowParts)

/** @param parts of each row, for attention; decoding reads whole rows */
export const place = (model: Model, batch: PlacedBatch, parts = partsOf(model, batch.T)): Placed => {
  const { backend } = model
  const { B } = batch
  const N = batch.ids.length
  const T = Math.ceil(batch.T / parts) * parts
  const put = (values: ArrayLike<number>) => backend.put(i64(values), [values.length])
  // Wider rows, so that they divide into parts
  const moved = Array.from(batch.places, (at) => at + Math.floor(at / batch.T) * (T - batch.T))
  const shape = parts === 1 ? [B, T] : [B, parts, T / parts]
  const grid = Object.fromEntries(
    Object.entries(grids(batch, B * T, moved)).map(([name, values]) => [name, backend.put(values, shape)]),
  )
  const positions = put(batch.positions)
  const places = put(moved)
  const layout = backend.run(layoutProgram(model, parts), { ...grid, positions, places })
  const ids = put(batch.ids)
  const targets = {
    count: batch.targets.index.length,
    index: put(batch.targets.index),
    label: put(batch.targets.label),
  }
  backend.free([...Object.values(grid), places])
  const earlier = Array.from({ length: mostRecent(model) }, (_, i) => earlierRows(batch, i + 1))
  const own = { ...encoderInputs(model, batch), ...earlierInputs(model, earlier), ...batchChunks(model, batch) }
  const shared = { ...layout, ...own, positions, ...ropeHandles(model, 1 + largest(batch.positions)) }
  return {
    tokens: N,
    parts,
    ids,
    shared,
    targets,
    handles: [...Object.values(layout), ...Object.values(own), positions, ids, targets.index, targets.label],
  }
}
