/**
 * Tiles of a head in 8-bit codes: what tiledHead.ts computes in fp32. Logits come from whole numbers (nn/int8.ts). For the gradient by
 * the hidden state the probabilities of a tile, too, become whole numbers, from 0 to 254 parts of the tile's likeliest token.
 *
 * Thousands of tokens have less than half a part each, and all of them together a few per cent of the probability. Rounding to the
 * nearest would lose these, always the same way. So uniform noise is added first: each is right on average (stochastic rounding, as in
 * Gupta et al. 2015, arXiv 1502.02551). The noise depends on the row and the token alone. And where the target is far likelier than
 * the rest of its tile, the parts are of that rest, and what the target has more than the codes say is added in fp32.
 */
import { wholeNumbers } from '../nn/int8.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Backend, Executable, Handle } from '../runtime/backend.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { input, scalar, sizeTensor, type Tensor } from '../tensor/tensor.ts'
import { fillUniform } from '../util/rng.ts'
import { executable, type Model } from './model.ts'
import { column, nextLogSum, placeOf, type StatName } from './tileTrace.ts'

/** Parts of the likeliest token's probability. With the noise a value is at most half a part above them. */
const parts = 254
/** The second term of a row is so many times finer than the first (onnx/lowerInt8.ts). */
const finer = 254

/** Hidden states [R, C] as codes, once for all tiles of a block: the same two terms as those of matmulInt8. */
export const codedStates = (model: Model, width: number): Executable =>
  executable(model, `tile states ${width}`, () => {
    const h = input('h', ['R', width])
    // A sum keeps what is not finite
    const largest = h.abs().amax(-1, true).max(1e-30).add(h.sum(-1, true).mul(0))
    const steps = largest.reshape(['R']).div(127)
    const first = h.roundRows(steps, 'u8')
    const rest = h.sub(wholeNumbers(first).mul(steps.reshape(['R', 1])))
    const second = rest.roundRows(largest.reshape(['R']).div(127 * finer), 'u8')
    return compileProgram('headStates', { first, second, largest })
  })

/**
 * One tile. @param sums accumulates sum p W' for the gradient   @param names of the statistics that are asked for
 */
export const traceInt8Tile = (
  width: number,
  dtype: CodeType,
  sums: boolean,
  names: readonly StatName[],
): Record<string, Tensor> => {
  const start = input('start', [1], 'i64')
  const [codes, scales] = [input('codes', [width, 'V'], dtype).columnsFrom(start, 'T'), input('scales', ['T'])]
  const term = (name: string, unit: number) =>
    input(name, ['R', width], 'u8').matmulCodes(codes, scales, { zero: 128, unit })
  const l = term('first', 1 / 127)
    .add(term('second', 1 / (127 * finer)))
    .mul(column('largest'))
  const tileTop = l.amax(-1, true)
  const e = l.sub(tileTop).exp()
  const sum = e.sum(-1, true)
  const [logSum, top, at] = [column('logSum'), column('top'), column('at')]
  const next = nextLogSum(logSum, tileTop.add(sum.log()))
  const [before, here] = [logSum.sub(next).exp(), tileTop.sub(next).exp()]
  const { inside, place } = placeOf()
  const gradient = () => {
    const target = inside.where(e.takeAlong(place), 0)
    const share = sum.sub(target).min(1).max(1e-30)
    const most = scales.amax(0)
    const scaled = scales.mul(scalar(parts).div(most))
    const values = e.div(share).mul(scaled)
    const shares = values.add(input('noise', ['R', 'T'])).roundShares()
    const ones = scalar(1).broadcastTo([width])
    const product = shares.matmulCodes(input('back', ['T', width], dtype), ones, { zero: 0, unit: 1 })
    const unit = here.mul(share).mul(most.div(parts))
    const left = inside.where(values.takeAlong(place).sub(shares.takeAlong(place).cast('f32')), 0)
    return {
      'new mean': input('mean', ['R', width]).mul(before).add(product.mul(unit)),
      'new left': column('left').mul(before).add(left.mul(unit)),
    }
  }
  return {
    'new logSum': next,
    'new top': top.max(tileTop),
    'new at': inside.where(l.takeAlong(place), at),
    ...(names.includes('entropy') && {
      'new level': column('level').mul(before).add(e.mul(l).sum(-1, true).mul(here)),
    }),
    ...(names.includes('meanLogit') && { 'new total': column('total').add(l.sum(-1, true)) }),
    ...(sums && gradient()),
  }
}

/** After all tiles: log p(y) = l_y - logSum, and its gradient by h, W'[y] - sum p W'. */
export const traceInt8End = (
  width: number,
  dtype: CodeType,
  sums: boolean,
  names: readonly StatName[],
): Record<string, Tensor> => {
  const [logSum, top, at] = [column('logSum'), column('top'), column('at')]
  const scales = input('scales', ['V'])
  const stats: Partial<Record<StatName, () => Tensor>> = {
    logps: () => at.sub(logSum),
    entropy: () => logSum.sub(column('level')),
    correct: () => at.ge(top).cast('f32'),
    meanLogit: () => column('total').div(sizeTensor('V')),
  }
  const unit = () => {
    const label = input('label', ['R'], 'i64')
    const row = wholeNumbers(input('back', ['V', width], dtype).gather(label))
    const scale = scales.gather(label).reshape(['R', 1])
    return row.mul(scale.sub(column('left'))).sub(input('mean', ['R', width]))
  }
  return {
    ...Object.fromEntries(names.map((name) => [name, stats[name]!().reshape(['R'])])),
    ...(sums && { unit: unit() }),
  }
}

/** Values more than a tile has, so that tiles begin at different ones. */
const spare = 2 ** 16
const noises = new WeakMap<Backend, Handle>()

/** Uniform noise from -1/2 to 1/2 for a tile [rows, columns] of at most `most` values. @param tile numbers that say which one it is */
export const noiseOf = (backend: Backend, most: number, shape: readonly [number, number], tile: number): Handle => {
  if (!noises.has(backend)) {
    const values = new Float32Array(most + spare)
    fillUniform(values, { seed: 0, stream: 0, substream: 0 }, -0.5, 0.5)
    noises.set(backend, backend.put(values, [values.length]))
  }
  return backend.view(noises.get(backend)!, (tile * 509) % spare, shape)
}
