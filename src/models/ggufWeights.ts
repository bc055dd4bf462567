/** What llama.cpp's weights have otherwise than transformers', and the way back; see gguf.ts for why. */
import type { Architecture, Config } from './architecture.ts'
import { ggufArchitectures } from './ggufArchitectures.ts'
import { deltaSizes } from './qwen35.ts'

type Change = (x: Float32Array) => Float32Array

/** A weight as llama.cpp has it, and its shape there. */
export const changesOf = (name: string, shape: readonly number[], architecture: Architecture, config: Config) => {
  const found = ggufArchitectures[architecture.name]
  const changes: Change[] = []
  const transposed = isTransposed(name, shape, architecture)
  if (transposed) changes.push((x) => swapped(x, shape[0]))
  if (isPaired(name, architecture)) changes.push((x) => paired(x, config.head_dim, x.length / shape[0]))
  if (hasOneAdded(name, architecture)) changes.push((x) => x.map((value) => value + 1))
  if (name.endsWith('.A_log')) changes.push((x) => x.map((value) => -Math.exp(value)))
  const places = headPlaces(name, architecture, config)
  if (places) changes.push((x) => placed(x, places, x.length / shape[0], true))
  const factor = found.queryFactor && name.endsWith(found.queryFactor.weight) ? found.queryFactor.of(config) : 1
  if (factor !== 1) changes.push((x) => x.map((value) => value * factor))
  const stored = storedShape(shape, transposed)
  return { stored, change: (x: Float32Array) => changes.reduce((value, change) => change(value), x) }
}

/**
 * llama.cpp's weight as transformers has it; no change where the two are the same. The factor of queries stays in the weight, since
 * the config that is made of a GGUF file says what llama.cpp assumes.
 */
export const changesBack = (name: string, shape: readonly number[], architecture: Architecture, config: Config) => {
  const changes: Change[] = []
  const transposed = isTransposed(name, shape, architecture)
  if (hasOneAdded(name, architecture)) changes.push((x) => x.map((value) => value - 1))
  if (isPaired(name, architecture)) changes.push((x) => unpaired(x, config.head_dim, x.length / shape[0]))
  if (transposed) changes.push((x) => swapped(x, shape[1]))
  const places = headPlaces(name, architecture, config)
  if (places) changes.push((x) => placed(x, places, x.length / shape[0], false))
  if (name.endsWith('.A_log')) changes.push((x) => x.map((value) => Math.log(-value)))
  const change = (x: Float32Array) => changes.reduce((value, change) => change(value), x)
  return { transposed, change: changes.length ? change : undefined }
}

/** A convolution of each channel by itself, [C, 1, K], has no axis of 1. */
const storedShape = (shape: readonly number[], transposed: boolean): readonly number[] =>
  transposed ? shape.toReversed() : shape.length === 3 ? [shape[0], shape[2]] : shape

const isTransposed = (name: string, shape: readonly number[], { conv1d }: Architecture) =>
  conv1d === true && shape.length === 2 && name.startsWith('transformer.h.')

const isPaired = (name: string, architecture: Architecture) =>
  ggufArchitectures[architecture.name].pairs === true && /self_attn\.[qk]_proj\.(weight|bias)$/.test(name)

const hasOneAdded = (name: string, { zeroNorms }: Architecture) =>
  zeroNorms === true && name.endsWith('norm.weight') && !name.endsWith('linear_attn.norm.weight')

/** [rows, columns] -> [columns, rows]. */
const swapped = (x: Float32Array, rows: number): Float32Array => {
  const columns = x.length / rows
  const out = new Float32Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j]
  return out
}

/** The place of a row of a head of D where its halves become neighbours: i and i + D/2 become 2i and 2i + 1. */
const pairedRow = (row: number, D: number): number => {
  const i = row % D
  return row - i + (i < D / 2 ? 2 * i : 2 * i - D + 1)
}

const moved = (x: Float32Array, columns: number, place: (row: number) => [from: number, to: number]) => {
  const out = new Float32Array(x.length)
  for (let row = 0; row < x.length / columns; row++) {
    const [from, to] = place(row)
    out.set(x.subarray(from * columns, (from + 1) * columns), to * columns)
  }
  return out
}

/** Rows of each head of D from (first half, second half) to neighbours. */
const paired = (x: Float32Array, D: number, columns: number): Float32Array =>
  moved(x, columns, (row) => [row, pairedRow(row, D)])

const unpaired = (x: Float32Array, D: number, columns: number): Float32Array =>
  moved(x, columns, (row) => [pairedRow(row, D), row])

/**
 * Where llama.cpp's delta rule has values in another order: their heads go round the heads of keys, where transformers has those of one
 * key beside each other.
 */
type HeadPlaces = {
  /** Of rows, or of what stands in a row. */
  columns: boolean
  /** What comes before the values. */
  before: number
  /** Of one head. */
  width: number
  keyHeads: number
  valueHeads: number
}

const headPlaces = (name: string, architecture: Architecture, config: Config): HeadPlaces | undefined => {
  const [, module] = /\.linear_attn\.(in_proj_\w+|out_proj|conv1d|dt_bias|A_log)/.exec(name) ?? []
  if (architecture.name !== 'Qwen3_5ForCausalLM' || module === undefined) return undefined
  const { keyHeads, valueHeads, valueDim, keys } = deltaSizes(config)
  return {
    columns: module === 'out_proj',
    before: module === 'in_proj_qkv' || module === 'conv1d' ? 2 * keys : 0,
    width: /^(in_proj_[ab]|dt_bias|A_log)$/.test(module) ? 1 : valueDim,
    keyHeads,
    valueHeads,
  }
}

/** @param columns of x @param there whether to llama.cpp's order, or back */
const placed = (x: Float32Array, places: HeadPlaces, columns: number, there: boolean): Float32Array => {
  const { before, width, keyHeads, valueHeads } = places
  const perKey = valueHeads / keyHeads
  const out = x.slice()
  for (let head = 0; head < valueHeads; head++) {
    const other = (head % perKey) * keyHeads + Math.floor(head / perKey)
    const [from, to] = (there ? [head, other] : [other, head]).map((place) => before + place * width)
    if (!places.columns) out.set(x.subarray(from * columns, (from + width) * columns), to * columns)
    else for (let at = 0; at < x.length; at += columns) out.set(x.subarray(at + from, at + from + width), at + to)
  }
  return out
}
