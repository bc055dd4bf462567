/** Gradients against central finite differences of the interpreter, in float64. */
import { describe, expect, it } from 'vitest'
import { evaluate, type Feed } from '../runtime/interpreter.ts'
import { rng } from '../util/rng.ts'
import { evalDim, type Shape } from './dim.ts'
import { grad, vjp } from './grad.ts'
import { topological } from './graph.ts'
import type { Primitive } from './primitives.ts'
import { type QuantFormat, quantFormats, quantization, quantize, storedShapes } from './quantization.ts'
import { simplify } from './simplify.ts'
import { concat, constant, input, iota, type QuantizedWeight, scalar, stack, type Tensor } from './tensor.ts'

type Of = { shape: Shape; low: number; high: number }
type Case = { of: readonly Of[]; f: (...xs: Tensor[]) => Tensor }

const sizes = new Map([
  ['B', 3],
  ['T', 2],
  ['K', 4],
])

/** An operand with values between low and high. */
const of = (shape: Shape, low = -2, high = 2): Of => ({ shape, low, high })
const positive = (shape: Shape) => of(shape, 0.3, 2)

const unary = (f: (x: Tensor) => Tensor, operand = of(['B', 4])): Case[] => [{ of: [operand], f }]

/** Same shapes, both sides stretched, and a scalar on each side. */
const binary = (f: (a: Tensor, b: Tensor) => Tensor, low = -2, high = 2): Case[] =>
  [
    [
      ['B', 4],
      ['B', 4],
    ],
    [
      ['B', 1],
      ['T', 1, 4],
    ],
    [[4], ['B', 4]],
    [['T', 'B'], []],
    [[], [1, 'B']],
  ].map(([a, b]) => ({ of: [of(a, low, high), of(b, low, high)], f }))

const i64 = (data: number[], shape?: Shape) => constant(data, shape, 'i64')

const transposes = [false, true].flatMap((transA) => [false, true].map((transB) => ({ transA, transB })))
const swapped = (shape: Shape, swap: boolean): Shape =>
  swap ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape
const matmuls = transposes.flatMap((flags) =>
  [
    [
      ['B', 4],
      [4, 2],
    ],
    [
      ['T', 'B', 4],
      [4, 2],
    ],
    [
      ['T', 1, 'B', 4],
      ['T', 4, 2],
    ],
    [
      ['B', 4],
      ['T', 4, 2],
    ],
    [
      [1, 'B', 4],
      ['T', 4, 1],
    ],
  ].map(([a, b]) => ({
    of: [of(swapped(a, flags.transA)), of(swapped(b, flags.transB))],
    f: (x: Tensor, y: Tensor) => x.matmul(y, flags),
  })),
)

/** A fixed weight [3, 40]: a whole block and a part of one. */
const quantizedWeight = (format: QuantFormat, transposed: boolean, seed = 1): QuantizedWeight => {
  const weight = quantization(format, [3, 40])
  const values = Float32Array.from({ length: 120 }, (_, i) => Math.sin(seed * i))
  const stored = quantize(values, weight)!
  const shapes = storedShapes(weight)
  const codes = constant([...stored.codes], shapes.codes, 'u8')
  return { codes, scales: constant([...stored.scales], shapes.scales), weight, transposed }
}

const byQuantized = (f: (x: Tensor, format: QuantFormat, transposed: boolean) => Tensor) =>
  quantFormats.flatMap((format) =>
    [false, true].map((transposed) => ({
      of: [of(['B', transposed ? 3 : 40])],
      f: (x: Tensor) => f(x, format, transposed),
    })),
  )

/** Groups of 2, 0 and 1 rows. */
const groupSizes = () => constant([2, 0, 1], [3], 'i64')

const grouped = [false, true].map((transB) => ({
  of: [of(['B', 4]), ...Array.from({ length: 3 }, () => of(transB ? [2, 4] : [4, 2]))],
  f: (x: Tensor, ...weights: Tensor[]) => x.matmulGrouped(groupSizes(), weights, { transB }),
}))

const norm = [of(['T', 'B', 4]), of([4])]

/** Two steps of two states [2, 1]. */
const scans = [false, true].map((reverse) => ({
  of: [of([3, 'T', 2, 1]), of([2, 'T', 1, 1]), of([2, 'T', 3, 2]), of([2, 'T', 3, 2])],
  f: (...[updates, decay, a, b]: Tensor[]) => updates.deltaScan(decay, a, b, { reverse }),
}))

const ropes = [
  { heads: 2, rotary: 4, inverse: false },
  { heads: 2, rotary: 2, inverse: true },
].map((params) => ({
  of: [of([3, 8])],
  f: (x: Tensor) => {
    const shape = [5, params.rotary / 2]
    const angles = Array.from({ length: shape[0] * shape[1] }, (_, i) => 0.3 + i)
    const table = (f: (x: number) => number) => constant(angles.map(f), shape)
    return x.rope(i64([4, 0, 2]), table(Math.cos), table(Math.sin), params)
  },
}))

