/**
 * The head of a large vocabulary, computed in tiles: the logits of only one tile exist at a time, few enough for the
 * processor's cache. The log-sum-exp, sum p E (for the gradient by the hidden state) and the other statistics are
 * accumulated over the tiles, as FlashAttention does over positions (Dao et al. 2022, arXiv 2205.14135).
 *
 * For the gradient of the weight the tiles' probabilities may be kept, each normalised within its tile. They lack only
 * a factor for each row of hidden states, so the gradient takes one product a tile.
 */
import { backOf, codesOf, type Int8Form, scalesOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Executable, Handle, Handles } from '../runtime/backend.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { numel } from '../util/shape.ts'
import { codedStates, noiseOf, traceInt8End, traceInt8Tile } from './int8Tiles.ts'
import type { Placed } from './layout.ts'
import { executable, type Model, outerPart } from './model.ts'
import { scaleRows } from './scaleRows.ts'
import type { Plan } from './stack.ts'
import { column, nextLogSum, placeOf, type StatName } from './tileTrace.ts'

/** Smaller vocabularies are computed in one piece. */
export const leastVocabulary = 32_768
/** Rows of hidden states at once, and logits of a tile: 4 MiB. */
const blockRows = 1024
const tileFloats = 2 ** 20
/** Tiles kept for the backward pass at most: 512 MiB. Larger ones are computed again. */
const keptFloats = 2 ** 27

type Settings = { labelSmoothing?: number; temperature?: number }

/**
 * The weight's name, where the head is a plain product with it and the vocabulary is large; else undefined. A head in 8-bit codes is
 * stored under its module's.
 */
export const tiledWeight = (model: Model, { labelSmoothing, temperature = 1 }: Settings): string | undefined => {
  const { weight, module, softcap } = model.architecture.head(model.config)
  const { scalings, handles, int8 } = outerPart(model)
  const plain =
    !labelSmoothing && temperature === 1 && !softcap && !scalings.has(module) && !(`${module}.bias` in handles)
  if (!plain || model.config.vocab_size < leastVocabulary) return undefined
  return int8.has(`${module}.weight`) ? `${module}.weight` : weight
}

/** The statistics that tiles can compute: all but WPO's weights. */
export const tiledStats: readonly StatName[] = ['logps', 'entropy', 'correct', 'meanLogit']

// What is accumulated over the tiles, [R, 1] each, and p E [R, C]

const traceTile = (width: number, sums: boolean, kept: boolean): Record<string, Tensor> => {
  const [h, E] = [input('h', ['R', width]), input('E', ['T', width])]
  const l = h.matmul(E, { transB: true })
  const p = l.softmax()
  const tileTop = l.amax(-1, true)
  const tileSum = tileTop.sub(p.amax(-1, true).log())
  const [logSum, top, at] = [column('logSum'), column('top'), column('at')]
  const next = nextLogSum(logSum, tileSum)
  const { inside, place } = placeOf()
  const mean = () =>
    input('mean', ['R', width])
      .mul(logSum.sub(next).exp())
      .add(p.matmul(E).mul(tileSum.sub(next).exp()))
  return {
    'new logSum': next,
    'new top': top.max(tileTop),
    'new at': inside.where(l.takeAlong(place), at),
    ...(sums && { 'new mean': mean() }),
    ...(kept && { p, tileSum }),
  }
}

/** After all tiles: log p(y) = l_y - logSum, and its gradient by h, E[y] - sum p E. */
const traceEnd = (width: number, names: readonly StatName[], unit: boolean): Record<string, Tensor> => {
  const [h, E, mean] = [input('h', ['R', width]), input('E', ['V', width]), input('mean', ['R', width])]
  const [logSum, top, at] = [column('logSum'), column('top'), column('at')]
  const stats: Partial<Record<StatName, () => Tensor>> = {
    logps: () => at.sub(logSum),
    // sum p l = h . sum p E
    entropy: () => logSum.sub(h.mul(mean).sum(-1, true)),
    correct: () => at.ge(top).cast('f32'),
    meanLogit: () => h.mul(E.mean(0, true)).sum(-1, true),
  }
  return {
    ...Object.fromEntries(names.map((name) => [name, stats[name]!().reshape(['R'])])),
    ...(unit && { unit: E.gather(input('label', ['R'], 'i64')).sub(mean) }),
  }
}

