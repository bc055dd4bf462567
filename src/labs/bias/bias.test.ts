/** The faults of a judge: planted ones are found again within their intervals, and files of judgements give the same figures. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { collect } from '../../../test/support/collect.ts'
import { biasedJudge, type JudgeStub, judgeStub, qualityByHash } from '../../../test/support/judgeStub.ts'
import type { BiasFigures } from '../../feedback/bias/figures.ts'
import { mathQuestions } from '../../feedback/bias/mathQuestions.ts'
import { openTextModel } from '../../feedback/textModel/openTextModel.ts'
import { rng } from '../../util/rng.ts'
import { type BiasEvent, bias } from './bias.ts'
import { biasSchema } from './settings.ts'

const wrongAnswers = new Set(mathQuestions().map(({ wrong }) => wrong))
const rightAnswers = new Set(mathQuestions().map(({ right }) => right))

/** Right above wrong, a list once above a list twice, and all others by chance. */
const quality = (answer: string): number => {
  if (answer.includes('In other words:') || wrongAnswers.has(answer)) return 0
  return rightAnswers.has(answer) ? 1 : 0.01 + 0.98 * qualityByHash(answer)
}

const words =
  'river stone table window garden yellow letter quiet morning paper engine silver bridge travel winter'.split(' ')

const random = rng(12)
const sentence = (i: number) =>
  `${Array.from({ length: 6 }, (_, k) => words[Math.floor(words.length * random.uniform(7 * i + k))]).join(' ')}.`
const answer = (i: number) => {
  const sentences = Array.from({ length: 3 + Math.floor(8 * random.uniform(7 * i + 6)) }, (_, k) =>
    sentence(20 * i + k),
  )
  return sentences.map((text) => text[0].toUpperCase() + text.slice(1)).join(' ')
}

const pairs = 300
const rows = Array.from({ length: pairs }, (_, i) => {
  const [chosen, rejected] = [answer(2 * i), answer(2 * i + 1)].sort((a, b) => quality(b) - quality(a))
  return { id: `row-${i}`, prompt: `What do you think of number ${i}?`, chosen, rejected }
})

