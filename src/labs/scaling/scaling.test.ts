/** The scaling lab: its counts against goldens, its statistics by hand, and a sweep of seconds that is stopped and goes on. */
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../models/config.ts'
import { architectureOf } from '../../models/registry.ts'
import { tInterval, wilson } from '../../statistics/intervals.ts'
import type { CellResult } from './cells.ts'
import { scalingConclusions } from './conclusions.ts'
import { forwardFlops, generationFlops, modelCounts, trainingFlops } from './flops.ts'
import { modelConfig } from './model.ts'
import { scalingReport } from './report.ts'
import { scalingLaw } from './scalingLaw.ts'
import { type Preset, presets, scalingSchema } from './settings.ts'
import { bestSoFar, type Curve, envelope, fitPowerLaw, meanCurve, shareAt, valueAt } from './statistics.ts'
import { type SweepEvent, sweep } from './sweep.ts'
import { rowOf } from './task.ts'

type Golden = {
  model_type: string
  config: Record<string, number | boolean>
  length: number
  parameters: number
  blocks: number
  forward_causal: number
  training_causal: number
}

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
    for (const size of presets.seed.sizes) {
      const { config } = modelConfig(size, presets.seed.vocabulary, 12)
      expect(config).toMatchObject({
        num_attention_heads: 1,
        head_dim: 64,
        max_position_embeddings: 256,
        vocab_size: 128_256,
      })
      expect(config.intermediate_size).toBe(4 * config.hidden_size)
    }
    expect(presets.seed.taught).toBe(1000)
  })
})

