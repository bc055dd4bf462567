/** Quantized weights: their codes compared with bitsandbytes and ONNX Runtime, and products on the engine compared with the interpreter. */
import { afterAll, describe, expect, it } from 'vitest'
import { compileProgram } from '../src/onnx/model.ts'
import { evaluate } from '../src/runtime/interpreter.ts'
import { openBackend } from '../src/runtime/open.node.ts'
import {
  codeBooks,
  dequantize,
  isCodeBook,
  type QuantFormat,
  quantFormats,
  quantization,
  quantize,
  storedShapes,
} from '../src/tensor/quantization.ts'
import { input } from '../src/tensor/tensor.ts'
import { fillNormal } from '../src/util/rng.ts'
import { withoutAvx512 } from './support/processor.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const normal = (size: number, stream: number) => {
  const values = new Float32Array(size)
  fillNormal(values, { seed: 1, stream, substream: 0 }, 1)
  return values
}

const rounded = (format: QuantFormat, out: number, inner: number, values = normal(out * inner, 5)) => {
  const how = quantization(format, [out, inner])
  return { how, values, ...quantize(values, how)! }
}

describe('quantized weights', () => {
  it('of nf4 and fp4 are the nearest code book entries, packed as by bitsandbytes', () => {
    for (const format of ['nf4', 'fp4'] as const) {
      const book = codeBooks[format]
      const { codes, scales } = rounded(
        format,
        1,
        64,
        Float32Array.from({ length: 64 }, (_, i) => 3 * book[i % 16]),
      )
      expect(scales).toEqual(Float32Array.of(3))
      // fp4 has two zeros, and the second is stored as the first
      const nibbles = [...codes.subarray(0, 8)].flatMap((byte) => [byte >> 4, byte & 15])
      expect(nibbles).toEqual([...book.keys()].map((code) => (format === 'fp4' && code === 8 ? 0 : code)))
    }
  })

  it('of int4 represent the largest magnitude of a block exactly, low nibble first', () => {
    const block = Float32Array.from({ length: 32 }, (_, i) => (i === 3 ? 4 : i / 32))
    const { codes, scales, how } = rounded('int4', 1, 32, block)
    expect(scales).toEqual(Float32Array.of(-0.5))
    expect(codes[1] >> 4).toBe(0)
    expect(dequantize(codes, scales, how)[3]).toBe(4)
  })

  it.each([
    ['int8', 0.006],
    ['int4', 0.09],
    ['nf4', 0.094],
    ['fp4', 0.125],
  ] as const)('of %s have the expected RMS error on normal weights', (format, most) => {
    const { codes, scales, how, values } = rounded(format, 100, 200)
    const back = dequantize(codes, scales, how)
    const error = Math.sqrt(back.reduce((sum, x, i) => sum + (x - values[i]) ** 2, 0) / values.length)
    expect(error).toBeLessThan(most)
    expect(error).toBeGreaterThan(most / 1.2)
  })

  it('are refused for NaN and infinity, and are zero for zeros', () => {
    for (const format of quantFormats) {
      const how = quantization(format, [2, 40])
      expect(quantize(new Float32Array(80).fill(Number.NaN, 70, 71), how)).toBeUndefined()
      expect(quantize(new Float32Array(80).fill(Number.POSITIVE_INFINITY, 3, 4), how)).toBeUndefined()
      const { codes, scales } = quantize(new Float32Array(80), how)!
      expect(dequantize(codes, scales, how).every((x) => x === 0)).toBe(true)
    }
  })
})

describe('products with quantized weights on the engine', () => {
  const sizes = [
    [48, 64],
    [5, 172],
    [7, 33],
  ] as const
  const cases = quantFormats.flatMap((format) =>
    sizes.flatMap(([out, inner]) => [false, true].map((transposed) => ({ format, out, inner, transposed }))),
  )
  const run = async (
    { format, out, inner, transposed }: (typeof cases)[number],
    { fast = false, rows = 6, start = 0 } = {},
  ) => {
    const { how, codes, scales } = rounded(format, out, inner)
    const shapes = storedShapes(how)
    const width = transposed ? out : inner
    const x = normal(8 * width, 9).slice(start * width, (start + rows) * width)
    const parts = { codes: input('codes', shapes.codes, 'u8'), scales: input('scales', shapes.scales) }
    const y = input('x', ['M', width]).matmulQuantized({ ...parts, weight: how, transposed, rounded: fast })
    const [expected] = evaluate([y], {
      x: { shape: [rows, width], data: x },
      codes: { shape: shapes.codes, data: codes },
      scales: { shape: shapes.scales, data: scales },
    })
    const stored = {
      codes: backend.put(codes.slice(), shapes.codes, 'u8'),
      scales: backend.put(scales.slice(), shapes.scales),
    }
    const program = compileProgram('product', { y }, (name) => fast && name !== 'x')
    const feeds = { x: backend.put(x.slice(), [rows, width]), ...(fast ? {} : stored) }
    const made = await backend.read(backend.run(backend.load(program, fast ? stored : {}), feeds).y)
    return { made, expected: expected.data, width }
  }

  it.each(cases)('equal those of the interpreter: $format [$out, $inner], transposed: $transposed', async (of) => {
    const { made, expected } = await run(of)
    expect(made.length).toBe(expected.length)
    for (const [i, y] of made.entries()) expect(Math.abs(y - expected[i])).toBeLessThan(1e-5 * of.inner)
  })

  const whole = cases.filter(({ format, transposed }) => !isCodeBook(format) && !transposed)
  it('with int8 in blocks of 64, as nf4 and fp4 are decoded, are near the interpreter', async () => {
    const how = { ...quantization('int8', [24, 128]), block: 64 }
    const { codes, scales } = quantize(normal(24 * 128, 5), how)!
    const shapes = storedShapes(how)
    const parts = { codes: input('codes', shapes.codes, 'u8'), scales: input('scales', shapes.scales) }
    const y = input('x', ['M', 128]).matmulQuantized({ ...parts, weight: how, rounded: true })
    const stored = {
      codes: backend.put(codes.slice(), shapes.codes, 'u8'),
      scales: backend.put(scales.slice(), shapes.scales),
    }
    const program = backend.load(
      compileProgram('product', { y }, (name) => name !== 'x'),
      stored,
    )
    const x = normal(3 * 128, 9)
    const made = await backend.read(backend.run(program, { x: backend.put(x.slice(), [3, 128]) }).y)
    const [{ data }] = evaluate([y], {
      x: { shape: [3, 128], data: x },
      codes: { shape: shapes.codes, data: codes },
      scales: { shape: shapes.scales, data: scales },
    })
    for (const [i, value] of made.entries()) expect(Math.abs(value - data[i])).toBeLessThan(0.3)
  })

  it.each(whole)(
    'with rounded activations are close and do not depend on the batch: $format [$out, $inner]',
    async (of) => {
      const { made, expected } = await run(of, { fast: true })
      const scale = Math.sqrt(expected.reduce((sum, y) => sum + y * y, 0) / expected.length)
      for (const [i, y] of made.entries()) expect(Math.abs(y - expected[i])).toBeLessThan(0.03 * scale)
      const alone = await run(of, { fast: true, rows: 1, start: 3 })
      const row = made.slice(3 * of.out, 4 * of.out)
      if (!withoutAvx512) expect([...alone.made]).toEqual([...row])
      for (const [i, y] of alone.made.entries()) expect(Math.abs(y - row[i])).toBeLessThan(1e-5 * scale)
    },
  )
})
