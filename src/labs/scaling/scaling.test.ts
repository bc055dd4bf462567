/** The scaling lab: its counts against goldens, its statistics by hand, and a sweep of seconds that is stopped and goes on. */
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../models/config.ts'
import { architectureOf } from '../../models/registry.ts'
import { wilson } from '../../statistics/intervals.ts'
import { type CellResult, cellsOf } from './cells.ts'
import { compareMethods } from './comparison.ts'
import { scalingConclusions } from './conclusions.ts'
import { forwardFlops, generationFlops, modelCounts, trainingFlops } from './flops.ts'
import { scalingLaws } from './laws.ts'
import { modelConfig } from './model.ts'
import { scalingReport } from './report.ts'
import { type Method, type Preset, presets, scalingSchema } from './settings.ts'
import { type SweepEvent, sweep } from './sweep.ts'
import { rowOf, sumData } from './task.ts'

type Golden = {
  model_type: string
  config: Record<string, number | boolean>
  length: number
  parameters: number
  blocks: number
  forward_causal: number
  training_causal: number
}

vi.setConfig({ testTimeout: 240_000 })

const counts = new URL('../../../test/fixtures/maths/transformer_counts.json.gz', import.meta.url)
const goldens: Golden[] = JSON.parse(gunzipSync(readFileSync(counts)).toString()).cases
const names: Record<string, string> = { llama: 'LlamaForCausalLM', gpt2: 'GPT2LMHeadModel' }

describe('counts of operations', () => {
  it.each(goldens.map((golden, i) => [i, golden] as const))('agree with golden %i', (_, golden) => {
    const { model_type, config, length } = golden
    const context = model_type === 'gpt2' ? {} : { max_position_embeddings: 8192 }
    const raw = { ...config, ...context, model_type, architectures: [names[model_type]] }
    const parsed = parseConfig(raw, 'config.json')
    const made = modelCounts(architectureOf(parsed, 'config.json'), parsed)
    expect([made.parameters, made.blocks]).toEqual([golden.parameters, golden.blocks])
    expect(forwardFlops(made, length) / length).toBe(golden.forward_causal)
    expect(trainingFlops(made, length) / length).toBe(golden.training_causal)
  })

  it('let each response of a packed row see the prompt and itself', () => {
    // 6 tokens of prompt and responses; positions seen: 1 + 2, then 3 + 4 and 3 + 4 (two responses of two tokens)
    const each = { parameters: 0, blocks: 10, perPosition: 1 }
    expect(forwardFlops(each, 2, [2, 2])).toBe(2 * 10 * 6 + 3 + 7 + 7)
    // The last generated token is not read again
    expect(generationFlops(each, 2, 2)).toBe(forwardFlops(each, 3))
  })

  it('use models with one attention head, context 256 and feed-forward ratio 4', () => {
    for (const hidden of presets.seed.sizes) {
      const { config } = modelConfig({ hidden, layers: 2 }, presets.seed.vocabulary, 12)
      expect(config).toMatchObject({
        num_attention_heads: 1,
        head_dim: 64,
        max_position_embeddings: 256,
        vocab_size: 128_256,
      })
      expect(config.intermediate_size).toBe(4 * hidden)
    }
    expect(presets.seed.taught).toBe(1000)
  })
})

const cell = (part: Partial<CellResult> & { loss: number; chosen?: number; share?: number }): CellResult => {
  const { loss, chosen = loss, share = 0.5, ...rest } = part
  const graded = (value: number) => ({ loss: value, exact: wilson(Math.round(100 * share), 100) })
  return {
    ...{ id: `${Math.random()}`, kind: 'law', hidden: 8, layers: 2, seed: 1, budget: 100, rate: 0.01, parameters: 1 },
    ...{ blocks: rest.hidden ?? 8, steps: 10, flops: rest.budget ?? 100, helperFlops: 0, seconds: 0 },
    ...{ chosenBy: graded(chosen), reported: graded(loss) },
    ...rest,
  } as CellResult
}

const seeds = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