describe('statistics of curves', () => {
  const steep: Curve = [
    [1, 8],
    [10, 2],
    [100, 3],
  ]

  it('reads values between points in log-log', () => {
    expect(valueAt(steep, Math.sqrt(10))).toBeCloseTo(4, 12)
    expect(valueAt(steep, 10)).toBe(2)
    expect([valueAt(steep, 0.5), valueAt(steep, 101)]).toEqual([undefined, undefined])
    expect(
      shareAt(
        [
          [1, 0],
          [100, 0.5],
        ],
        10,
      ),
    ).toBeCloseTo(0.25, 12)
    expect(bestSoFar(steep).at(-1)).toEqual([100, 2])
  })

  it('finds the lowest curve where all were trained, and nothing where they have no compute in common', () => {
    const curves: Curve[] = [
      [
        [1, 8],
        [100, 2],
      ],
      [
        [10, 4],
        [1000, 0.4],
      ],
    ]
    const points = envelope(curves, 3)
    expect(points.map(({ flops }) => Math.round(flops))).toEqual([10, 32, 100])
    expect(points.map(({ best }) => best)).toEqual([0, 1, 1])
    expect(points.at(-1)!.loss).toBeCloseTo(Math.sqrt(4 * 0.4), 9)
    expect(envelope([curves[0], curves[1].slice(1), curves[0]])).toEqual([])
  })

  it('has every mean within the range of its seeds, and no budget beyond the end of the shortest curve', () => {
    const cell = (hidden: number, seed: number, losses: number[]): CellResult => ({
      id: `${hidden}-${seed}`,
      method: 'sft',
      hidden,
      layers: 1,
      seed,
      parameters: 1,
      blocks: hidden,
      seconds: 0,
      curve: losses.map((loss, i) => ({ flops: (i + 1) * 10 + seed / 10, helperFlops: 0, loss })),
      marks: [{ flops: 1, helperFlops: 0, exact: { share: 0.5, low: 0, high: 1, right: 1, total: 2 } as never }],
    })
    const results = [
      cell(10, 1, [2, 1.6, 1.2, 1.1]),
      cell(10, 2, [2, 1.7, 1.2, 1.1]),
      cell(20, 1, [2.2, 1.4, 0.6, 0.3, 0.2, 0.1]),
      cell(20, 2, [2.2, 1.4, 0.7, 0.3, 0.2, 0.1]),
    ]
    const { sizes, budgets, law } = scalingLaw(results)
    for (const { curve, range } of sizes) {
      expect(range).toHaveLength(curve.length)
      for (const [i, [, mean]] of curve.entries()) {
        expect(range[i][0]).toBeLessThanOrEqual(mean + 1e-12)
        expect(range[i][1]).toBeGreaterThanOrEqual(mean - 1e-12)
      }
    }
    const ends = sizes.map(({ curve }) => curve.at(-1)![0])
    expect(Math.max(...budgets.map(({ flops }) => flops))).toBeLessThanOrEqual(Math.min(...ends) * (1 + 1e-9))
    expect(law!.misfit).toBeGreaterThan(1)
  })

  it('does not say that self-play wins or loses, since the learning rates differ', () => {
    const interval = { value: -1, low: -2, high: -0.5 }
    const against = { seeds: 4, loss: interval, exact: { value: 0.2, low: 0.1, high: 0.3 } }
    const made = { hidden: 64, loss: 0.1, exact: 0.9, flops: 1, helperFlops: 0, own: against, whole: against }
    const conclusions = scalingConclusions(
      { sizes: [], envelope: [], budgets: [] },
      [{ method: 'spin', ...made }],
      presets.demo,
    )
    expect(conclusions.join(' ')).toMatch(
      /SPIN stands beside .* cannot be said .* goes on from the same weights at 0.0001/,
    )
    expect(conclusions.join(' ')).not.toMatch(/beat|yes|wins/)
  })

  it('draws no conclusion, no envelope and no law from few seeds', () => {
    const cell = (hidden: number, seed: number): CellResult => ({
      id: `${hidden}-${seed}`,
      method: 'sft',
      hidden,
      layers: 1,
      seed,
      parameters: 1,
      blocks: hidden,
      seconds: 0,
      curve: [1, 2, 3, 4].map((x) => ({
        flops: 10 * x,
        helperFlops: 0,
        loss: (2 / x) * (1 + seed / 50 + hidden / 500),
      })),
      marks: [{ flops: 40, helperFlops: 0, exact: wilson(8, 10) }],
    })
    const reportOf = (seeds: number) => {
      const results = [10, 20].flatMap((hidden) => Array.from({ length: seeds }, (_, i) => cell(hidden, i + 1)))
      const standard = scalingLaw(results)
      const conclusions = scalingConclusions(standard, [], presets.demo)
      const findings = { standard, comparisons: [], conclusions, results, plan: presets.demo, command: [] }
      const { html, plots } = scalingReport({ ...findings, settings: { preset: 'demo' } })
      return {
        conclusions: conclusions.join(' '),
        html,
        names: plots['loss-vs-compute'].series.map(({ name }) => name),
      }
    }
    const few = reportOf(2)
    expect(few.names).toEqual(['hidden 10', 'hidden 20'])
    expect(few.conclusions).toMatch(
      /means of 2 seeds\. .* with 2 seeds\. Which size or which method is better they cannot say/,
    )
    expect(few.conclusions).not.toMatch(/lowest loss|power|FLOPs|resamples/)
    expect(few.html).not.toMatch(/of resamples|lowest loss|power law/)
    const many = reportOf(5)
    expect(many.names).toEqual(['hidden 10', 'hidden 20', 'lowest', '\u221d C^-1.00'])
    expect(many.conclusions).toMatch(/hidden size 10 has the lowest loss.*to the power 1\.00/)
    expect(many.html).toContain('of resamples')
  })

  it('fits a power law exactly where there is one', () => {
    const law = fitPowerLaw([1e6, 1e8, 1e9].map((c) => [c, 7 * c ** -0.3] as const))
    expect(law).toEqual({ factor: expect.closeTo(7, 9), exponent: expect.closeTo(0.3, 12) })
    expect(fitPowerLaw([[5, 1]])).toBeUndefined()
  })

  it('takes means over seeds and their intervals', () => {
    const other: Curve = [
      [1, 2],
      [10, 8],
      [100, 3],
    ]
    expect(meanCurve([steep, other])).toEqual([
      [1, expect.closeTo(4, 12)],
      [10, expect.closeTo(4, 12)],
      [100, expect.closeTo(3, 12)],
    ])
    // Mean 2, standard error 1 / sqrt(3), t of two degrees 4.303
    const { value, low, high } = tInterval([1, 2, 3])
    expect([value, low, high]).toEqual([2, expect.closeTo(2 - 2.4844, 3), expect.closeTo(2 + 2.4844, 3)])
    // t of 11 degrees, beyond the table: 2.2010
    const many = Array.from({ length: 12 }, (_, i) => i)
    expect(tInterval(many).high).toBeCloseTo(5.5 + 2.201 * Math.sqrt(13 / 12), 3)
    expect(tInterval([5]).high).toBe(Number.POSITIVE_INFINITY)
  })
})