/** d E of a tile without the labels' rows: - p' h, each row of h times its scale. */
const traceBack = (width: number, kept: boolean): Record<string, Tensor> => {
  const [h, scale, logSum] = [input('h', ['R', width]), input('scale', ['R']).reshape(['R', 1]), column('logSum')]
  const scaled = h.mul(scale)
  const product = () => {
    if (kept) return input('p', ['R', 'T']).matmul(scaled.mul(column('tileSum').sub(logSum).exp()), { transA: true })
    const l = h.matmul(input('E', ['T', width]), { transB: true })
    return l.sub(logSum).exp().matmul(scaled, { transA: true })
  }
  return { 'sum E': input('grad E', ['T', width]).sub(product()) }
}

type Block = { start: number; rows: number; logSum: Handle; tiles: Tile[] }
type Tile = { from: number; to: number; p?: Handle; tileSum?: Handle }

/** What the backward pass needs of the forward one. */
export type Tiles = { weight: string; blocks: Block[] }

const blocksOf = (count: number) =>
  Array.from({ length: Math.ceil(count / blockRows) }, (_, i) => ({
    start: i * blockRows,
    rows: Math.min(blockRows, count - i * blockRows),
  }))

/** Tiles of a width that makes `tileFloats` logits. */
const tilesOf = (rows: number, vocabulary: number): Tile[] => {
  const width = Math.min(8192, Math.max(1024, Math.floor(tileFloats / rows / 512) * 512))
  return Array.from({ length: Math.ceil(vocabulary / width) }, (_, i) => ({
    from: i * width,
    to: Math.min(vocabulary, (i + 1) * width),
  }))
}

const rowsOf = (model: Model, handle: Handle, start: number, count: number): Handle => {
  const [, ...rest] = handle.shape
  return model.backend.view(handle, start * numel(rest), [count, ...rest])
}

const bounds = (model: Model, { from, to }: Tile) => ({
  start: model.backend.put(BigInt64Array.of(BigInt(from)), [1]),
  end: model.backend.put(BigInt64Array.of(BigInt(to)), [1]),
})

/** Only the feeds that a program names: the backend refuses others. */
const fed = ({ program }: Executable, handles: Handles): Handles =>
  Object.fromEntries(program.inputs.map(({ name }) => [name, handles[name]]))

const lowest = -1e30

/** Outputs of a tile that the next one reads are called so, and then as its inputs. */
const next = 'new '
const afterNext = (name: string) => name.slice(next.length)

/** The programs of a head, and what they read beside h, the labels and what is accumulated. */
type HeadPrograms = {
  tile: Executable
  end: Executable
  width: number
  /** Of all rows and tiles. */
  shared: Handles
  /** Of a block's hidden states; freed after it. */
  ofBlock(h: Handle): Handles
  /** Of a block's tile; freed after it. */
  ofTile(block: Block, tile: Tile): Handles
}

type Asked = { names: readonly StatName[]; unit: boolean; sums: boolean; kept: boolean }

const plainPrograms = (model: Model, weight: string, { names, unit, sums, kept }: Asked): HeadPrograms => {
  const E = outerPart(model).handles[weight]
  const [, width] = E.shape
  return {
    width,
    tile: executable(model, `tile ${width} ${sums} ${kept}`, () =>
      compileProgram('headTile', traceTile(width, sums, kept)),
    ),
    end: executable(model, `tileEnd ${width} ${names} ${unit}`, () =>
      compileProgram('headEnd', traceEnd(width, names, unit)),
    ),
    shared: { E },
    ofBlock: () => ({}),
    ofTile: (_, { from, to }) => ({ E: rowsOf(model, E, from, to - from) }),
  }
}

/** @param weight under which the codes are stored */
const int8Programs = (model: Model, weight: string, form: Int8Form, { names, unit }: Asked): HeadPrograms => {
  const { inner: width, dtype } = form
  const { handles } = outerPart(model)
  const [codes, scales, back] = [codesOf, scalesOf, backOf].map((named) => handles[named(weight)])
  const states = codedStates(model, width)
  const key = `${width} ${dtype} ${names} ${unit}`
  return {
    width,
    tile: executable(model, `int8 tile ${key}`, () =>
      compileProgram('headTile', traceInt8Tile(width, dtype, unit, names)),
    ),
    end: executable(model, `int8 tileEnd ${key}`, () =>
      compileProgram('headEnd', traceInt8End(width, dtype, unit, names)),
    ),
    shared: { codes, scales, back },
    ofBlock: (h) => model.backend.run(states, { h }),
    ofTile: (block, { from, to }) => ({
      scales: rowsOf(model, scales, from, to - from),
      ...(unit && {
        back: rowsOf(model, back, from, to - from),
        noise: noiseOf(model.backend, tileFloats, [block.rows, to - from], block.start + from),
      }),
    }),
  }
}