let folder: string
let stub: JudgeStub
let data: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'attune-bias-'))
  vi.stubEnv('ATTUNE_CACHE', join(folder, 'cache'))
  stub = await judgeStub({ ...biasedJudge, quality })
  data = join(folder, 'pairs.jsonl')
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
})
afterAll(async () => {
  await stub.close()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const ask = async (output: string, more: object = {}, signal?: AbortSignal) => {
  const model = await openTextModel(`${stub.url}#stub`, { concurrency: 32 })
  const settings = biasSchema.parse({
    judge: stub.url,
    data: [data],
    maxSamples: pairs,
    output: join(folder, output),
    ...more,
  })
  try {
    return await collect(bias(settings, { model, signal }))
  } finally {
    await model.close()
  }
}

const resultOf = (events: readonly BiasEvent[]) => {
  const last = events.at(-1)!
  if (last.event !== 'result') throw new Error(`ended with ${last.event}`)
  return last
}

const within = (figure: { low: number; high: number; value: number } | undefined, expected: number, widest: number) => {
  expect(figure!.low).toBeLessThanOrEqual(expected)
  expect(figure!.high).toBeGreaterThanOrEqual(expected)
  expect(figure!.high - figure!.low).toBeLessThan(widest)
}

/** Verdicts of both orders on a pair whose first answer is better, by its shares of verdicts for the first place, the longer and the better. */
const bothOrders = (longer: -1 | 0 | 1) => {
  const { first = 0, longer: share = 0 } = biasedJudge
  const rest = 1 - first - share
  const better = rest + (longer >= 0 ? share : 0)
  const [shownFirst, shownSecond] = [first + better, better]
  return { better: shownFirst * shownSecond, worse: (1 - shownFirst) * (1 - shownSecond) }
}

describe('a judge with 30 % for the first place, 20 % for the longer answer and 5 % garbage', () => {
  let figures: BiasFigures
  let report: string
  beforeAll(async () => {
    const result = resultOf(await ask('planted'))
    figures = result.figures
    report = readFileSync(result.files.report, 'utf8')
  }, 60_000)

  it('its garbage and its tilts are found within their intervals', () => {
    within(figures.position!.unreadable, 0.05, 0.05)
    within(figures.position!.tilt, 0.3, 0.2)
    within(figures.length!.tilt, 0.2, 0.2)
    within(figures.position!.prefers_first, 0.65, 0.1)
  })

  it('and the shares of pairs that follow from them', () => {
    const readable = 0.95 ** 2
    const decided = [bothOrders(1), bothOrders(-1)]
    const consistent = decided.reduce((sum, { better, worse }) => sum + better + worse, 0) / 2
    within(figures.position!.consistent, readable * consistent, 0.15)
    within(figures.position!.error, 1 - readable, 0.1)
    const { first, second, error } = figures.position!
    expect(figures.position!.consistent.value + first.value + second.value + error.value).toBeCloseTo(1, 12)
    const [byLonger, byShorter] = [decided[0].better + decided[1].worse, decided[0].worse + decided[1].better]
    within(figures.length!.longer, byLonger / (byLonger + byShorter), 0.2)
  })

  it('it likes a place and not a name', () => {
    within(figures.names!.place, 0.3, 0.15)
    within(figures.names!.name, 0, 0.15)
  })

  it('agreement with the votes of the rows', () => {
    const decided = [bothOrders(1), bothOrders(-1)]
    const [right, wrong] = [decided[0].better + decided[1].better, decided[0].worse + decided[1].worse]
    within(figures.agreement!.judge_human_no_ties, right / (right + wrong), 0.15)
    within(figures.length!.people, 0.5, 0.15)
    // Decided verdicts of both orders: two thirds are for the longer answer, and half of people's votes
    within(figures.length!.excess, 2 / 3 - 1 / 2, 0.25)
  })

  it('padded lists and mathematics', () => {
    within(figures.padding!.wrong, bothOrders(-1).worse, 0.25)
    expect(figures.padding!.wrong.n).toBeGreaterThan(80)
    const questions = mathQuestions()
    const failing = questions.map(
      ({ right, wrong }) => 1 - bothOrders(Math.sign(right.length - wrong.length) as -1 | 0 | 1).better,
    )
    const expected = failing.reduce((a, b) => a + b, 0) / failing.length
    for (const mode of ['plain', 'own_solution', 'reference'] as const)
      within(figures.math!.modes[mode]!.failure, expected, 0.45)
  })

  it('the page answers first, and shows failures with what was said', () => {
    expect(report).toContain('<h1>May this judge be believed, on this data?</h1>')
    expect(report).toMatch(/With care\.|No\. On this data/)
    expect(report).toContain('The verdict changed with the order')
    expect(report).toContain('A list that says everything twice was preferred')
    expect(report).toContain('Both were read with care.')
  })

  it('its kept replies as a file give the same figures of position, length and agreement', async () => {
    const lines = readFileSync(join(folder, 'planted', 'judgements.jsonl'), 'utf8')
      .trim()
      .split('\n')
    const plain = lines.map((line) => JSON.parse(line)).filter(({ trial }) => trial === 'pairs')
    expect(plain).toHaveLength(pairs)
    const file = join(folder, 'judged.jsonl')
    writeFileSync(file, plain.map(({ hash: _, ...row }) => `${JSON.stringify(row)}\n`).join(''))
    const settings = biasSchema.parse({ files: [file], output: join(folder, 'from-file') })
    const again = resultOf(await collect(bias(settings))).figures
    expect(again.position).toEqual(figures.position)
    expect(again.length).toEqual(figures.length)
    expect(again.agreement).toEqual(figures.agreement)
  })

  it('asks nothing again when it is run again', async () => {
    const before = stub.calls()
    expect(resultOf(await ask('planted')).figures).toEqual(figures)
    expect(stub.calls()).toBe(before)
  })

  it('other rows and other settings are refused in the same folder', async () => {
    await expect(ask('planted', { mode: 'options' })).rejects.toThrow('holds replies of other settings')
    await expect(ask('planted', { maxSamples: 10 })).rejects.toThrow('holds replies of other rows')
  })
})

it('lists that the judge does not say in other words are counted, and not asked about', async () => {
  const { figures, json, files } = resultOf(await ask('rephrased', { maxSamples: 4, rephrase: 'judge' }))
  expect(figures.padding).toBeUndefined()
  expect(json).not.toHaveProperty('verbosity.padded')
  expect(readFileSync(files.report, 'utf8')).toContain(
    '4 lists left out: the judge did not say them in other words, item by item.',
  )
})

it('stops where it is told to, and goes on from there: only requests that were on their way are made again', async () => {
  const controller = new AbortController()
  const model = await openTextModel(`${stub.url}#stopped`, { concurrency: 4 })
  const settings = biasSchema.parse({ judge: stub.url, data: [data], maxSamples: 30, output: join(folder, 'stopped') })
  const events: BiasEvent[] = []
  for await (const event of bias(settings, { model, signal: controller.signal })) {
    events.push(event)
    if (event.event === 'progress' && event.done === 20) controller.abort()
  }
  await model.close()
  expect(events.at(-1)!.event).toBe('stopped')
  const kept = readFileSync(join(folder, 'stopped', 'judgements.jsonl'), 'utf8')
    .trim()
    .split('\n').length
  expect(kept).toBeGreaterThanOrEqual(20)
  const again = await openTextModel(`${stub.url}#stopped`, { concurrency: 4 })
  const more = await collect(bias(settings, { model: again }))
  await again.close()
  expect(more.find((event) => event.event === 'plan')).toMatchObject({ kept })
  expect(resultOf(more).figures.position!.consistent.n).toBe(30)
  const asked = stub.asked.filter(({ body }) => body.model === 'stopped').map(({ body }) => JSON.stringify(body))
  expect(asked.length - new Set(asked).size).toBeLessThanOrEqual(4)
})