/**
 * Programs in which each primitive stands, with all differentiable operands as inputs. Random values have no ties. What is
 * rounded has no slope: test/int8.test.ts compares the gradient of matmulInt8 with that of the product without rounding.
 */
const cases: { [P in Exclude<Primitive, 'matmulInt8'>]: readonly Case[] } = {
  input: unary((x) => x),
  constant: unary((x) => x.mul(constant([1, -2, 3, 4]))),
  iota: unary((x) => x.mul(iota('B').cast('f32').reshape(['B', 1]))),
  neg: unary((x) => x.neg()),
  exp: unary((x) => x.exp()),
  log: unary((x) => x.log(), positive(['B', 4])),
  sqrt: unary((x) => x.sqrt(), positive(['B', 4])),
  abs: unary((x) => x.abs()),
  sign: unary((x) => x.sign()),
  erf: unary((x) => x.erf()),
  tanh: unary((x) => x.tanh()),
  sigmoid: unary((x) => x.sigmoid()),
  softplus: unary((x) => x.softplus(), of(['B', 4], -9, 9)),
  relu: unary((x) => x.relu()),
  silu: unary((x) => x.silu(), of(['B', 4], -9, 9)),
  not: unary((x) => x.gt(0).not().where(x, x.mul(3))),
  add: binary((a, b) => a.add(b)),
  sub: binary((a, b) => a.sub(b)),
  mul: binary((a, b) => a.mul(b)),
  div: binary((a, b) => a.div(b), 0.3),
  pow: [...binary((a, b) => a.pow(b), 0.3), ...unary((x) => x.pow(3)), ...unary((x) => x.pow(constant([2, 1, 3, 0])))],
  max: binary((a, b) => a.max(b)),
  min: binary((a, b) => a.min(b)),
  mod: unary((x) => x.gather(iota('B').mod(scalar(2, 'i64')))),
  eq: unary((x) => iota(4).eq(scalar(2, 'i64')).where(x, 0)),
  lt: unary((x) => x.lt(0.5).where(x, 1)),
  le: unary((x) => x.le(0.5).where(2, x.mul(x))),
  and: unary((x) => x.gt(-1).and(x.lt(1)).where(x, 0)),
  or: unary((x) => x.lt(-1).or(x.gt(1)).where(x, 0)),
  where: binary((a, b) => a.gt(b).where(a.mul(2), b.mul(5))),
  cast: unary((x) => x.cast('i64').cast('f32').mul(x)),
  reduceSum: [[], [0], [-1], [0, 2], [0, 1, 2]].flatMap((axes) =>
    [false, true].map((keep) => ({ of: [of(['T', 'B', 4])], f: (x: Tensor) => x.sum(axes, keep) })),
  ),
  reduceMax: [[0], [-1], [0, 2], [0, 1, 2]].flatMap((axes) =>
    [false, true].map((keep) => ({ of: [of(['T', 'B', 4])], f: (x: Tensor) => x.amax(axes, keep) })),
  ),
  argmax: unary((x) => x.takeAlong(x.argmax(true))),
  argsort: unary((x) => x.takeAlong(x.argsort(true))),
  softmax: unary((x) => x.softmax(), of(['T', 'B', 4])),
  matmul: matmuls,
  matmulQuantized: byQuantized((x, format, transposed) => x.matmulQuantized(quantizedWeight(format, transposed))),
  matmulGrouped: grouped,
  matmulGroupedQuantized: byQuantized((x, format, transposed) =>
    x.matmulGroupedQuantized(
      groupSizes(),
      [1, 2, 3].map((seed) => quantizedWeight(format, transposed, seed)),
    ),
  ),
  matmulOfGroup: [0, 2].map((group) => ({
    of: [of(['B', 4]), of(['B', 2])],
    f: (a: Tensor, b: Tensor) => a.matmulOfGroup(b, groupSizes(), group),
  })),
  roundRows: unary(
    (x) =>
      x
        .roundRows(constant([1, 1, 1]), 's8')
        .cast('f32')
        .mul(x),
    of([3, 4], 1.6, 2.4),
  ),
  roundShares: unary((x) => x.roundShares().cast('f32').mul(x), of([3, 4], 1.6, 2.4)),
  columnsFrom: unary(
    (x) =>
      x
        .roundShares()
        .columnsFrom(i64([1]), 2)
        .cast('f32')
        .mul(x.slice(1, 1, 3)),
    of([3, 4], 1.6, 2.4),
  ),
  matmulCodes: unary(
    (x) => {
      const codes = x.roundShares()
      return codes.matmulCodes(codes.transpose([1, 0]), constant([1, 2, 3]), { zero: 128, unit: 0.01 }).mul(x.sum())
    },
    of([3, 4], 1.6, 2.4),
  ),
  reshape: unary((x) => x.reshape(['T', 2, '2*B']), of(['B', 'T', 4])),
  transpose: unary((x) => x.transpose([2, 0, 1]), of(['B', 'T', 4])),
  broadcastTo: unary((x) => x.broadcastTo(['T', 'B', 4]), of(['B', 1])),
  concat: [0, 1].map((axis) => ({
    of: axis ? [of(['B', 4]), of(['B', 'T'])] : [of(['B', 4]), of(['T', 4])],
    f: (a: Tensor, b: Tensor) => concat([a, b, a.mul(2)], axis),
  })),
  slice: [...unary((x) => x.slice(-1, 1, 3)), ...unary((x) => x.slice(0, 'T', 'B'))],
  pad: [...unary((x) => x.pad(0, 0, 2)), ...unary((x) => x.pad(1, 'T', 1))],
  gather: unary((x) => x.gather(i64([2, 0, 2, 1], [2, 2])), of(['B', 4, 2])),
  scatterAdd: [
    ...unary((x) => x.scatterAdd(i64([2, 0, 2]), 'K'), of([3, 4])),
    ...unary((x) => simplify([x.slice(0, 1, 4).add(x.slice(0, 0, 3).scatterAdd(i64([2, 0, 2]), 3))])[0], of([4, 4])),
  ],
  deltaScan: scans,
  takeAlong: unary(
    (x) =>
      x.takeAlong(
        i64(
          [3, 3, 0, 1, 2, 2],
          ['B', 'T'].map((d) => evalDim(d, sizes)),
        ),
      ),
    of([3, 4]),
  ),
  putAlong: unary((x) => x.putAlong(i64([3, 3, 0, 1, 2, 2], [3, 2]), 'K'), of([3, 2])),
  rmsNorm: [{ of: norm, f: (x, w) => x.rmsNorm(w, 0.1) }],
  rmsInverse: [{ of: norm, f: (x, w) => x.rmsInverse(w, 0.1).mul(w) }],
  rope: ropes,
  // What stands still to the differences too: two values whose sum does not move with x.
  stopGradient: unary((x) => x.mul(2).add(x.gt(0).where(1, 2).stopGradient())),
  customGrad: unary((x) => x.exp().withGrad([x], (dy) => [dy.mul(x.exp())])),
}