/** Runs one block of rows through all tiles. @returns the accumulated arrays, a row for each of the block's */
const accumulate = (model: Model, block: Block, given: Handles, programs: HeadPrograms) => {
  const { backend } = model
  const { tile: program, shared, width } = programs
  const filled = (value: number) => backend.put(new Float32Array(block.rows).fill(value), [block.rows, 1])
  const first = (name: string) =>
    name === 'mean' ? backend.zeros([block.rows, width]) : filled(['logSum', 'top'].includes(name) ? lowest : 0)
  const accumulated = program.program.outputs.flatMap(({ name }) => (name.startsWith(next) ? [afterNext(name)] : []))
  let state: Handles = Object.fromEntries(accumulated.map((name) => [name, first(name)]))
  const own = programs.ofBlock(given.h)
  for (const tile of block.tiles) {
    const local = { ...programs.ofTile(block, tile), ...bounds(model, tile) }
    const feeds = fed(program, { ...shared, ...given, ...own, ...state, ...local })
    const { p, tileSum, ...made } = backend.run(program, feeds)
    Object.assign(tile, { p, tileSum })
    backend.free([...Object.values(local), ...Object.values(state)])
    state = Object.fromEntries(Object.entries(made).map(([name, handle]) => [afterNext(name), handle]))
  }
  backend.free(Object.values(own))
  return state
}

/**
 * Statistics of the targets, [M] each, into the given handles; with `unit` d logp / d h [M, C] as well.
 * @param keep keeps what the gradient of the weight needs; on the fast plan also the tiles' probabilities
 */
export const tiledPass = (
  model: Model,
  weight: string,
  h: Handle,
  { targets }: Placed,
  made: Readonly<Record<string, Handle>>,
  keep?: Plan,
): Tiles => {
  const { backend, config } = model
  const names = Object.keys(made).filter((name) => name !== 'unit') as StatName[]
  const unit = 'unit' in made
  const sums = unit || names.includes('entropy')
  const kept = keep === 'fast' && targets.count * config.vocab_size <= keptFloats
  const form = outerPart(model).int8.get(weight)
  const asked = { names, unit, sums, kept }
  const programs = form ? int8Programs(model, weight, form, asked) : plainPrograms(model, weight, asked)
  const blocks = blocksOf(targets.count).map(({ start, rows }) => {
    const given = { h: rowsOf(model, h, start, rows), label: rowsOf(model, targets.label, start, rows) }
    const into = Object.fromEntries(
      Object.entries(made).map(([name, handle]) => [name, rowsOf(model, handle, start, rows)]),
    )
    const block: Block = { start, rows, logSum: h, tiles: tilesOf(rows, config.vocab_size) }
    const state = accumulate(model, block, given, programs)
    backend.run(programs.end, fed(programs.end, { ...given, ...state, ...programs.shared }), into)
    const { logSum, ...rest } = state
    backend.free([...Object.values(given), ...Object.values(into), ...Object.values(rest), ...(keep ? [] : [logSum])])
    return { ...block, logSum }
  })
  return { weight, blocks }
}

/** Adds the gradient of the weight under sum(scales * logps), and frees what was kept for it. */
export const tiledBackward = (
  model: Model,
  { weight, blocks }: Tiles,
  h: Handle,
  { targets }: Placed,
  scales: Handle,
  gradient: Handle,
): void => {
  const { backend } = model
  const E = outerPart(model).handles[weight]
  const [, width] = E.shape
  for (const { start, rows, logSum, tiles } of blocks) {
    const kept = tiles[0].p !== undefined
    const program = executable(model, `tileBack ${width} ${kept}`, () =>
      compileProgram('headTileBackward', traceBack(width, kept)),
    )
    const [hidden, label, scale] = [h, targets.label, scales].map((each) => rowsOf(model, each, start, rows))
    for (const tile of tiles) {
      const size = tile.to - tile.from
      const sum = rowsOf(model, gradient, tile.from, size)
      const local = { E: rowsOf(model, E, tile.from, size), ...bounds(model, tile) }
      const own = { ...(tile.p && { p: tile.p }), ...(tile.tileSum && { tileSum: tile.tileSum }) }
      const given = { h: hidden, scale, logSum, 'grad E': sum, ...local, ...own }
      backend.run(program, fed(program, given), { 'sum E': sum })
      backend.free([sum, ...Object.values(local), ...Object.values(own)])
    }
    const atLabels = scaleRows(model, hidden, scale)
    backend.addRows(gradient, atLabels, label)
    backend.free([hidden, label, scale, logSum, atLabels])
  }
}
