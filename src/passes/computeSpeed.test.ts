import { describe, expect, it } from 'vitest'
import type { ProductTimes } from '../runtime/productTimes.node.ts'
import { computeEvents, speedOf } from './computeSpeed.node.ts'
import type { Compute } from './int8.ts'

/** A processor with VNNI, roughly. */
const fast: ProductTimes = { fp32: 6, oneTerm: 2, twoTerms: 4 }
/** One on which only a single term gains. */
const slow: ProductTimes = { fp32: 6, oneTerm: 5, twoTerms: 10 }

/** A model with a single linear module of this shape. */
const model = (out: number, inner: number, provider = 'cpu') =>
  ({
    architecture: {
      layerPrefix: () => 'layer.',
      linears: () => ['up'],
      shapes: () => new Map([['layer.up.weight', [out, inner]]]),
    },
    config: { num_hidden_layers: 1, hidden_size: inner, intermediate_size: out },
    backend: { description: { provider, threads: 2, version: '1' } },
    params: new Map([['layer.up.weight', { shape: [out, inner] }]]),
    quantized: new Map(),
    int8: new Map(),
  }) as unknown as Parameters<typeof computeEvents>[0]
const large = model(8192, 8192)
const small = model(2048, 1024)
const tiny = model(172, 64)

const said = async (of: typeof large, compute: Compute, times: ProductTimes) => {
  const asked: object[] = []
  const events = await computeEvents(of, compute, 'adapter', async (_, size) => {
    asked.push(size)
    return times
  })
  return { asked, events }
}

describe('how much faster all products are', () => {
  it('counts those of the forward pass, of the gradient, and of trained weights, which stay in fp32', () => {
    expect(speedOf('int8', fast, 'nothing')).toBeCloseTo(6 / 4)
    expect(speedOf('int8', fast, 'adapter')).toBeCloseTo(12 / 6)
    expect(speedOf('int8', fast, 'all')).toBeCloseTo(18 / 12)
    expect(speedOf('int8-fast', fast, 'nothing')).toBeCloseTo(3)
    expect(speedOf('int8-fast', fast, 'all')).toBeCloseTo(18 / 10)
  })
})

describe('a run with --compute int8', () => {
  it('says what that gains here', async () => {
    const { asked, events } = await said(small, 'int8', fast)
    const message = 'int8: products 2.0 times as fast as fp32 on this processor'
    expect(events).toEqual([{ event: 'compute', compute: 'int8', speed: 2, message }])
    expect(asked).toEqual([{ inner: 1024, out: 2048 }])
  })

  it('warns where it gains nothing, and names the size', async () => {
    const { events } = await said(small, 'int8', slow)
    expect(events).toMatchObject([{ event: 'warning', code: 'slow-compute' }])
    expect(events[0].message).toMatch(/^int8 products are not faster than fp32 here: 0\.8 times as fast.* 1024 x 2048/)
    expect((await said(small, 'int8-fast', slow)).events).toMatchObject([{ event: 'compute', compute: 'int8-fast' }])
  })

  it('measures nothing for a tiny model, nor on another device', async () => {
    expect(await said(tiny, 'int8', slow)).toEqual({ asked: [], events: [] })
    expect(await said(model(2048, 1024, 'cuda'), 'int8', slow)).toEqual({ asked: [], events: [] })
  })
})

describe('a run in fp32', () => {
  it('of a large model tells what int8 would gain, where that is much', async () => {
    const { events } = await said(large, 'fp32', fast)
    const message = '--compute int8 would multiply 2.0 times as fast here, with weights rounded to 8 bits'
    expect(events).toEqual([{ event: 'compute', compute: 'int8', speed: 2, message }])
    expect((await said(large, 'fp32', slow)).events).toEqual([])
    expect((await said(large, 'fp32', { fp32: 6, oneTerm: 4, twoTerms: 6 })).events).toEqual([])
  })

  it('of a smaller model measures nothing', async () => {
    expect(await said(small, 'fp32', fast)).toEqual({ asked: [], events: [] })
  })

  it('goes on where the processor cannot multiply 8-bit numbers exactly', async () => {
    const fails = () => Promise.reject(new Error('no-int8'))
    expect(await computeEvents(large, 'fp32', 'all', fails)).toEqual([])
    await expect(computeEvents(large, 'int8', 'all', fails)).rejects.toThrow('no-int8')
  })
})