describe('the law of supervised training', () => {
  /** log loss is a parabola in log size, lowest at 16, 32 and 64 for the three budgets. */
  const planted = (count: number, noise = 0) =>
    [1, 2, 3].flatMap((b) =>
      [8, 16, 32, 64, 128].flatMap((hidden) =>
        seeds(count).map((seed) => {
          const off = Math.log(hidden / (8 * 2 ** b))
          const loss =
            2 * 10 ** (-0.5 * b) * Math.exp(0.2 * off ** 2) * Math.exp(noise * Math.sin(97 * seed + 13 * hidden + b))
          return cell({ hidden, seed, budget: 10 ** (2 * b), loss })
        }),
      ),
    )

  it('finds the best size of each budget, the lowest point of the parabola and both laws', () => {
    const { best, lossLaw, sizeLaw, sizes } = scalingLaws(planted(6))
    expect(best.map(({ hidden }) => hidden)).toEqual([16, 32, 64])
    for (const [i, { optimum, sure, edge }] of best.entries()) {
      expect(optimum!.blocks).toBeCloseTo(16 * 2 ** i, 6)
      expect(sure).toBe(1)
      expect(edge).toBeUndefined()
    }
    expect(lossLaw).toMatchObject({ exponent: expect.closeTo(-0.25, 9), misfit: expect.closeTo(1, 6) })
    // Twice the size for a hundred times the compute
    expect(sizeLaw!.exponent).toBeCloseTo(Math.log(2) / Math.log(100), 9)
    expect(sizes).toHaveLength(15)
  })

  it('says how sure it is where seeds differ', () => {
    const { best, lossLaw } = scalingLaws(planted(6, 0.4))
    expect(Math.min(...best.map(({ sure }) => sure))).toBeLessThan(1)
    expect(lossLaw!.low).toBeLessThan(lossLaw!.exponent)
    expect(lossLaw!.high).toBeGreaterThan(lossLaw!.exponent)
  })

  it('chooses the size on one set of sums and reports its loss on another', () => {
    const results = seeds(5).flatMap((seed) => [
      cell({ hidden: 8, seed, chosen: 0.5, loss: 0.9 }),
      cell({ hidden: 16, seed, chosen: 0.6, loss: 0.1 }),
    ])
    const { best } = scalingLaws(results)
    expect(best).toMatchObject([{ hidden: 8, loss: expect.closeTo(0.9, 9), edge: 'smallest' }])
  })

  it('names no best size where a seed lacks a size, and draws no conclusion from few seeds', () => {
    const holes = [cell({ hidden: 8, loss: 1 }), cell({ hidden: 16, seed: 2, loss: 1 })]
    expect(scalingLaws(holes).best).toEqual([])
    const few = scalingConclusions(scalingLaws(planted(2)), undefined, presets.demo).join(' ')
    expect(few).toMatch(/Which size or which method is better they cannot say/)
    expect(few).not.toMatch(/lowest loss|power|resamples/)
    const many = scalingConclusions(scalingLaws(planted(6)), undefined, presets.demo).join(' ')
    expect(many).toMatch(/The hidden size with the lowest loss: 16 at .*32 at .*64 at .*to the power -0\.25/)
    const { html } = scalingReport({
      ...{ laws: scalingLaws(planted(2)), conclusions: [], results: planted(2), plan: presets.demo, command: [] },
      settings: { preset: 'demo' },
    })
    expect(html).not.toMatch(/resamples|power law/)
  })
})

describe('methods at equal compute', () => {
  const run = (method: Method, seed: number, loss: number, more: Partial<CellResult> = {}) =>
    cell({ kind: 'method', method, seed, loss, ...more })
  /** The seed's own luck cancels in the differences, what is left of it does not. */
  const luck = (seed: number) => 1 + 0.5 * Math.sin(7 * seed)
  const rest = (seed: number) => 1 + 0.02 * Math.sin(31 * seed)
  const study = (factor: number, more: Partial<CellResult> = {}) =>
    seeds(12).flatMap((seed) => [
      run('sft', seed, luck(seed)),
      run('sft-decay', seed, 0.5 * luck(seed)),
      run('spin', seed, 0.5 * factor * luck(seed) * rest(seed), more),
    ])

  it('pairs seeds, and compares with supervised training whose rate falls', () => {
    const { rival, comparisons } = compareMethods(study(1.3))!
    expect(rival).toBe('sft-decay')
    const of = (method: Method) => comparisons.find((each) => each.method === method)!
    expect(of('sft-decay').byLoss).toBeUndefined()
    expect(of('sft').byLoss!.value).toBeCloseTo(Math.log(2), 9)
    const { value, low, high, p, detectable } = of('spin').byLoss!
    expect(value).toBeCloseTo(Math.log(1.3), 2)
    expect(low).toBeGreaterThan(Math.log(1.2))
    expect(high).toBeLessThan(Math.log(1.4))
    expect(p).toBeLessThan(1e-6)
    expect(detectable).toBeLessThan(0.05)
  })

  it('says which methods are worse, and which cannot be told apart and how large a difference would have been seen', () => {
    const words = (factor: number, more?: Partial<CellResult>) =>
      scalingConclusions({ sizes: [], best: [] }, compareMethods(study(factor, more)), presets.demo).join(' ')
    expect(words(1.3)).toMatch(/no method has a lower loss\. Higher losses: .*SPIN at hidden size 8 \+30 %/)
    expect(words(1)).toMatch(
      /Not to be told apart: SPIN at hidden size 8 .* where a difference of 1 % would have been seen/,
    )
    expect(words(0.8)).toMatch(/lower losses: SPIN at hidden size 8 -20 %/)
    // Half of the compute is no comparison
    expect(words(1.3, { flops: 50 })).toMatch(/Of SPIN at hidden size 8 \(50 FLOPs\) nothing is said/)
  })
})

