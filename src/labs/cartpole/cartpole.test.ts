/** The lab: learning, determinism and the folder of results. The figures in docs/ come from long runs. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mean } from '../../statistics/summary.ts'
import { adamStep, makeAdam } from './adam.ts'
import { drawingRows, drawPole } from './ascii.ts'
import { makeEnvs, maxEpisodeSteps, resetEnv, running, stateSize, stepEnv } from './env.ts'
import { findingsOf } from './findings.ts'
import { type CartpoleEvent, cartpole } from './lab.ts'
import { claimCartpoleFolder } from './output.ts'
import { episode } from './replay.ts'
import { firstSolved, type RunResult, trainRun } from './run.ts'
import { cartpoleSchema, chosenMethods, methodNames } from './settings.ts'

const settings = { episodes: 60, steps: 20_000, envs: 8 }

describe('environments', () => {
  it('start within 0.05 of upright, in another state for each episode, environment and seed', () => {
    const envs = makeEnvs(50, 1)
    expect(envs.states.every((x) => Math.abs(x) <= 0.05)).toBe(true)
    const before = [...envs.states.subarray(0, stateSize)]
    resetEnv(envs, 0)
    const all = [before, ...Array.from({ length: 50 }, (_, i) => [...envs.states.subarray(4 * i, 4 * i + 4)])]
    expect(new Set([...all, [...makeEnvs(1, 2).states]].map(String)).size).toBe(52)
    expect([...makeEnvs(1, 1).states]).toEqual(before)
  })

  it('do not depend on the environments beside them', () => {
    const [one, many] = [makeEnvs(1, 5), makeEnvs(7, 5)]
    for (let t = 0; t < 8; t++) for (let i = 0; i < 7; i++) stepEnv(many, i, i === 0 ? t % 2 : 1)
    for (let t = 0; t < 8; t++) expect(stepEnv(one, 0, t % 2)).toBe(running)
    expect([...many.states.subarray(0, stateSize)]).toEqual([...one.states])
  })
})

it("Adam's first step has the size of the learning rate, whatever the size of the gradient", () => {
  const [weights, gradient] = [new Float64Array(2), Float64Array.of(1e-3, -50)]
  adamStep(makeAdam(2), weights, gradient, 0.01)
  expect(weights[0]).toBeCloseTo(-0.01, 6)
  expect(weights[1]).toBeCloseTo(0.01, 6)
  expect([...gradient]).toEqual([0, 0])
})

describe('training', () => {
  it.each(methodNames)('%s: the same seed gives the same run, another one another', (method) => {
    const short = { ...settings, episodes: 12, steps: 1500 }
    const plain = (seed: number) => ({ ...trainRun(method, seed, short), seconds: 0 })
    expect(plain(3)).toEqual(plain(3))
    expect(plain(3).lengths).not.toEqual(plain(4).lengths)
  })

  it('PPO learns within 20,000 steps, and evaluates its best weights on episodes of their own', () => {
    const { lengths, best, steps, ends } = trainRun('ppo', 1, settings)
    expect(mean(lengths.slice(-10))).toBeGreaterThan(4 * mean(lengths.slice(0, 20)))
    expect(best.mean).toBe(mean(best.lengths))
    expect(best.lengths).toHaveLength(100)
    expect(steps).toBe(20_480)
    expect(ends.every((end, i) => i === 0 || end >= ends[i - 1])).toBe(true)
  })

  it("the tutorial's PPO stays at the length of random actions, and learns when it is mended", () => {
    const flat = trainRun('ppo-resampled', 1, { ...settings, episodes: 80 })
    expect(mean(flat.lengths.slice(-40))).toBeLessThan(40)
    const mended = trainRun('ppo-mended', 1, { ...settings, episodes: 80 })
    expect(mean(mended.lengths.slice(-40))).toBeGreaterThan(2 * mean(flat.lengths.slice(-40)))
  })
})

it('solved is the first episode whose last hundred have a mean of 475', () => {
  const lengths = [...new Array(50).fill(20), ...new Array(150).fill(500)]
  // 5 of 20 and 95 of 500: 476; 6 and 94: 471.2
  expect(firstSolved(lengths)).toBe(145)
  expect(firstSolved(lengths.slice(0, 144))).toBeUndefined()
  expect(firstSolved(new Array(99).fill(500))).toBeUndefined()
})

it('curves are means of the last 20 episodes, with intervals over seeds', () => {
  const run = (seed: number, length: number): RunResult => ({
    method: 'reinforce',
    seed,
    lengths: new Array(200).fill(length),
    steps: 200 * length,
    seconds: 1,
    ends: Array.from({ length: 200 }, (_, i) => (i + 1) * length),
    best: { episode: 1, step: length, weights: [], lengths: [], mean: length },
  })
  const [finding] = findingsOf([run(1, 100), run(2, 300), run(3, 480)])
  expect(finding).toMatchObject({ reached: 1, solved: 0, stepsPerSecond: (200 * 880) / 3 })
  expect(finding.byEpisode.points.at(-1)).toEqual([200, expect.closeTo(880 / 3, 9)])
  // t with 2 degrees of freedom reaches beyond what lengths can be
  expect(finding.byEpisode.interval!.at(-1)).toEqual([0, 500])
  expect(finding.byStep.points[0][0]).toBeGreaterThanOrEqual(480)
})

it('draws a pole that leans as it does', () => {
  const column = (lines: string[], row: number, sign: string) => lines[row].indexOf(sign)
  const upright = drawPole([0, 0, 0, 0], 81)
  expect(upright).toHaveLength(drawingRows)
  expect(column(upright, 2, 'o')).toBe(40)
  expect(upright[10]).toContain('[==+==]')
  expect(column(drawPole([0, 0, 0.2, 0], 81), 2, 'o')).toBeGreaterThan(41)
  expect(column(drawPole([-2.4, 0, -0.2, 0], 81), 2, 'o')).toBe(-1)
  expect(Math.max(...drawPole([2.4, 0, 0.2, 0], 81).map((line) => line.length))).toBe(81)
})

describe('the folder of results', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'attune-cartpole-'))
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  const run = async (name: string, more: object = {}, signal?: AbortSignal) => {
    const given = { output: join(root, name), method: ['reinforce', 'ppo-resampled'], seeds: 2, episodes: 30, ...more }
    const events: CartpoleEvent[] = []
    for await (const event of cartpole(cartpoleSchema.parse(given), { signal, command: ['attune', 'cartpole'] }))
      events.push(event)
    return events
  }

  it('has numbers, plots and a page without a script; a second run replaces it', async () => {
    const events = await run('lab')
    expect(events[0]).toMatchObject({ event: 'plan', runs: 4 })
    const last = events.at(-1)!
    if (last.event !== 'result') throw new Error(last.event)
    const page = await readFile(last.files.report, 'utf8')
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined|Infinity/)
    expect(page.match(/<svg /g)).toHaveLength(10)
    expect(page.match(/<animateTransform/g)).toHaveLength(4)
    expect((await readdir(last.files.runs)).sort()).toEqual([
      'ppo-resampled-42.json',
      'ppo-resampled-43.json',
      'reinforce-42.json',
      'reinforce-43.json',
    ])
    const stored = JSON.parse(await readFile(join(last.files.runs, 'reinforce-43.json'), 'utf8'))
    const own = trainRun('reinforce', 43, { episodes: 30, steps: 0, envs: 8 })
    expect({ ...stored, seconds: 0 }).toEqual({ ...own, seconds: 0, solved: undefined })
    const played = [...episode({ outputs: 2, weights: Float64Array.from(stored.best.weights) }, 9)]
    expect(played.length).toBeLessThanOrEqual(maxEpisodeSteps + 1)
    await run('lab', { method: ['ppo-resampled'], seeds: 1 })
    expect(await readdir(last.files.runs)).toEqual(['ppo-resampled-42.json'])
  })

  it('is refused where it holds files of others', async () => {
    await writeFile(join(root, 'letter'), 'x')
    await expect(run('letter')).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    await expect(run('')).rejects.toThrow(/is no lab of this kind; choose another --output/)
  })

  it('stays empty after an abort', async () => {
    const stop = new AbortController()
    stop.abort()
    expect((await run('stopped', {}, stop.signal)).at(-1)).toEqual({ event: 'stopped', finished: 0, runs: 4 })
    expect(await readdir(join(root, 'stopped'))).toEqual([])
  })
})

it('takes methods by name, and all of them in one order', () => {
  expect(chosenMethods(cartpoleSchema.parse({}))).toEqual([...methodNames])
  expect(chosenMethods(cartpoleSchema.parse({ method: ['ppo', 'reinforce'] }))).toEqual(['reinforce', 'ppo'])
})

it('takes a folder in which a killed lab left only a temporary file, and no folder of others', async () => {
  const left = await mkdtemp(join(tmpdir(), 'attune-claim-'))
  await writeFile(join(left, 'cartpole.json.598ed8a7981b.tmp'), '{')
  expect(await claimCartpoleFolder(left)).toBe(left)
  await writeFile(join(left, 'thesis.txt'), 'mine')
  await expect(claimCartpoleFolder(left)).rejects.toMatchObject({ code: 'taken' })
  await rm(left, { recursive: true })
})
