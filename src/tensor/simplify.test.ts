import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluate } from '../runtime/interpreter.ts'
import { grad } from './grad.ts'
import { print, topological } from './graph.ts'
import { simplify } from './simplify.ts'
import { concat, constant, input, scalar, stack, type Tensor, zeros } from './tensor.ts'

const x = input('x', ['B', 4])
const y = input('y', [4])
const s = input('s', [])
const cube = input('cube', [2, 3, 4])
const feeds = {
  x: { shape: [3, 4], data: [0.5, -1.5, 2, 0.25, 1, -0.75, -2, 3, 0.1, 1.25, -0.3, 0.7] },
  y: { shape: [4], data: [1.5, -0.5, 0.2, -2] },
  s: { shape: [], data: [0.6] },
  cube: { shape: [2, 3, 4], data: Array.from({ length: 24 }, (_, i) => (i - 9.5) / 7) },
}

/** Steps of a random program: a and b are any values made so far. What does not fit in shape is skipped. */
const steps: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a, b) => a.add(b),
  (a, b) => a.sub(b),
  (a, b) => a.mul(b),
  (a, b) => a.div(b.abs().add(1)),
  (a, b) => a.max(b),
  (a, b) => a.gt(0).where(b, a),
  (a, b) => a.matmul(b),
  (a, b) => a.matmul(b, { transB: true }),
  (a, b) => a.transpose([1, 0]).matmul(b),
  (a, b) => a.matmul(b.transpose([1, 0])),
  (a, b) => a.broadcastTo(b.shape),
  (a, b) => a.reshape(b.shape),
  (a, b) => concat([a, b], 0),
  (a, b) => stack([a, b]),
  (a, b) => a.withGrad([b], (dy) => [dy.sum().broadcastTo(b.shape)]),
  (a) => a.neg(),
  (a) => a.add(0),
  (a) => a.mul(1),
  (a) => a.div(1),
  (a) => a.sub(zeros(a.shape)),
  (a) => a.add(a.neg()),
  (a) => a.tanh(),
  (a) => a.stopGradient(),
  (a) => a.transpose([1, 0]),
  (a) => a.transpose([1, 2, 0]),
  (a) => a.transpose([2, 0, 1]),
  (a) => a.reshape([...a.shape, 1]),
  (a) => a.reshape([1, ...a.shape]),
  (a) => a.sum(0),
  (a) => a.mean(-1, true),
  (a) => a.softmax(),
]

const attempt = (make: () => Tensor): Tensor[] => {
  try {
    return [make()]
  } catch {
    return []
  }
}

const program = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 25 }).map((choices) => {
  const made: Tensor[] = [x, y, s, cube, scalar(1), scalar(0), scalar(-2.5), constant([Infinity, -Infinity, NaN, 0])]
  for (const [step, a, b] of choices)
    made.push(...attempt(() => steps[step % steps.length](made[a % made.length], made[b % made.length])))
  return made.slice(-3)
})

const same = (a: number, b: number) =>
  a === b || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) < 1e-9 * Math.abs(a)

describe('simplify', () => {
  it('keeps the values and shapes of random programs and their gradients, and never adds a node', () => {
    fc.assert(
      fc.property(program, (outputs) => {
        const before = [...outputs, ...grad(outputs[0].sum(), [x, y, s]), x]
        const after = simplify(before)
        expect(topological(after).length).toBeLessThanOrEqual(topological(before).length)
        expect(after.map((t) => t.shape)).toEqual(before.map((t) => t.shape))
        const [expected, actual] = [evaluate(before, feeds), evaluate(after, feeds)]
        for (const [i, { data }] of expected.entries())
          for (const [j, value] of data.entries())
            if (!same(value, actual[i].data[j])) expect.fail(`${actual[i].data[j]}, not ${value}:\n${print(before)}`)
      }),
      { numRuns: 400 },
    )
  })

  const z = input('z', ['B', 4])
  const square = input('square', ['B', 'B'])
  it.each<[string, Tensor, Tensor]>([
    [
      'equal nodes',
      x.exp().add(x.exp()),
      (() => {
        const e = x.exp()
        return e.add(e)
      })(),
    ],
    ['arithmetic of constants', x.mul(scalar(3).add(1).div(2).neg()), x.mul(-2)],
    ['adding nothing', x.add(0).add(zeros(['B', 4])), x],
    ['nothing added to', scalar(0).add(x), x],
    ['subtracting nothing', x.sub(0), x],
    ['multiplying by one', scalar(1).mul(x).mul(1).div(1), x],
    ['two signs', x.neg().neg(), x],
    ['a sum with a sign', x.add(z.neg()), x.sub(z)],
    ['stretching for an elementwise operation', x.mul(y.broadcastTo(['B', 4])), x.mul(y)],
    ['reshapes in a row', x.reshape(['B', 2, 2]).reshape(['4*B']).reshape(['B', 4]), x],
    [
      'transposes that undo each other',
      input('w', [2, 3, 4]).transpose([1, 2, 0]).transpose([2, 0, 1]),
      input('w', [2, 3, 4]),
    ],
    [
      'transposes before a product',
      x.transpose([1, 0]).matmul(square.transpose([1, 0])),
      x.matmul(square, { transA: true, transB: true }),
    ],
    ['marks of differentiation', x.stopGradient().withGrad([y], (dy) => [dy.sum(0)]), x],
  ])('removes: %s', (_, before, after) => {
    expect(print(simplify([before]))).toBe(print([after]))
  })

  it.each<[string, Tensor]>([
    ['a stretch that gives the result its shape', s.broadcastTo(['B', 4]).add(scalar(1).broadcastTo(['B', 4]))],
    ['a constant and an unknown scalar', scalar(2).sub(s)],
    ['zero as a factor, for NaN', x.mul(0)],
    ['constants that JSON confuses', constant([Infinity]).add(constant([-Infinity]))],
    ['zeros of both signs', scalar(0).exp().add(scalar(-0).exp())],
    [
      'a transpose of other axes',
      input('w', [2, 2, 2])
        .transpose([1, 0, 2])
        .matmul(input('v', [2, 2])),
    ],
  ])('leaves: %s', (_, t) => {
    expect(print(simplify([t]))).toBe(print([t]))
  })
})
