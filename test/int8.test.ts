/** Products in 8-bit whole numbers on the engine, beside the interpreter and the exact product. */
import { afterAll, describe, expect, it } from 'vitest'
import { int8Codes, int8Product } from '../src/nn/int8.ts'
import { compileProgram } from '../src/onnx/model.ts'
import type { Handle } from '../src/runtime/backend.ts'
import { codeType } from '../src/runtime/codeType.ts'
import { evaluate } from '../src/runtime/interpreter.ts'
import { openBackend } from '../src/runtime/open.node.ts'
import { vjp } from '../src/tensor/grad.ts'
import type { CodeType } from '../src/tensor/primitives.ts'
import { input } from '../src/tensor/tensor.ts'
import { fillNormal } from '../src/util/rng.ts'

const normal = (size: number, stream: number) => {
  const values = new Float32Array(size)
  fillNormal(values, { seed: 1, stream, substream: 0 }, 1)
  return values
}

describe('products in 8-bit whole numbers', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())
  const dtype = await codeType(backend)

  const put = (values: ArrayLike<number>, shape: readonly number[], type: CodeType | 'f32' = 'f32'): Handle =>
    backend.put(
      type === 'f32' ? Float32Array.from(values) : type === 'u8' ? Uint8Array.from(values) : Int8Array.from(values),
      shape,
      type,
    )

  /** Codes of a random weight [out, inner], and the weight that they stand for. */
  const coded = async (out: number, inner: number, seed = 3) => {
    const W = normal(out * inner, seed)
    const made = int8Codes(input('W', [out, inner]), dtype)
    const handles = backend.run(backend.load(compileProgram('codes', made)), { W: put(W, [out, inner]) })
    const [codes, scales] = [await backend.read(handles.codes), await backend.read(handles.scales)]
    const zero = dtype === 'u8' ? 128 : 0
    const values = Float64Array.from(
      { length: out * inner },
      (_, i) => (codes[(i % inner) * out + Math.floor(i / inner)] - zero) * scales[Math.floor(i / inner)],
    )
    return { W, handles, codes, scales, values }
  }

  const product = (out: number, inner: number, terms: 1 | 2) =>
    compileProgram('product', {
      y: input('x', ['M', inner]).matmulInt8(input('codes', [inner, out], dtype), input('scales', [out]), terms),
    })

  it.each([
    [48, 64, 1],
    [48, 64, 2],
    [5, 172, 2],
    [7, 33, 1],
    [7, 33, 2],
  ] as const)('equal those of the interpreter: [%i, %i] in %i terms', async (out, inner, terms) => {
    const { handles, codes, scales } = await coded(out, inner)
    const x = normal(6 * inner, 9)
    const y = input('x', ['M', inner]).matmulInt8(input('codes', [inner, out], dtype), input('scales', [out]), terms)
    const [expected] = evaluate([y], {
      x: { shape: [6, inner], data: x },
      codes: { shape: [inner, out], data: codes },
      scales: { shape: [out], data: scales },
    })
    const program = backend.load(product(out, inner, terms))
    const made = await backend.read(backend.run(program, { ...handles, x: put(x, [6, inner]) }).y)
    for (const [i, value] of made.entries())
      expect(Math.abs(value - expected.data[i])).toBeLessThan(2e-4 * inner ** 0.5)
  })

  it('lose nothing in two terms, and a hundredth in one', async () => {
    const [out, inner, rows] = [64, 256, 16]
    const { handles, values } = await coded(out, inner)
    const x = normal(rows * inner, 9)
    const exact = Array.from({ length: rows * out }, (_, i) => {
      let sum = 0
      for (let k = 0; k < inner; k++) sum += x[Math.floor(i / out) * inner + k] * values[(i % out) * inner + k]
      return sum
    })
    const size = Math.sqrt(exact.reduce((sum, y) => sum + y * y, 0))
    const errorOf = async (terms: 1 | 2) => {
      const program = backend.load(product(out, inner, terms))
      const made = await backend.read(backend.run(program, { ...handles, x: put(x, [rows, inner]) }).y)
      return Math.sqrt(made.reduce((sum, y, i) => sum + (y - exact[i]) ** 2, 0)) / size
    }
    expect(await errorOf(2)).toBeLessThan(5e-5)
    expect(await errorOf(1)).toBeLessThan(0.012)
    expect(await errorOf(1)).toBeGreaterThan(0.003)
  })

  it('give a row the same bits whatever else is in the batch, on one thread and on two', async () => {
    const [out, inner, rows] = [96, 576, 40]
    const { handles, codes, scales } = await coded(out, inner)
    const x = normal(rows * inner, 9)
    const two = await openBackend({ inProcess: true, threads: 2 })
    for (const terms of [1, 2] as const) {
      const program = product(out, inner, terms)
      const run = async (from: number, to: number) => {
        const part = put(x.slice(from * inner, to * inner), [to - from, inner])
        return backend.read(backend.run(backend.load(program), { ...handles, x: part }).y)
      }
      const whole = await run(0, rows)
      expect(await run(7, 8)).toEqual(whole.slice(7 * out, 8 * out))
      expect(await run(30, 40)).toEqual(whole.slice(30 * out))
      const bytes = dtype === 'u8' ? Uint8Array.from(codes) : Int8Array.from(codes)
      const other = two.run(two.load(program), {
        x: two.put(x.slice(), [rows, inner]),
        codes: two.put(bytes, [inner, out], dtype),
        scales: two.put(scales.slice(), [out]),
      })
      expect(await two.read(other.y)).toEqual(whole)
    }
    await two.close()
  })

  it('give zeros for a row of zeros, tiny numbers for tiny ones, and NaN for a row that holds one', async () => {
    const [out, inner] = [8, 40]
    const { handles, values } = await coded(out, inner)
    const x = new Float32Array(4 * inner)
    x.fill(1e-20, inner, 2 * inner)
    x.fill(1, 2 * inner, 4 * inner)
    x[2 * inner + 17] = Number.NaN
    x[3 * inner + 5] = Number.POSITIVE_INFINITY
    for (const terms of [1, 2] as const) {
      const y = await backend.read(
        backend.run(backend.load(product(out, inner, terms)), { ...handles, x: put(x, [4, inner]) }).y,
      )
      expect(y.slice(0, out).every((value) => value === 0)).toBe(true)
      const tiny = values.slice(0, inner).reduce((a, b) => a + b) * 1e-20
      expect(y[out] / tiny).toBeCloseTo(1, 4)
      expect(y.slice(2 * out).some(Number.isFinite)).toBe(false)
    }
  })

  it('have codes of at most half a step from the weight, and zeros for a channel of zeros', async () => {
    const { W, values, scales } = await coded(6, 50)
    for (const [i, value] of values.entries())
      expect(Math.abs(value - W[i])).toBeLessThanOrEqual(0.5001 * scales[Math.floor(i / 50)])
    const made = int8Codes(input('W', [2, 50]), dtype)
    const zeros = backend.run(backend.load(compileProgram('codes', made)), { W: put(new Float32Array(100), [2, 50]) })
    const zero = dtype === 'u8' ? 128 : 0
    expect((await backend.read(zeros.codes)).every((code) => code === zero)).toBe(true)
  })

  it.each([true, false])('have the gradient of the product without rounding, with stored codes: %s', async (stored) => {
    const [out, inner, rows] = [24, 96, 12]
    const { handles, values } = await coded(out, inner)
    const [x, dy] = [normal(rows * inner, 5), normal(rows * out, 6)]
    const X = input('x', ['M', inner])
    const W = input('W', [out, inner])
    const weight = {
      codes: input('codes', [inner, out], dtype),
      scales: input('scales', [out]),
      ...(stored && { back: input('back', [out, inner], dtype) }),
      terms: 2 as const,
    }
    const y = int8Product(X, weight, W, true)
    const [dx, dW] = vjp([y], [input('dy', y.shape)], [X, W])
    const feeds = { ...handles, x: put(x, [rows, inner]), dy: put(dy, [rows, out]), W: put(values, [out, inner]) }
    const made = backend.run(backend.load(compileProgram('gradient', { dx, dW })), feeds)
    const plain = X.matmul(W, { transB: true })
    const [exactX, exactW] = evaluate(vjp([plain], [input('dy', plain.shape)], [X, W]), {
      x: { shape: [rows, inner], data: x },
      dy: { shape: [rows, out], data: dy },
      W: { shape: [out, inner], data: values },
    })
    const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) => {
      const dot = (p: ArrayLike<number>, q: ArrayLike<number>) => Array.from(p).reduce((sum, v, i) => sum + v * q[i], 0)
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
    }
    expect(cosine(await backend.read(made.dx), exactX.data)).toBeGreaterThan(0.9998)
    for (const [i, value] of (await backend.read(made.dW)).entries()) expect(value).toBeCloseTo(exactW.data[i], 4)
  })
})
