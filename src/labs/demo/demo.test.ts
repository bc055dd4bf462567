/** The demo at a size of seconds: its files, its determinism, and the folders that it refuses. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { modelOfRun, readRun } from '../../runs/find.node.ts'
import { wilson } from '../../statistics/intervals.ts'
import {
  classCompletions,
  classShares,
  errorOf,
  lossFloor,
  promptOf,
  rankCompletions,
  splitSums,
  totalOf,
} from './addition.ts'
import { type DemoEvent, demo } from './demo.ts'
import { alignmentRows, type DemoResult, gainText } from './result.ts'
import { type DemoSizes, demoSchema } from './settings.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-demo-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true, force: true })
})

const sizes: DemoSizes = {
  taught: 20,
  ranked: 8,
  tested: 15,
  students: 1,
  samples: 16,
  learn: { maxSteps: 3, batchSize: 8, learningRate: 1e-3 },
  align: { maxSteps: 3, batchSize: 4, learningRate: 1e-4, beta: 0.5 },
  imitate: { maxSteps: 3, batchSize: 4, learningRate: 1e-4 },
  selfPlay: { iterations: 1, maxSteps: 2, batchSize: 4, learningRate: [1e-4], beta: [0.5], exactMatch: false },
}

const runDemo = async (name: string, signal?: AbortSignal, each: (event: DemoEvent) => void = () => {}) => {
  const events: DemoEvent[] = []
  for await (const event of demo(demoSchema.parse({ output: join(root, name), seed: 3 }), { sizes, signal })) {
    events.push(event)
    each(event)
  }
  return events
}

describe('the data', () => {
  const split = splitSums(5, { taught: 3000, ranked: 95, tested: 1000 })

  it('has each sum once, in either order, drawn by the seed', () => {
    const all = Object.values(split).flat()
    const unordered = new Set(all.map(({ a, b }) => `${Math.min(a, b)} ${Math.max(a, b)}`))
    expect(unordered.size).toBe(4095)
    expect(all.filter(({ a, b }) => a > b).length / all.length).toBeCloseTo(0.5, 1)
    expect(splitSums(5, { taught: 3000, ranked: 95, tested: 1000 })).toEqual(split)
    expect(splitSums(6, { taught: 3000, ranked: 95, tested: 1000 }).tested).not.toEqual(split.tested)
  })

  it('has students who err as often as classShares says', () => {
    const rows = classCompletions(5, split.taught, 4)
    expect(rows).toHaveLength(12_000)
    const off = rows.map(({ prompt, completion }) => {
      const [, a, b] = /^(\d+)\+(\d+)=$/.exec(prompt)!
      return Number(completion) - Number(a) - Number(b)
    })
    const shareOf = (by: number) => off.filter((x) => x === by).length / off.length
    expect(shareOf(0)).toBeCloseTo(classShares.right, 1.7)
    expect(shareOf(1)).toBeCloseTo(classShares.close, 1.7)
    expect(shareOf(10) + shareOf(-10)).toBeCloseTo(classShares.wrong, 1.7)
    // Entropy of (0.4, 0.45, 0.075, 0.075) is 1.1143 nats; two or three digits and the end
    expect(lossFloor([{ completion: '12' }, { completion: '123' }])).toBeCloseTo((2 * 1.1143) / 7, 4)
  })

  it('ranks completions by their error, and needs three different errors', () => {
    const sum = { a: 27, b: 58 }
    expect(totalOf(sum)).toBe(85)
    expect(['85', '86', '75', '8+', ''].map((completion) => errorOf(sum, completion))).toEqual([
      0,
      1,
      10,
      Infinity,
      Infinity,
    ])
    expect(rankCompletions(sum, ['75', '86', '85', '84', '86', '9'])).toEqual({
      prompt: '27+58=',
      responses: ['85', '86', '75'],
      ranks: [1, 2, 3],
    })
    expect(rankCompletions(sum, ['85', '86', '84'])).toBeUndefined()
  })
})

describe('the demo', () => {
  it('plays six acts and leaves numbers, models, plots and a page', async () => {
    const events = await runDemo('a')
    expect(events.filter(({ event }) => event === 'act' || event === 'accuracy' || event === 'rankings')).toMatchObject(
      [
        { act: 1 },
        { act: 1, share: { total: 15 } },
        { act: 2 },
        { act: 2, asked: 8 },
        { act: 3 },
        { act: 3, share: { total: 15 } },
        ...[4, 5, 6].flatMap((act) => [{ act }, { act, share: { total: 15 } }]),
      ],
    )
    const last = events.at(-1)!
    if (last.event !== 'result') throw new Error(last.event)
    const { folder, result, tested } = last
    expect(JSON.parse(await readFile(folder.results, 'utf8'))).toMatchObject({ state: 'done', parameters: 334_944 })
    expect(result.after.right).toBe(result.before.right + result.mended - result.spoiled)
    expect(result.kinds.after.right).toBe(result.after.right)
    for (const { name, outcome } of alignmentRows(result)) {
      expect(outcome.before, name).toEqual(result.before)
      expect(outcome.after.right, name).toBe(outcome.before.right + outcome.mended - outcome.spoiled)
    }
    for (const key of ['after', 'imitation', 'spin', 'asft'] as const) {
      const outcome = key === 'after' ? result : result.beside[key]
      expect(tested.filter((sum) => sum[key] === sum.right).length, key).toBe(outcome.after.right)
    }
    expect(events.find(({ event }) => event === 'answers')).toEqual({
      event: 'answers',
      act: 3,
      answers: tested.slice(0, 6).map(({ prompt, right, before, after }) => ({ prompt, right, before, after })),
    })
    expect(tested.map(({ prompt }) => prompt)).toEqual(splitSums(3, sizes).tested.map(promptOf))
    expect((await readdir(folder.plots)).sort()).toEqual(
      ['accuracy', 'dpo-loss', 'order', 'reward-margin', 'sft-loss'].map((name) => `${name}.svg`),
    )
    expect(await readRun(folder.dpo)).toMatchObject({
      state: 'done',
      steps: 3,
      info: { config: { model: join(folder.sft, 'model') } },
    })
    for (const run of [folder.imitation, folder.spin, folder.asft])
      expect(await readRun(run)).toMatchObject({
        state: 'done',
        info: { config: { model: join(folder.sft, 'model'), data: [folder.right] } },
      })
    expect(await readRun(folder.asft)).toMatchObject({ info: { config: { helper: [join(folder.dpo, 'model')] } } })
    expect(await modelOfRun(folder.dpo)).toEqual({ model: join(folder.dpo, 'model') })
  })

  it('writes a page that asks nothing of the network and is well-formed', async () => {
    const page = await readFile(join(root, 'a', 'report.html'), 'utf8')
    expect(page).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link/)
    expect(unclosed(page)).toEqual([])
    expect(page.match(/<svg /g)).toHaveLength(5)
    expect(page).toContain('attune generate --model')
    for (const name of await readdir(join(root, 'a', 'plots')))
      expect(unclosed(await readFile(join(root, 'a', 'plots', name), 'utf8'))).toEqual([])
  })

  it('gives the same numbers for the same seed in its own folder, and leaves files of others there', async () => {
    const data = () => readFile(join(root, 'a', 'data', 'tested.jsonl'), 'utf8')
    const losses = async (run: string) =>
      (await readFile(join(root, 'a', run, 'events.jsonl'), 'utf8')).match(/"loss":[^,]+/g)
    const log = () => Promise.all(['dpo', 'imitation', 'spin', 'asft'].map(losses))
    const before = [await data(), await log()]
    await writeFile(join(root, 'a', 'notes.txt'), 'mine')
    await runDemo('a')
    expect([await data(), await log()]).toEqual(before)
    expect(await readFile(join(root, 'a', 'notes.txt'), 'utf8')).toBe('mine')
  })

  it('stops after an abort, and begins anew when it is run again', async () => {
    const stop = new AbortController()
    const events = await runDemo('b', stop.signal, ({ event }) => event === 'step' && stop.abort())
    expect(events.at(-1)).toEqual({ event: 'stopped' })
    expect(JSON.parse(await readFile(join(root, 'b', 'demo.json'), 'utf8'))).toMatchObject({ state: 'running' })
    expect((await runDemo('b')).at(-1)).toMatchObject({ event: 'result' })
  })

  it('takes no folder that is not its own', async () => {
    await writeFile(join(root, 'letter'), 'x')
    await expect(runDemo('')).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    await expect(runDemo('letter')).rejects.toThrow(/letter: is a file; choose another --output/)
    expect(await readdir(root)).toContain('letter')
  })
})

describe('what the result says', () => {
  const outcome = (right: number) => ({
    before: wilson(570, 1000),
    after: wilson(right, 1000),
    kinds: { before: { right: 570, close: 350, wrong: 80 }, after: { right, close: 0, wrong: 1000 - right } },
    mended: right - 570,
    spoiled: 0,
  })
  const result = (dpo: number, imitation: number, spin: number, asft: number): DemoResult => ({
    ...outcome(dpo),
    seed: 1,
    sizes,
    parameters: 1,
    floor: 0.3,
    rankings: 584,
    knew: 590,
    seconds: { learn: 1, compare: 1, align: 1 },
    beside: {
      imitation: { ...outcome(imitation), seconds: 1 },
      spin: { ...outcome(spin), seconds: 1 },
      asft: { ...outcome(asft), seconds: 1 },
    },
  })

  it('names the ways that gained beyond the interval of before, and those that did not', () => {
    expect(gainText(result(880, 900, 890, 890))).toBe(
      'All four ways work here: from 57 % right to between 88 % and 90 %.',
    )
    expect(gainText(result(880, 880, 590, 540))).toBe(
      'Some ways work here, from 57 % right to 88 %: rankings (dpo), imitation (sft). No gain beyond what chance allows: SPIN, aSFT.',
    )
    expect(gainText(result(590, 590, 590, 560))).toMatch(/^No way makes/)
  })
})

/** Elements that are not closed in their order, and texts with signs that stand for nothing. */
const unclosed = (text: string): string[] => {
  const open: string[] = []
  const body = text.replace(/^<!doctype html>/, '').replace(/<style>[^<]*<\/style>/g, '')
  for (const [tag, end, name, own] of body.matchAll(
    /<(\/?)([a-z0-9]+)(?:\s+[a-zA-Z-]+="[^"<]*")*\s*(\/?)>|[<>]|&(?!#\d+;)/g,
  )) {
    if (!name) return [...open, tag]
    if (end && open.pop() !== name) return [...open, tag]
    if (!end && !own) open.push(name)
  }
  return open
}