describe('the cells of a study', () => {
  const plan: Preset = { ...presets.small, seeds: 1, comparisonSeeds: 2, methods: ['sft', 'spin', 'asft'] }

  it('stand after those that they need, and trials on seeds of their own', () => {
    const cells = cellsOf(plan, plan)
    const at = new Map(cells.map(({ id }, i) => [id, i]))
    expect(at.size).toBe(cells.length)
    for (const { id, needs } of cells)
      for (const need of needs) expect(at.get(need), `${id}: ${need}`).toBeLessThan(at.get(id)!)
    const seedsOf = (kinds: string[]) =>
      new Set(cells.flatMap(({ kind, seed }) => (kinds.includes(kind) ? [seed] : [])))
    const reported = seedsOf(['law', 'method'])
    for (const seed of seedsOf(['rate', 'trial'])) expect(reported).not.toContain(seed)
  })

  it('hold nothing but supervised training where only that is asked for', () => {
    const kinds = new Set(cellsOf(plan, { ...plan, methods: ['sft'] }).map(({ kind }) => kind))
    expect([...kinds]).toEqual(['rate', 'law'])
  })
})

it('writes completions with the units first', () => {
  expect(rowOf({ a: 27, b: 58 })).toEqual({ prompt: '27+58=', completion: '58' })
  expect(rowOf({ a: 70, b: 54 }).completion).toBe('421')
})

it('has sums of three digits too, none in two parts', () => {
  const { taught, held, reported } = sumData('', 1, { ...presets.demo, digits: 3 })
  const keys = [...taught, ...held, ...reported].map(({ prompt }) => prompt.slice(0, -1).split('+').sort().join('+'))
  expect(new Set(keys).size).toBe(keys.length)
  for (const { prompt } of taught) expect(prompt).toMatch(/^\d{3}\+\d{3}=$/)
})

