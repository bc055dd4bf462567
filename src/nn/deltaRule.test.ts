/** The delta rule in chunks compared with the recurrence, token by token. */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { compileProgram } from '../onnx/model.ts'
import { evaluate, type Feed } from '../runtime/interpreter.ts'
import { openBackend } from '../runtime/open.node.ts'
import { grad } from '../tensor/grad.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { rng } from '../util/rng.ts'
import { chunkNames, chunkPlaces, type DeltaTokens, deltaChunk, deltaRagged, textsOf } from './deltaRule.ts'

const sizes = { keyHeads: 1, valueHeads: 2, keyDim: 3, valueDim: 2 }
const widths = { q: 3, k: 3, v: 4, g: 2, beta: 2 }
type Name = keyof typeof widths
const names = Object.keys(widths) as Name[]

/** Random tokens, g below 0 and beta from 0 to 1. */
const drawTokens = (N: number): Record<Name, Feed> => {
  const draw = (name: Name, i: number) => {
    const value = rng(1, names.indexOf(name)).normal(i)
    return name === 'g' ? -Math.abs(value) : name === 'beta' ? 1 / (1 + Math.exp(-value)) : value / 2
  }
  const feed = (name: Name): Feed => ({
    shape: [N, widths[name]],
    data: Array.from({ length: N * widths[name] }, (_, i) => draw(name, i)),
  })
  return { q: feed('q'), k: feed('k'), v: feed('v'), g: feed('g'), beta: feed('beta') }
}

/** What the first lines of deltaRule.ts say; of each text its own o. */
const recurrence = ({ q, k, v, g, beta }: Record<Name, Feed>, texts: readonly (readonly number[])[]) => {
  const { valueHeads, keyDim, valueDim } = sizes
  const o = new Float64Array(v.data.length)
  for (const text of texts)
    for (let head = 0; head < valueHeads; head++) {
      const S = Array.from({ length: keyDim }, () => new Float64Array(valueDim))
      for (const n of text) {
        const gate = n * valueHeads + head
        for (const row of S) for (let j = 0; j < valueDim; j++) row[j] *= Math.exp(g.data[gate])
        for (let j = 0; j < valueDim; j++) {
          const at = gate * valueDim + j
          const held = S.reduce((sum, row, i) => sum + k.data[n * keyDim + i] * row[j], 0)
          const change = beta.data[gate] * (v.data[at] - held)
          for (const [i, row] of S.entries()) row[j] += k.data[n * keyDim + i] * change
          o[at] = S.reduce((sum, row, i) => sum + q.data[n * keyDim + i] * row[j], 0)
        }
      }
    }
  return o
}

const traced = () => {
  const xs = Object.fromEntries(names.map((name) => [name, input(name, ['N', widths[name]])])) as DeltaTokens
  return { xs, o: deltaRagged(xs, sizes) }
}

const chunkFeeds = (texts: readonly (readonly number[])[], longest: number): Record<string, Feed> => {
  const { tokens, shape, places } = chunkPlaces(texts, longest)
  const numbers = (values: BigInt64Array) => Array.from(values, Number)
  return {
    [chunkNames.tokens]: { shape, data: numbers(tokens) },
    [chunkNames.places]: { shape: [places.length], data: numbers(places) },
  }
}

describe('texts that share a prompt, in chunks', () => {
  // Two responses to a prompt of 5 tokens, and a text of 7, in two rows of the grid
  const texts = textsOf({
    T: 12,
    positions: [0, 1, 2, 3, 4, 5, 6, 7, 5, 6, 0, 1, 2, 3, 4, 5, 6],
    places: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18],
    groups: [...Array(10).fill(0), ...Array(7).fill(1)],
    segments: [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0],
  })
  const tokens = drawTokens(17)
  const weights: Feed = { shape: [17, 4], data: Array.from({ length: 68 }, (_, i) => Math.cos(i)) }
  const run = (longest: number) => {
    const { xs, o } = traced()
    const loss = o.mul(input('weights', ['N', 4])).sum()
    const outputs: Tensor[] = [o, ...grad(loss, Object.values(xs))]
    return evaluate(outputs, { ...tokens, weights, ...chunkFeeds(texts, longest) }).map(({ data }) => data)
  }
  const [, ...alone] = run(1)

  it('are each response behind its prompt', () => {
    expect(texts).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [0, 1, 2, 3, 4, 8, 9],
      [10, 11, 12, 13, 14, 15, 16],
    ])
  })

  it.each([1, 3, 4, 8])('of %i tokens give what the recurrence gives, and one gradient', (longest) => {
    const [o, ...gradients] = run(longest)
    expect(largestDifference(o, recurrence(tokens, texts))).toBeLessThan(1e-12)
    for (const [i, gradient] of gradients.entries()) expect(largestDifference(gradient, alone[i])).toBeLessThan(1e-12)
  })
})

describe('in the engine', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())

  it('keys that are all alike lose no digits', async () => {
    const N = 150
    const text = Array.from({ length: N }, (_, n) => n)
    const tokens = drawTokens(N)
    const unit = { ...tokens, k: { shape: [N, 3], data: text.flatMap(() => [0.6, 0, 0.8]) } }
    const hard = { ...unit, g: { shape: [N, 2], data: Array(2 * N).fill(-1e-3) } }
    const program = backend.load(compileProgram('delta', { o: traced().o }))
    const feeds = Object.entries(hard).map(([name, { data, shape }]) => [
      name,
      backend.put(Float32Array.from(data), [...shape]),
    ])
    const { tokens: index, shape, places } = chunkPlaces([text], deltaChunk)
    const { o } = backend.run(program, {
      ...Object.fromEntries(feeds),
      [chunkNames.tokens]: backend.put(index, shape),
      [chunkNames.places]: backend.put(places, [N]),
    })
    expect(largestDifference(await backend.read(o), recurrence(hard, [text]))).toBeLessThan(1e-5)
  })
})
