/** A program partitioned into forward and backward, run by the interpreter, against the whole program. */
import { describe, expect, it } from 'vitest'
import { evaluate, type Feed } from '../runtime/interpreter.ts'
import { rng } from '../util/rng.ts'
import { vjp } from './grad.ts'
import { topological } from './graph.ts'
import { partition, saveCostly, saveNothing } from './partition.ts'
import { simplify } from './simplify.ts'
import { input, type Tensor } from './tensor.ts'

/** Wide enough for a product to be costly. */
const C = 96

/** Attention and a gated layer over gathered rows: what a block is made of. */
const block = () => {
  const x = input('x', ['N', C])
  const weights = ['g', 'q', 'k', 'v', 'o'].map((name) => input(name, name === 'g' ? [C] : [C, C]))
  const [g, q, k, v, o] = weights
  const rows = x.rmsNorm(g, 1e-5).gather(input('index', ['M'], 'i64'))
  const scores = rows.matmul(q).matmul(rows.matmul(k), { transB: true })
  const mixed = scores.softmax().matmul(rows.matmul(v))
  const y = mixed.mul(mixed.sigmoid()).matmul(o)
  return { y, dy: input('dy', y.shape), of: [x, ...weights] }
}

const random = (shape: number[], stream: number): Feed => {
  const { normal } = rng(7, stream)
  return { shape, data: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => normal(i)) }
}
const feeds: Record<string, Feed> = {
  x: random([3, C], 0),
  ...Object.fromEntries(['q', 'k', 'v', 'o'].map((name, i) => [name, random([C, C], i + 1)])),
  g: random([C], 9),
  index: { shape: [5], data: [2, 0, 1, 1, 2] },
  dy: random([5, C], 10),
}

const namesOf = (outputs: readonly Tensor[]) =>
  topological(outputs).flatMap((t) => (t.op === 'input' ? [(t as Tensor<'input'>).params.name] : []))

describe.each([
  ['costly results saved', saveCostly],
  ['nothing saved', saveNothing],
])('%s', (_, save) => {
  const { y, dy, of } = block()
  const [traced, ...whole] = simplify([y, ...vjp([y], [dy], of)])
  const { kept, gradients } = partition(whole, [dy], save)
  const before = Object.fromEntries(Object.entries(feeds).filter(([name]) => name !== 'dy'))

  it('gives the gradients of the whole program', () => {
    // The forward session runs without dy
    const stored = kept.length ? evaluate([traced, ...kept], before).slice(1) : []
    const given = { ...feeds, ...Object.fromEntries(stored.map((value, i) => [`kept${i}`, value])) }
    const [expected, actual] = [evaluate(whole, feeds), evaluate(gradients, given)]
    expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape))
    for (const [i, { data }] of actual.entries()) expect([...data]).toEqual([...expected[i].data])
  })

  it('saves only what the policy names, and reads all that it saves', () => {
    expect(kept.every(save)).toBe(true)
    expect(new Set(kept).size).toBe(kept.length)
    const names = namesOf(gradients)
    expect(names.filter((name) => name.startsWith('kept')).sort()).toEqual(kept.map((__, i) => `kept${i}`).sort())
    expect(names).toContain('dy')
  })

  it('names saved results the same for equal layers', () => {
    const again = block()
    const other = partition(vjp([again.y], [again.dy], again.of), [again.dy], save)
    const shape = (outputs: readonly Tensor[]) => topological(outputs).map(({ op }) => op)
    expect(namesOf(other.gradients)).toEqual(namesOf(partition(vjp([y], [dy], of), [dy], save).gradients))
    expect(shape(other.gradients)).toEqual(shape(partition(vjp([y], [dy], of), [dy], save).gradients))
  })
})

it('recomputes no costly result of the forward pass where those are saved', () => {
  const { y, dy, of } = block()
  const { kept, gradients } = partition(simplify(vjp([y], [dy], of)), [dy], saveCostly)
  expect(kept.length).toBeGreaterThan(3)
  const backward = new Set([dy as Tensor])
  for (const t of topological(gradients)) if (t.inputs.some((x) => backward.has(x))) backward.add(t)
  const again = topological(gradients).filter((t) => saveCostly(t) && !backward.has(t))
  expect(again).toEqual([])
})

it('leaves gradients alone that need no forward result', () => {
  const x = input('x', ['N'])
  const dy = input('dy', ['N'])
  const { kept, gradients } = partition(vjp([x.mul(3)], [dy], [x]), [dy], saveCostly)
  expect(kept).toEqual([])
  expect([...evaluate(gradients, { dy: { shape: [2], data: [1, 2] } })[0].data]).toEqual([3, 6])
})