const random = (shape: readonly number[], { low, high }: Of, stream: number): Feed => {
  const draw = rng(7, stream)
  const size = shape.reduce((a, b) => a * b, 1)
  return { shape, data: Array.from({ length: size }, (_, i) => low + (high - low) * draw.uniform(i)) }
}

/** Inputs that only give the named sizes their values. */
const sized = [...sizes.keys()].map((name) => input(`size ${name}`, [name]))
const sizeFeeds = () => [...sizes].map(([name, size]) => [`size ${name}`, random([size], of([]), 98)] as const)

const valuesOf = (t: Tensor, feeds: Record<string, Feed>) => evaluate([t, ...sized], feeds)[0]

const differences = (loss: Tensor, feeds: Record<string, Feed>, name: string, step = 1e-5): number[] => {
  const { shape, data } = feeds[name]
  const at = (i: number, h: number) => {
    const moved = Array.from(data)
    moved[i] += h
    return valuesOf(loss, { ...feeds, [name]: { shape, data: moved } }).data[0]
  }
  return Array.from(data, (_, i) => (at(i, step) - at(i, -step)) / (2 * step))
}

const actualShape = (shape: Shape) => shape.map((dim) => evalDim(dim, sizes))

/** Differentiates a sum of the outputs in which each has another weight, so that no error can cancel. */
const check = ({ of: operands, f }: Case): Tensor => {
  const xs = operands.map(({ shape }, i) => input(`x${i}`, shape))
  const y = f(...xs)
  const loss = y.mul(input('weights', y.shape)).sum()
  const feeds: Record<string, Feed> = Object.fromEntries([
    ...sizeFeeds(),
    ...operands.map((operand, i) => [`x${i}`, random(actualShape(operand.shape), operand, i)] as const),
    ['weights', random(actualShape(y.shape), of([], 0.5, 1.5), 99)] as const,
  ])
  const gradients = grad(loss, xs).map((dx, i) => {
    expect(dx.shape).toEqual(operands[i].shape)
    const actual = valuesOf(dx, feeds).data
    const expected = differences(loss, feeds, `x${i}`)
    for (const [j, d] of expected.entries()) expect(Math.abs(actual[j] - d) / (1 + Math.abs(d))).toBeLessThan(2e-8)
    return [...actual]
  })
  expect(gradients.flat().some((d) => d !== 0)).toBe(!flat.has(y.op))
  return y
}