describe('a sweep', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'attune-scaling-'))
    vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await rm(root, { recursive: true, force: true })
  })

  const preset: Preset = {
    vocabulary: 13,
    layers: 1,
    digits: 2,
    taught: 40,
    held: 16,
    reported: 16,
    batchSize: 8,
    warmup: 0.1,
    cooldown: 0.2,
    sizes: [8, 16],
    budgets: [8e7],
    learningRates: [3e-3],
    tuningSeeds: 1,
    comparison: {
      sizes: [8],
      startBudget: 2e7,
      budget: 4e7,
      helper: { hidden: 16, budget: 8e7 },
      learningRates: [1e-3],
      betas: [1],
      iterations: 2,
    },
    seeds: 1,
    comparisonSeeds: 1,
    methods: ['sft', 'sft-slow', 'sft-helper', 'distill', 'spin', 'asft'],
  }

  const run = async (
    name: string,
    each: (event: SweepEvent) => void = () => {},
    more: object = {},
    signal?: AbortSignal,
  ) => {
    const settings = scalingSchema.parse({ output: join(root, name), jobs: 2, ...more })
    const events: SweepEvent[] = []
    for await (const event of sweep(settings, { signal, preset })) {
      events.push(event)
      each(event)
    }
    return events
  }
  const results = async (name: string): Promise<CellResult[]> => {
    const files = (await readdir(join(root, name, 'cells'))).sort()
    const texts = files.map((file) => readFile(join(root, name, 'cells', file), 'utf8'))
    return (await Promise.all(texts)).map((text) => ({ ...JSON.parse(text), seconds: 0 }))
  }
  /** Rates 2, laws 2, starts 2, helpers 2, trials 4, methods 6. */
  const all = 18
  /** Without help: rates 2, laws 2, starts 2, trial 1, methods 2. */
  const unhelped = { methods: ['spin'] }
  const few = 9

  it('trains every cell once, all methods with equal compute, and leaves numbers, plots and a page', async () => {
    const events = await run('whole')
    expect(events[0]).toMatchObject({ event: 'plan', cells: all, finished: 0 })
    expect(events.filter(({ event }) => event === 'cell')).toHaveLength(all)
    const last = events.at(-1)!
    if (last.event !== 'result') throw new Error(last.event)
    const page = await readFile(last.files.report, 'utf8')
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined/)
    expect((await readdir(last.files.plots)).sort()).toEqual(
      ['exact-vs-compute', 'loss-vs-compute', 'loss-vs-size', 'methods-h8'].flatMap((name) => [
        `${name}.json`,
        `${name}.svg`,
      ]),
    )
    const cells = await results('whole')
    // What models say that have learned so little is longer than planned
    const isPlayed = (id: string) => /spin|asft|distill/.test(id)
    for (const { flops, budget, id } of cells)
      expect(Math.abs(flops / budget - 1), id).toBeLessThan(isPlayed(id) ? 0.25 : 0.05)
    const of = (id: string) => cells.find((each) => each.id === id)!
    expect(of('asft-h8-s1').helperFlops).toBeGreaterThan(of('helper-s1').flops)
    expect(of('sft-slow-h8-s1').rate).toBe(of('trial-spin-h8-lr0.001-b1-s1001').rate)
    expect(of('law-h8-c8e+7-s1').reported!.exact.total).toBe(16)
    // Of trials nothing is reported
    expect(of('rate-h8-lr0.003-s1001').reported).toBeUndefined()
    // No model, run or checkpoint of a finished cell is kept but those that others start from
    expect(await readdir(join(root, 'whole', 'runs'))).toEqual([])
  })

  it('goes on after a stop to the same numbers, and repeats nothing that is finished', async () => {
    const stop = new AbortController()
    const first = await run('stopped', ({ event }) => event === 'cell' && stop.abort(), unhelped, stop.signal)
    expect(first.at(-1)).toMatchObject({ event: 'stopped', cells: few })
    const done = (await results('stopped')).length
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(few)
    const second = await run('stopped', undefined, unhelped)
    expect(second[0]).toMatchObject({ event: 'plan', cells: few, finished: done })
    const whole = new Map((await results('whole')).map((result) => [result.id, result]))
    for (const result of await results('stopped')) expect(result, result.id).toEqual(whole.get(result.id))
    expect((await run('stopped', undefined, unhelped)).map(({ event }) => event)).toEqual(['plan', 'result'])
  })

  it('takes no folder that is not its own, and names the flag that differs', async () => {
    await writeFile(join(root, 'letter'), 'x')
    await expect(run('letter')).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    await expect(run('')).rejects.toThrow(/is no sweep; choose another --output/)
    await expect(run('whole', undefined, { preset: 'demo' })).rejects.toThrow(
      /holds a sweep with another --preset \(small\)/,
    )
    await expect(run('whole', undefined, { learningRates: [1e-2] })).rejects.toThrow(
      /holds a sweep with other --learning-rates \(\[0\.003\]\)/,
    )
  })

  it('refuses budgets that a size cannot learn from, and a rate that no run decides', async () => {
    await expect(run('short', undefined, { budgets: [1e6] })).rejects.toThrow(
      /--budgets: 1e\+6 FLOPs are 0 steps of hidden size 16, and a run needs 20: give budgets from \d\.\de\+7 on/,
    )
    await expect(run('short', undefined, { methods: ['sft-slow'] })).rejects.toThrow(
      /at the learning rate of spin: name spin too/,
    )
  })

  it('refuses a helper that is no better than the model that it is to help', async () => {
    const weak = { ...preset.comparison, startBudget: 3e8, helper: { hidden: 16, budget: 2e7 } }
    const settings = scalingSchema.parse({ output: join(root, 'weak'), jobs: 2, methods: ['asft'] })
    const made = sweep(settings, { preset: { ...preset, comparison: weak } })
    await expect(
      (async () => {
        for await (const _ of made);
      })(),
    ).rejects.toThrow(/the helper: of seed 1001 \(hidden size 16, loss .*\) is no better than/)
  })
})
