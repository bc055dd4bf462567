import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import type { StartEvent } from '../../runs/events.ts'
import { recipe, type TrainEvent } from './recipe.ts'
import { writeRunPage } from './runPage.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-recipe-'))
})
afterEach(() => rm(root, { recursive: true }))

const start: StartEvent = {
  event: 'start',
  step: 0,
  total_steps: 3,
  rows: 1,
  parameters: 1,
  trainable: 1,
  plan: 'fast',
  engine: { provider: 'cpu', threads: 1, version: '0' },
  model_files: [{ path: 'm', absolute: '/m', size: 1, sha256: 'a' }],
  data_files: [{ path: 'd', absolute: '/d', size: 1, sha256: 'b' }],
}
const schema = z.object({ output: z.string(), resume: z.boolean(), maxSteps: z.number(), learningRate: z.number() })
const counting = (from: number) =>
  recipe({ name: 'count', schema: async () => schema }, schema, async function* ({ maxSteps }, { run, signal }) {
    if (from > 0) run.goOn({ step: from })
    yield { ...start, step: from, total_steps: maxSteps }
    yield { event: 'progress', phase: 'load', done: 1, total: 1 }
    let step = from
    while (step < maxSteps && !signal.aborted) {
      const metrics = {
        loss: 1,
        grad_norm: 1,
        learning_rate: 1,
        epoch: 1,
        num_tokens: 1,
        'logps/rejected': Number.NaN,
      }
      yield { event: 'step', step: ++step, total_steps: maxSteps, ...metrics }
      yield { event: 'checkpoint', step, path: join(run.checkpoints, `step-${step}`) }
    }
    yield { event: 'end', steps: step, output: run.dir, stopped: signal.aborted ? 'interrupted' : 'done' }
  })

const collect = async (events: AsyncIterable<TrainEvent>, each: (event: TrainEvent) => void = () => {}) => {
  const all: TrainEvent[] = []
  for await (const event of events) {
    all.push(event)
    each(event)
  }
  return all
}
const log = async () =>
  (await readFile(join(root, 'r', 'events.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

it('stores the start facts in run.json and the other events in the log, without progress and NaN', async () => {
  const config = { output: join(root, 'r'), resume: false, maxSteps: 2, learningRate: 1 }
  const events = await collect(counting(0).run(config, { command: ['attune', 'count'] }))
  const names = ['start', 'step', 'checkpoint', 'step', 'checkpoint', 'end']
  expect(events.map(({ event }) => event)).toEqual(names.toSpliced(1, 0, 'progress'))
  expect((await log()).map(({ event }) => event)).toEqual(names)
  expect((await log())[1]).not.toHaveProperty('logps/rejected')
  expect((await log())[2].path).toBe(join('checkpoints', 'step-1'))
  const info = JSON.parse(await readFile(join(root, 'r', 'run.json'), 'utf8'))
  expect(info).toMatchObject({
    method: 'count',
    command: ['attune', 'count'],
    model_files: start.model_files,
    plan: 'fast',
  })
})

it('says after the start what 8-bit products gain, and logs of it only the warning of a run that begins', async () => {
  const config = { output: join(root, 'r'), resume: false, maxSteps: 1, learningRate: 1 }
  const gains = { event: 'compute', compute: 'int8', speed: 2, message: 'fast' } as const
  const slow = { event: 'warning', code: 'slow-compute', message: 'slow' } as const
  const asked = recipe({ name: 'count', schema: async () => schema }, schema, async function* (_, { run, loading }) {
    loading.onCompute(gains)
    loading.onCompute(slow)
    yield start
    yield { event: 'end', steps: 1, output: run.dir, stopped: 'done' }
  })
  const events = await collect(asked.run(config))
  expect(events.slice(0, 3)).toEqual([start, gains, slow])
  expect((await log()).map(({ event, code }) => code ?? event)).toEqual(['start', 'slow-compute', 'end'])
})

it('a resumed run has the log of one that was not interrupted', async () => {
  const config = { output: join(root, 'r'), resume: false, maxSteps: 3, learningRate: 1 }
  await collect(counting(0).run(config))
  const whole = await log()
  await rm(join(root, 'r'), { recursive: true })

  const stop = new AbortController()
  const first = await collect(counting(0).run(config, { signal: stop.signal }), ({ event }) => {
    if (event === 'checkpoint') stop.abort()
  })
  expect(first.at(-1)).toMatchObject({ event: 'end', steps: 1, stopped: 'interrupted' })
  const rest = await collect(counting(1).run({ ...config, resume: true }))
  expect(rest[0]).toMatchObject({ event: 'start', step: 1 })
  expect(await log()).toEqual(whole)
})

it('warns once of a loss that does not move, and a resumed run as one that was not stopped', async () => {
  const config = { output: join(root, 'r'), resume: false, maxSteps: 30, learningRate: 1 }
  const codes = (events: readonly TrainEvent[]) =>
    events.flatMap((event) => (event.event === 'warning' ? event.code : []))
  const events = await collect(counting(0).run(config))
  expect(codes(events)).toEqual(['loss-flat'])
  expect(events.at(-1)).toMatchObject({ event: 'end' })
  const whole = await log()
  expect(whole.at(-2)).toMatchObject({ event: 'warning', code: 'loss-flat' })
  await rm(join(root, 'r'), { recursive: true })

  const stop = new AbortController()
  const first = await collect(counting(0).run(config, { signal: stop.signal }), (event) => {
    if (event.event === 'checkpoint' && event.step === 25) stop.abort()
  })
  expect(codes(first)).toEqual([])
  expect(codes(await collect(counting(25).run({ ...config, resume: true })))).toEqual(['loss-flat'])
  expect(await log()).toEqual(whole)
})

it('writes the page of the run, always the same, and ends well where it cannot', async () => {
  const config = { output: join(root, 'r'), resume: false, maxSteps: 3, learningRate: 1 }
  await collect(counting(0).run(config))
  const page = join(root, 'r', 'report.html')
  const text = await readFile(page, 'utf8')
  expect(text).toContain('<h1>count: training loss 1.000 → 1.000</h1>')
  await writeRunPage(join(root, 'r'), { defaults: {} }, page)
  expect((await readFile(page, 'utf8')).length).toBe(text.length)

  await rm(page)
  await mkdir(join(page, 'in-the-way'), { recursive: true })
  const events = await collect(counting(2).run({ ...config, resume: true }))
  expect(events.at(-2)).toMatchObject({ event: 'warning', code: 'no-report' })
  expect(events.at(-1)).toMatchObject({ event: 'end', stopped: 'done' })
  expect((await log()).at(-1)).toMatchObject({ event: 'end' })
})

it('unlocks the run folder when the method throws or its events are not read to the end', async () => {
  const failing = recipe({ name: 'fail', schema: async () => schema }, schema, async function* () {
    yield { event: 'progress', phase: 'load', done: 0, total: 1 } as const
    throw new Error('bad rows')
  })
  const config = { output: join(root, 'r'), resume: false, maxSteps: 2, learningRate: 1 }
  await expect(collect(failing.run(config))).rejects.toThrow('bad rows')
  for await (const event of counting(0).run(config)) if (event.event === 'step') break
  const again = counting(1).run({ ...config, resume: true })
  expect((await collect(again)).at(-1)).toMatchObject({ event: 'end', steps: 2 })
})
