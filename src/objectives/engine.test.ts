/** Every objective on the engine, in float32 and with symbolic sizes, against the float64 interpreter. */
import { afterAll, describe, expect, it } from 'vitest'
import { compileProgram } from '../onnx/model.ts'
import { evaluate } from '../runtime/interpreter.ts'
import { openBackend } from '../runtime/open.node.ts'
import { grad } from '../tensor/grad.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { ktoLoss } from './kto.ts'
import { preferenceLoss } from './preference.ts'
import { preferenceLosses, preferenceLossNames } from './preferenceLosses.ts'

describe('on the engine', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())

  const check = async (outputs: Record<string, Tensor>, feeds: Record<string, { shape: number[]; data: number[] }>) => {
    const names = Object.keys(outputs)
    const expected = evaluate(Object.values(outputs), feeds)
    const executable = backend.load(compileProgram('objective', outputs))
    const handles = Object.entries(feeds)
      .filter(([name]) => executable.program.inputs.some((port) => port.name === name))
      .map(([name, { data, shape }]) => [name, backend.put(Float32Array.from(data), shape)] as const)
    const out = backend.run(executable, Object.fromEntries(handles))
    for (const [i, name] of names.entries()) {
      const actual = await backend.read(out[name])
      for (const [k, value] of expected[i].data.entries())
        if (!(Math.abs(actual[k] - value) <= 2e-5 * Math.max(1, Math.abs(value))))
          expect.fail(`${name}[${k}] is ${actual[k]}, not ${value}`)
    }
  }

  const program = (specs: Parameters<typeof preferenceLoss>[0], options: Parameters<typeof preferenceLoss>[1]) => {
    const of = (name: string) => input(name, ['B', 'K'])
    const batch = { logps: of('logps'), refLogps: of('refLogps'), lengths: of('lengths'), ranks: of('ranks') }
    const { loss, metrics } = preferenceLoss(specs, options)({ ...batch, wpo: of('wpo') })
    return { loss, dLogps: grad(loss, [batch.logps])[0], ...metrics }
  }

  const pairs = {
    logps: { shape: [3, 2], data: [-12.5, -14, -30.25, -22, -8, -8] },
    refLogps: { shape: [3, 2], data: [-13, -13.5, -29, -24, -8, -8] },
    lengths: { shape: [3, 2], data: [5, 6, 11, 9, 3, 3] },
    ranks: { shape: [3, 2], data: [1, 2, 1, 2, 1, 2] },
    wpo: { shape: [3, 2], data: [-0.5, -0.25, -1, -0.75, -0.125, 0] },
  }

  it.each(preferenceLossNames)('%s', async (name) => {
    const wpo = !name.startsWith('aot')
    const labelSmoothing = preferenceLosses[name].usesLabelSmoothing ? 0.1 : undefined
    await check(program([{ name, weight: 0.7 }], { beta: 0.3, labelSmoothing, cpoAlpha: 0.5, wpo }), pairs)
  })

  it.each(['marginal', 'breslow'] as const)('lists with ties, unranked and missing responses (%s)', async (ties) => {
    const lists = {
      logps: { shape: [4, 3], data: [-3, -1, -2, -1, -1, 50, -5, -4, -3, -1, -2, -3] },
      refLogps: { shape: [4, 3], data: [-2, -2, -2, -1, -1, -50, -2, -1, -3, -4, -5, -5] },
      lengths: { shape: [4, 3], data: [2, 1, 1, 1, 1, 0, 3, 3, 2, 2, 2, 2] },
      ranks: { shape: [4, 3], data: [2, 1, 2, 1, 1, 0, 1, -1, -1, 1, 1, 1] },
      wpo: { shape: [4, 3], data: Array<number>(12).fill(-0.1) },
    }
    await check(program([{ name: 'plackett-luce', weight: 1 }], { beta: 0.5, ties, wpo: true }), lists)
  })

  it('kto', async () => {
    const names = ['logps', 'refLogps', 'klLogps', 'refKlLogps', 'labels'] as const
    const [logps, refLogps, klLogps, refKlLogps, labels] = names.map((name) => input(name, ['S']))
    const options = { beta: 0.2, lossType: 'kto', desirableWeight: 1, undesirableWeight: 1.5 } as const
    const { loss, metrics } = ktoLoss(options)({ logps, refLogps, klLogps, refKlLogps, labels })
    const of = (...data: number[]) => ({ shape: [3], data })
    const feeds = {
      logps: of(-9, -8, -7.5),
      refLogps: of(-8, -9, -7),
      klLogps: of(-9, -8, -7),
      refKlLogps: of(-10, -8, -9),
    }
    await check({ loss, dLogps: grad(loss, [logps])[0], ...metrics }, { ...feeds, labels: of(1, 0, 1) })
  })
})