it('writes completions with the units first', () => {
  expect(rowOf({ a: 27, b: 58 })).toEqual({ prompt: '27+58=', completion: '58' })
  expect(rowOf({ a: 70, b: 54 }).completion).toBe('421')
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
    taught: 40,
    held: 16,
    batchSize: 8,
    warmupSteps: 2,
    evalEvery: 2,
    marks: [0.5, 1],
    selfPlay: { mark: 0, iterations: 2, steps: 2, learningRate: 1e-4, beta: 0.1 },
    sizes: [16, 32].map((hidden) => ({ hidden, layers: 1, learningRate: 1e-3, steps: 8 })),
    seeds: 1,
    methods: ['sft', 'spin', 't-spin', 'asft'],
  }

  const run = async (name: string, each: (event: SweepEvent) => void = () => {}, signal?: AbortSignal) => {
    const settings = scalingSchema.parse({ output: join(root, name), jobs: 2 })
    const events: SweepEvent[] = []
    for await (const event of sweep(settings, { signal, preset })) {
      events.push(event)
      each(event)
    }
    return events
  }
  const results = async (name: string) => {
    const files = (await readdir(join(root, name, 'cells'))).sort()
    const texts = files.map((file) => readFile(join(root, name, 'cells', file), 'utf8'))
    return (await Promise.all(texts)).map((text) => ({ ...JSON.parse(text), seconds: 0 }))
  }

  it('trains every cell once, and leaves numbers, plots and a page', async () => {
    const events = await run('whole')
    expect(events[0]).toMatchObject({ event: 'plan', cells: 7, finished: 0 })
    expect(events.filter(({ event }) => event === 'cell')).toHaveLength(7)
    const last = events.at(-1)!
    if (last.event !== 'result') throw new Error(last.event)
    const page = await readFile(last.files.report, 'utf8')
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined/)
    expect(page.match(/<svg /g)).toHaveLength(12)
    expect((await readdir(last.files.plots)).sort()).toContain('loss-vs-compute.json')
    const all = await results('whole')
    const one = all.find(({ id }) => id === 'sft-h16-s1')
    expect(one.curve.map(({ flops }: { flops: number }) => flops / one.curve[0].flops)).toEqual(
      [1, 2, 3, 4].map((x) => expect.closeTo(x, 9)),
    )
    expect(one.marks).toMatchObject([{ exact: { total: 16 } }, { exact: { total: 16 } }])
    // Self-play begins where supervised training was at its first mark, and is measured there and after each round
    const helped = all.find(({ id }) => id === 'asft-h16-s1')
    expect(helped.marks[0].flops).toBe(one.marks[0].flops)
    expect(helped.curve).toHaveLength(3)
    // Sums that the helper model completes with nothing are left out
    expect(helped.curve[0].loss).toBeCloseTo(one.curve[1].loss, 1)
    expect(helped.marks[0].exact).toEqual(one.marks[0].exact)
    const helper = all.find(({ id }) => id === 'sft-h32-s1').marks[0].flops
    expect(helped.marks[2].flops).toBeGreaterThan(helped.marks[1].flops)
    expect(helped.marks[2].helperFlops).toBeGreaterThan(helper)
    expect(all.find(({ id }) => id === 'spin-h16-s1').marks[2].helperFlops).toBe(0)
  })

  it('goes on after a stop to the same numbers, and repeats nothing that is finished', async () => {
    const stop = new AbortController()
    const first = await run('stopped', ({ event }) => event === 'cell' && stop.abort(), stop.signal)
    expect(first.at(-1)).toMatchObject({ event: 'stopped', cells: 7 })
    const done = (await results('stopped')).length
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(7)
    const second = await run('stopped')
    expect(second[0]).toMatchObject({ event: 'plan', cells: 7, finished: done })
    const [again, whole] = [await results('stopped'), await results('whole')]
    for (const [i, result] of again.entries()) expect(result, result.id).toEqual(whole[i])
    expect((await run('stopped')).map(({ event }) => event)).toEqual(['plan', 'result'])
  })

  it('takes no folder that is not its own', async () => {
    await writeFile(join(root, 'letter'), 'x')
    await expect(run('letter')).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    await expect(run('')).rejects.toThrow(/is no sweep; choose another --output/)
    const other = sweep(scalingSchema.parse({ output: join(root, 'whole'), preset: 'demo' }), { preset })
    await expect(other.next()).rejects.toThrow(/holds a sweep with another preset/)
  })
})