/** Outputs of these do not move with their operands. */
const flat: ReadonlySet<Primitive> = new Set(['sign'])

describe('the gradient of', () => {
  it.each(Object.entries(cases))('%s', (op, programs) => {
    expect(programs.length).toBeGreaterThan(0)
    for (const program of programs) expect(topological([check(program)]).map((t) => t.op)).toContain(op)
  })

  it.each<[string, Case]>([
    ['mean', { of: [of(['T', 'B', 4])], f: (x) => x.mean([0, 2]) }],
    ['mean over known sizes', { of: [of(['T', 'B', 4])], f: (x) => x.mean(-1, true) }],
    ['square', { of: [of(['B'])], f: (x) => x.square() }],
    ['logsumexp', { of: [of(['B', 'K'], -9, 9)], f: (x) => x.logsumexp() }],
    ['logSoftmax', { of: [of(['B', 'K'], -9, 9)], f: (x) => x.logSoftmax() }],
    ['logSigmoid', { of: [of(['B'], -9, 9)], f: (x) => x.logSigmoid() }],
    ['stack', { of: [of(['B', 'T']), of(['B', 'T'])], f: (a, b) => stack([a, b, a]) }],
    ['a sum along two paths', { of: [of(['B', 4])], f: (x) => x.mul(x.exp()).add(x.softmax()) }],
    [
      'one layer of attention',
      { of: [of(['B', 4]), of([4, 4])], f: (x, w) => x.matmul(w).matmul(x, { transB: true }).softmax().matmul(x) },
    ],
    ['a gradient', { of: [of(['B', 4])], f: (x) => grad(x.logsumexp().square().sum(), [x])[0] }],
    ['a gradient of a norm', { of: norm, f: (x, w) => grad(x.rmsNorm(w, 0.1).exp().sum(), [x])[0] }],
    [
      'a gradient of gathers',
      {
        of: [of(['B', 4])],
        f: (x) =>
          grad(
            x
              .gather(i64([1, 1, 0]))
              .exp()
              .sum(),
            [x],
          )[0],
      },
    ],
  ])('%s', (_, program) => void check(program))
})

describe('grad', () => {
  const x = input('x', ['B'])
  const feeds = { x: { shape: [3], data: [1, -2, 3] } }
  const values = (t: Tensor) => [...evaluate([t, x], feeds)[0].data]

  it('stops at stopGradient', () => {
    const [dx] = grad(x.mul(x.stopGradient()).sum(), [x])
    expect(values(dx)).toEqual([1, -2, 3])
  })

  it('follows the rule of withGrad and nothing else', () => {
    const y = x.mul(5).withGrad([x], (dy) => [dy.mul(7)])
    expect(values(y)).toEqual([5, -10, 15])
    expect(values(grad(y.sum(), [x])[0])).toEqual([7, 7, 7])
  })

  it('gives the gradient of equal operands of max and min to one of them', () => {
    for (const y of [x.max(x.mul(1)), x.min(x.mul(1)), x.max(x), x.min(x)])
      expect(values(grad(y.sum(), [x])[0])).toEqual([1, 1, 1])
  })

  it('is zero where the output does not depend on an input', () => {
    const other = input('other', ['B', 2])
    const [dx, dOther] = grad(x.sum(), [x, other])
    expect(values(dx)).toEqual([1, 1, 1])
    expect(dOther.shape).toEqual(['B', 2])
    expect(values(dOther)).toEqual([0, 0, 0, 0, 0, 0])
  })

  it('reaches results in the middle of a program', () => {
    const middle = x.mul(2)
    expect(values(grad(middle.square().sum(), [middle])[0])).toEqual([4, -8, 12])
  })

  it('pulls several outputs back together', () => {
    const [dx] = vjp([x.square(), x], [x, scalar(10).broadcastTo(['B'])], [x])
    expect(values(dx)).toEqual([12, 18, 28])
  })

  it('refuses a loss that is no scalar', () => {
    expect(() => grad(x, [x])).toThrow('grad needs a scalar, got [B]')
  })

  it('refuses rules that give another shape or number of gradients', () => {
    expect(() => grad(x.withGrad([x], (dy) => [dy.sum()]).sum(), [x])).toThrow('gradient [] of input [B]')
    expect(() => grad(x.withGrad([x], () => []).sum(), [x])).toThrow('customGrad has 2 inputs and 1 gradients')
  })

  it('differentiates programs of any depth', () => {
    let y = x
    for (let i = 0; i < 20_000; i++) y = y.add(1)
    expect(topological(grad(y.square().sum(), [x])).length).toBeGreaterThan(20_000)
  })
})
