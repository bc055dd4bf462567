/** Divergences between distributions against numbers computed by hand and finite differences. */
import { describe, expect, it } from 'vitest'
import { evaluate } from '../runtime/interpreter.ts'
import { grad } from '../tensor/grad.ts'
import { constant, type Tensor } from '../tensor/tensor.ts'
import { rng } from '../util/rng.ts'
import { type Divergences, divergences, eventLogits, restLogp } from './distillation.ts'

const values = (t: Tensor) => [...evaluate([t], {})[0].data]
const matrix = (rows: readonly (readonly number[])[]) => constant(rows.flat(), [rows.length, rows[0].length])
const logs = (rows: number[][]) => matrix(rows.map((row) => row.map(Math.log)))

// KL(P || Q) = .0969535246 is the notebook's own example
const [P, Q] = [
  [0.36, 0.48, 0.16],
  [1 / 3, 1 / 3, 1 / 3],
]
const kl = (p: readonly number[], q: readonly number[]) => p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]), 0)

const of = (student: number[], teacher: number[], beta: number) => {
  const all = divergences(logs([student]), logs([teacher]), beta)
  return Object.fromEntries(Object.entries(all).map(([name, t]) => [name, values(t)[0]])) as Record<
    keyof Divergences,
    number
  >
}

describe('divergences', () => {
  it('are the forward KL at beta 0 and the reverse KL at beta 1', () => {
    expect(of(Q, P, 0).divergence).toBeCloseTo(kl(P, Q), 12)
    expect(of(Q, P, 1).divergence).toBeCloseTo(kl(Q, P), 12)
    expect(of(Q, P, 0.3)).toMatchObject({ forwardKl: of(Q, P, 0).divergence, reverseKl: of(Q, P, 1).divergence })
  })
  it.each([0.1, 0.5, 0.9])('are the divergence from the mixture in between (beta %s)', (beta) => {
    const m = P.map((q, i) => beta * q + (1 - beta) * Q[i])
    expect(of(Q, P, beta).divergence).toBeCloseTo(beta * kl(P, m) + (1 - beta) * kl(Q, m), 12)
  })
  it('near the limits are the KLs times beta and 1 - beta', () => {
    expect(of(Q, P, 1e-5).divergence / 1e-5).toBeCloseTo(kl(P, Q), 4)
    expect(of(Q, P, 1 - 1e-5).divergence / 1e-5).toBeCloseTo(kl(Q, P), 4)
  })
  it('tell whether both have the same likeliest token', () => {
    expect(of([0.2, 0.5, 0.3], P, 0.5).agreement).toBe(1)
    expect(of([0.5, 0.2, 0.3], P, 0.5).agreement).toBe(0)
  })
  it('are finite where one distribution has no mass', () => {
    const far = divergences(constant([0, -800, 0, 800], [2, 2]), constant([-800, 0, 800, 0], [2, 2]), 0.5)
    for (const value of values(far.divergence)) expect(value).toBeCloseTo(Math.log(2), 12)
  })
})

const random = rng(5, 1)
const numbers = (rows: number, width: number, at: number) =>
  Array.from({ length: rows }, (_, r) => Array.from({ length: width }, (_, v) => 3 * random.normal(at + r * width + v)))

/** The slope of the sum of `value` by each number, by central differences. */
const expectGradient = (x: number[][], value: (x: Tensor) => Tensor) => {
  const input = matrix(x)
  const slopes = values(grad(value(input).sum(), [input])[0])
  const step = 1e-5
  x.flat().forEach((_, at) => {
    const moved = (by: number) =>
      values(value(matrix(x.map((row, r) => row.map((v, c) => (r * row.length + c === at ? v + by : v))))).sum())[0]
    expect(slopes[at]).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 6)
  })
}

describe('the gradient by the logits', () => {
  const [student, teacher] = [numbers(3, 7, 0), numbers(3, 7, 100)]
  it.each([0, 0.2, 0.5, 0.8, 1])('equals finite differences (beta %s)', (beta) => {
    expectGradient(student, (x) => divergences(x, matrix(teacher), beta).divergence)
  })
  const ids = constant([0, 6, 3, 2, 1, 5], [3, 2], 'i64')
  it.each([0, 0.5, 1])('equals finite differences over the tokens that a server names (beta %s)', (beta) => {
    const named = numbers(3, 3, 200)
    expectGradient(student, (x) => divergences(eventLogits(x, ids), matrix(named), beta).divergence)
  })
})

describe('events of named tokens and the rest', () => {
  it('have the probabilities of the tokens, and that of all others', () => {
    const logits = [[1, 2, 0.5, -1, 3]]
    const p = values(matrix(logits).softmax())
    const events = values(eventLogits(matrix(logits), constant([4, 1], [1, 2], 'i64')).softmax())
    expect(events[0]).toBeCloseTo(p[4], 12)
    expect(events[1]).toBeCloseTo(p[1], 12)
    expect(events[2]).toBeCloseTo(p[0] + p[2] + p[3], 12)
  })
  it('never differ more than the whole distributions', () => {
    const [student, teacher] = [numbers(4, 9, 300), numbers(4, 9, 400)]
    const ids = constant([0, 1, 2, 3, 4, 5, 6, 7], [4, 2], 'i64')
    for (const beta of [0, 0.5, 1]) {
      const whole = values(divergences(matrix(student), matrix(teacher), beta).divergence)
      const events = [student, teacher].map((x) => eventLogits(matrix(x), ids))
      const few = values(divergences(events[0], events[1], beta).divergence)
      few.forEach((value, r) => {
        expect(value).toBeLessThanOrEqual(whole[r])
      })
    }
  })
  it('keep a rest where rounding leaves none', () => {
    expect(restLogp([Math.log(0.5), Math.log(0.25)])).toBeCloseTo(Math.log(0.25), 12)
    expect(restLogp([Math.log(0.5), Math.log(0.5) + 1e-7])).toBe(Math.log(1e-6))
  })
})
