import { afterAll, describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { codesOf, scalesOf } from '../nn/scope.ts'
import { openModel } from '../passes/open.node.ts'
import { dequantize, quantization, quantize } from '../tensor/quantization.ts'
import { headQuantization, quantizeOnBackend } from './quantizedDecode.ts'

const opened = await openModel({ model: fixture('models/stories260K'), inProcess: true, threads: 1, quantize: 'int4' })
afterAll(() => opened.close())
const { model, backend } = opened

describe('the head of a quantized model', () => {
  const { weight } = model.architecture.head(model.config)

  it('is quantized on the backend as weights from a file are', async () => {
    const handle = model.params.get(weight)!
    const how = headQuantization(model, weight)!
    expect(how).toEqual(quantization('int8', handle.shape as [number, number]))
    const made = quantizeOnBackend(model, weight, how)
    const [codes, scales] = [await backend.read(made[codesOf(weight)]), await backend.read(made[scalesOf(weight)])]
    const values = await backend.read(handle)
    const expected = quantize(values, how)!
    expect(scales).toEqual(expected.scales)
    // Halves may go either way: products here have fewer digits
    const apart = codes.filter((code, i) => code !== expected.codes[i])
    expect(apart.length).toBeLessThan(codes.length / 1000)
    const back = dequantize(codes, scales, how)
    for (const [i, x] of back.entries())
      expect(Math.abs(x - values[i])).toBeLessThanOrEqual(1.01 * Math.abs(scales[Math.floor(i / how.block)]))
  })

  it('stays fp32 where the blocks do', () => {
    expect(headQuantization({ ...model, quantized: new Map() }, weight)).toBeUndefined()
  })
})
