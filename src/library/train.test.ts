/** Training from a program: functions as rewards and losses, awaited and iterated, stopped and resumed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { bestOfN, compare, dpo, Fault, grpo, load, type RewardRow, sft, type TrainingResult } from '../index.ts'

vi.setConfig({ testTimeout: 240_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-library-'))
const at = (name: string) => join(root, name)
const model = fixture('models/stories260K')
beforeAll(() => vi.stubEnv('ATTUNE_CACHE', at('cache')))
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const data = [
  { prompt: 'Lily saw a dog.', letter: 'e' },
  { prompt: 'Tom had a ball.', letter: 'a' },
]
const rl = { model, data, loraR: 2, numGenerations: 2, maxNewTokens: 6, batchSize: 2, threads: 1, learningRate: 1e-3 }

const infoOf = (name: string) => JSON.parse(readFileSync(join(at(name), 'run.json'), 'utf8'))
const numberOfLetters = ({ completion, letter }: { completion: string; letter: string }) =>
  completion.split(letter).length - 1

let trained: TrainingResult

it('learns from a function of the program, which sees the columns of the rows', async () => {
  const seen = new Set<unknown>()
  const run = grpo({
    ...rl,
    output: at('grpo'),
    epochs: 2,
    reward: async function letters(rows) {
      for (const { prompt, letter } of rows) seen.add(`${prompt} ${letter}`)
      return rows.map(numberOfLetters)
    },
  })
  const rewards: unknown[] = []
  for await (const event of run) if (event.event === 'step') rewards.push(event.reward)
  trained = await run
  expect(rewards).toHaveLength(2)
  expect(rewards.every((reward) => typeof reward === 'number' && reward >= 0)).toBe(true)
  expect([...seen].sort()).toEqual(['Lily saw a dog. e', 'Tom had a ball. a'])
  expect(trained).toMatchObject({ steps: 2, stopped: 'done', output: at('grpo'), model: join(at('grpo'), 'adapter') })
  expect(trained.metrics['rewards/letters/mean']).toBe(rewards[1])
  expect(infoOf('grpo').config.reward).toEqual([expect.stringMatching(/^letters=function:[0-9a-f]{16}$/)])
})

it('gives a result that load opens', async () => {
  const opened = await load(trained, { threads: 1 })
  try {
    expect((await opened.generate('Lily', { maxNewTokens: 3 })).ids).toHaveLength(3)
  } finally {
    await opened.close()
  }
})

it('goes on with a function of the same text alone', async () => {
  const settings = { ...rl, output: at('stopped'), epochs: 3 }
  const stop = new AbortController()
  const letters = (rows: readonly RewardRow<(typeof data)[number]>[]) => rows.map(numberOfLetters)
  const run = grpo({ ...settings, reward: letters }, { signal: stop.signal })
  for await (const event of run) if (event.event === 'step') stop.abort()
  expect(await run).toMatchObject({ stopped: 'interrupted', steps: 1 })
  const other = grpo({ ...settings, resume: true, reward: { letters: () => [0, 0, 0, 0] }.letters })
  await expect(other).rejects.toThrow(/^reward: was \["letters=function:/)
  const again = { letters: (rows: readonly RewardRow<(typeof data)[number]>[]) => rows.map(numberOfLetters) }
  expect(await grpo({ ...settings, resume: true, reward: again.letters })).toMatchObject({ stopped: 'done', steps: 3 })
})

it('takes a loss of the program, and rows as files and as an iterable', async () => {
  const rows = async function* () {
    yield { prompt: 'Once upon a time', chosen: ', a dog was kind.', rejected: ' the end', source: 'me' }
  }
  const { metrics } = await dpo({
    model,
    data: rows(),
    evalData: [{ prompt: 'Lily', chosen: ' smiled.', rejected: ' hit him.' }],
    output: at('loss'),
    epochs: 1,
    threads: 1,
    loss: ({ logps }) => ({
      loss: logps
        .slice(1, 1, 2)
        .sub(logps.slice(1, 0, 1))
        .mean(),
      metrics: {
        gap: logps
          .slice(1, 0, 1)
          .sub(logps.slice(1, 1, 2))
          .mean(),
      },
    }),
  })
  expect(Number.isFinite(metrics.gap)).toBe(true)
  expect(metrics.eval_loss).toBeCloseTo(-metrics.eval_gap, 4)
})

it('says what is wrong by the names of settings', async () => {
  const message = async (run: PromiseLike<unknown>) => {
    const error = await Promise.resolve(run).then(
      () => expect.fail('it ran'),
      (fault) => fault,
    )
    expect(error).toBeInstanceOf(Fault)
    return error.message
  }
  const row = { text: 'A dog ran.' }
  const output = at('never')
  // @ts-expect-error there is no such setting
  expect(await message(sft({ model, data: [row], output, learningrate: 1 }))).toBe(
    'sft(): "learningrate" is not a setting of it; did you mean learningRate?',
  )
  expect(await message(sft({ model, data: [row], output, epochs: -1 }))).toMatch(/^sft\(\): epochs: /)
  const alone = grpo({ ...rl, output, numGenerations: 1, reward: () => [1, 1] })
  expect(await message(alone)).toMatch(/^numGenerations: each sample is compared/)
  expect(await message(sft({ model, data: [row], resume: true }))).toMatch(/^resume: needs output/)
  // @ts-expect-error it is no setting of a program
  expect(await message(sft({ model, data: [row], output, findLr: true }))).toMatch(/^sft\(\): findLr is of the command/)
  // @ts-expect-error rows of another method
  expect(await message(dpo({ model, data: [row], output }))).toMatch(/text/)
})

it('picks the best of several completions, and compares policies, by a function', async () => {
  const shortest = (rows: readonly { completion: string }[]) => rows.map(({ completion }) => -completion.length)
  const { rows, failed } = await bestOfN({
    model,
    data,
    reward: shortest,
    numGenerations: 4,
    maxNewTokens: 5,
    threads: 1,
  })
  expect(rows.map(({ completion, reward }) => completion.length + reward!)).toEqual([0, 0])
  expect(failed).toBe(0)
  const events: string[] = []
  const run = compare({
    policies: [`one=${at('grpo')}`, `two=${at('stopped')}`],
    sft: model,
    data,
    judge: shortest,
    samples: 2,
    maxNewTokens: 4,
    output: at('compare'),
    threads: 1,
  })
  for await (const event of run) events.push(event.event)
  expect(events).toEqual(expect.arrayContaining(['plan', 'result']))
  const { words, files } = await run
  expect(words.length).toBeGreaterThan(0)
  expect(readFileSync(files.report, 'utf8')).toContain('shortest')
})
