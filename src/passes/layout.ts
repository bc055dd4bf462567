/** Puts a packed batch on the engine: token ids, and the indices and masks that all layers share. */
import type { PackedBatch } from '../data/batch.ts'
import type { LayerKind } from '../models/architecture.ts'
import { layoutTensors } from '../nn/attention.ts'
import { distanceNames, distanceRows } from '../nn/relative.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { input } from '../tensor/tensor.ts'
import { executable, type Model, ropeHandles } from './model.ts'

export type Placed = {
  tokens: number
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
  const kinds = Array.from({ length: model.config.num_hidden_layers }, (_, i) => kindOf(model, i))
  return [...new Set(kinds.map(({ window }) => window))]
}

export const kindOf = (model: Model, layer: number): LayerKind => model.architecture.layerKind(model.config, layer)

const layoutProgram = (model: Model) =>
  executable(model, 'layout', () => {
    const grid = (name: string) => input(name, ['B', 'T'], 'i64')
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
      layoutTensors(layout, heads, kvHeads, model.architecture.encoder ? 'encoder' : windowsOf(model)),
    )
  })

/** From arrays over tokens to arrays over the grid: rows (the token's index, 0 where none), groups (-1 where none), segments. */
const grids = (batch: PlacedBatch) => {
  const rows = new BigInt64Array(batch.B * batch.T)
  const groups = new BigInt64Array(batch.B * batch.T).fill(-1n)
  const segments = new BigInt64Array(batch.B * batch.T)
  for (let n = 0; n < batch.ids.length; n++) {
    rows[batch.places[n]] = BigInt(n)
    groups[batch.places[n]] = BigInt(batch.groups[n])
    segments[batch.places[n]] = BigInt(batch.segments[n])
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

export const place = (model: Model, batch: PlacedBatch): Placed => {
  const { backend } = model
  const N = batch.ids.length
  const put = (values: ArrayLike<number>) => backend.put(i64(values), [values.length])
  const grid = Object.fromEntries(
    Object.entries(grids(batch)).map(([name, values]) => [name, backend.put(values, [batch.B, batch.T])]),
  )
  const positions = put(batch.positions)
  const places = put(batch.places)
  const layout = backend.run(layoutProgram(model), { ...grid, positions, places })
  const ids = put(batch.ids)
  const targets = {
    count: batch.targets.index.length,
    index: put(batch.targets.index),
    label: put(batch.targets.label),
  }
  backend.free([...Object.values(grid), places])
  const own = encoderInputs(model, batch)
  const shared = { ...layout, ...own, positions, ...ropeHandles(model, 1 + largest(batch.positions)) }
  return {
    tokens: N,
    ids,
    shared,
    targets,
    handles: [...Object.values(layout), ...Object.values(own), positions, ids, targets.index, targets.label],
  }
}
