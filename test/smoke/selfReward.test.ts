/** Self-rewarding end to end: two iterations by a judge behind a server and by the model itself, killed over and over and resumed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selfreward } from '../../src/recipes/selfreward.ts'
import type { TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { answered, type FakeEndpoint, fakeEndpoint, send } from '../support/fakeEndpoint.ts'
import { fixture } from '../support/golden.ts'
import { eventsOf, hashOf, logWithoutTimes, runUntil as run, testFolder } from '../support/training.ts'

const { at, rows } = testFolder()

const seedRows = [
  ['Once upon a time there was', ' a little girl named Lily.'],
  ['Tom had a big red', ' ball. He liked it very much.'],
  ['The dog ran to the', ' park and saw a cat.'],
  ['One day, a little bird', ' flew over the house.'],
].map(([prompt, completion]) => ({ prompt, completion }))

const people = [
  { prompt: 'Tom had a big red', responses: [' ball. He went home.', ' the'], ranks: [1, 2] },
  { prompt: 'Mom said it was time', responses: [' to be.', ' eee to see the bees', ' no'], ranks: [2, 1, 3] },
  { prompt: 'The dog ran', responses: [' away', ' to see the trees'], ranks: [1, 2] },
]

/** The answer that a judge is asked about, and its score: the letters e in it. */
const answerIn = (text: string) => /<answer>\n([\s\S]*?)\n<\/answer>/.exec(text)?.[1] ?? ''
const pointsOf = (answer: string) => Math.min(5, answer.split('e').length - 1)

/** A judge that counts letters, and once in a while forgets the score; of two answers it likes the longer one. */
const reply = (text: string): string => {
  const [, a, b] = /<answer_a>([\s\S]*?)<\/answer_a>[\s\S]*<answer_b>([\s\S]*?)<\/answer_b>/.exec(text) ?? []
  if (a !== undefined) return a.length === b.length ? 'Equal. [[C]]' : `Longer. [[${a.length > b.length ? 'A' : 'B'}]]`
  const answer = answerIn(text)
  return answer.includes('x') ? 'I would rather not say.' : `It has letters.\nScore: ${pointsOf(answer)}`
}

let judge: FakeEndpoint
beforeAll(async () => {
  judge = await fakeEndpoint(({ body }, response) => {
    const messages = body.messages as { content: string }[]
    send(response, answered(reply(messages.at(-1)!.content)))
  })
})
afterAll(() => judge.close())

const settings = {
  ...{ model: fixture('models/stories260K'), threads: 1, batchSize: 2, saveEvery: 1, maxLength: 512 },
  ...{ sftEpochs: 1, epochs: 1, numPrompts: 3, numGenerations: 3, numJudgements: 2, maxNewTokens: 32 },
  ...{ learningRate: [1e-3], sftLearningRate: 1e-4, promptTemperature: 1 },
}
const judged = () => ({ ...settings, judge: `${judge.url}#judge`, outsideJudge: `${judge.url}#other` })

const read = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'))
/** The lines of a file of the run. */
// biome-ignore lint/suspicious/noExplicitAny: their shapes are what is tested
const lines = async (...path: string[]): Promise<Record<string, any>[]> =>
  (await readFile(join(...path), 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/** What a run leaves: its model, its log and its report. */
const outcome = async (dir: string) => ({
  model: await hashOf(dir),
  log: await logWithoutTimes(dir),
  report: await read(dir, 'selfreward.json'),
})

describe('with a judge behind a server', () => {
  let whole: Awaited<ReturnType<typeof outcome>>
  const files = async () => ({
    data: [await rows('seed', seedRows)],
    rankings: [await rows('people', people.slice(0, 2))],
    evalData: [await rows('held', people.slice(2))],
  })

  /** What an iteration left fits together. */
  const expectIteration = async (output: string, iteration: number, { pairs, prompts }: Record<string, number>) => {
    expect(prompts).toBe(3)
    expect(pairs).toBeGreaterThan(0)
    const folder = join(output, 'iterations', `${iteration}`)
    const kept = await lines(folder, 'pairs.jsonl')
    expect(kept).toHaveLength(pairs)
    expect(await lines(folder, 'pairs-dropped.jsonl')).toHaveLength(3 - pairs)
    for (const pair of kept) {
      expect(pair.score_chosen).toBe(pointsOf(pair.chosen))
      expect(pair.score_rejected).toBe(pointsOf(pair.rejected))
      expect(pair.score_chosen).toBeGreaterThan(pair.score_rejected)
      const scores = pair.scores.filter((score: number | null) => score !== null)
      expect([pair.score_chosen, pair.score_rejected]).toEqual([Math.max(...scores), Math.min(...scores)])
    }
  }

  it('makes prompts, answers, scores and pairs, and trains a model on them after the first', async () => {
    const output = at('server')
    const events = await run(selfreward, { ...judged(), ...(await files()), output, iterations: 1 })
    whole = await outcome(output)
    expect(eventsOf(events, 'end')[0]).toMatchObject({ stopped: 'done' })
    const steps = eventsOf(events, 'step')
    expect([...new Set(steps.map(({ model }) => model))]).toEqual(['m1', 'm2'])
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1))
    // The model before an iteration is its reference
    expect(Math.abs(steps.find(({ model }) => model === 'm2')!.loss - Math.LN2)).toBeLessThan(1e-6)
    const { models, iterations } = whole.report
    expect(models.map(({ model }: { model: string }) => model)).toEqual(['m1', 'm2'])
    // People put " away" above " to see the trees", and the judge the other way round
    expect(models[0]).toMatchObject({ agreement: { same: 0, tied: 0, other: 1, unscored: 0 }, judgements: 4 })
    expect(models[1].wins.wins + models[1].wins.ties + models[1].wins.losses).toBe(1)
    await expectIteration(output, 1, iterations[0])
    expect(await readFile(join(output, 'selfreward.html'), 'utf8')).toContain('m2')
  })

  it('teaches judging by the judgements that agree with people', async () => {
    const seed = (name: string) => lines(at('server'), 'seed', name)
    // " ball. He went home." has three letters e, " the" one
    const kept = await seed('eft.jsonl')
    const left = await seed('eft-dropped.jsonl')
    expect(kept.length + left.filter(({ dropped }) => dropped === 'commonest-score').length).toBe(5)
    for (const { prompt, completion, score } of kept) {
      expect(completion).toBe(`It has letters.\nScore: ${score}`)
      expect(prompt).toContain('<answer>\n')
    }
    const trained = await seed('sft.jsonl')
    expect(trained).toHaveLength(seedRows.length + kept.length)
  })

  it('ends alike when it is killed again and again, and asks for nothing that was answered', async () => {
    const given = { ...judged(), ...(await files()), output: at('killed'), iterations: 1, resume: true }
    const asked = judge.asked.length
    const ends: string[] = []
    for (let attempt = 1; !ends.includes('end'); attempt++) {
      const events = await run(selfreward, given, (_, events) => events.length > 2 * attempt)
      ends.push(events.at(-1)!.event)
      expect(attempt).toBeLessThan(40)
    }
    expect(ends.length).toBeGreaterThan(4)
    expect(judge.asked.length).toBe(asked)
    expect(await outcome(at('killed'))).toEqual(whole)
  })

  it('goes on for a further iteration where it is asked for one, also after Ctrl-C', async () => {
    const given = { ...judged(), ...(await files()), output: at('server'), iterations: 2, resume: true }
    const controller = new AbortController()
    const before: TrainEvent[] = []
    for await (const event of selfreward.run(selfreward.schema.parse(given), { signal: controller.signal })) {
      before.push(event)
      if (event.event === 'step') controller.abort()
    }
    expect(before.at(-1)).toMatchObject({ event: 'end', stopped: 'interrupted' })
    const events = [...before, ...(await run(selfreward, given))]
    expect(new Set(eventsOf(events, 'step').map(({ model }) => model))).toEqual(new Set(['m3']))
    expect(eventsOf(events, 'end').at(-1)).toMatchObject({ stopped: 'done' })
    const { models, iterations } = await read(at('server'), 'selfreward.json')
    expect(models.slice(0, 2)).toEqual(whole.report.models)
    await expectIteration(at('server'), 2, iterations[1])
  })
})

describe('with the model as its own judge', () => {
  it('counts what it cannot read, and ends with the first model where there is nothing to learn from', async () => {
    const output = at('own')
    const data = [await rows('seed', seedRows)]
    // The prompt of attune is longer than this model can read
    const judgePrompt = await rows('short', [{ text: '{prompt}{response} Score: 0 to 5. Score:' }])
    const given = {
      ...{ ...settings, numPrompts: 2, numGenerations: 2, maxNewTokens: 24, loraR: 4 },
      ...{ judgePrompt, data, rankings: [await rows('people', people)], evalSplit: 0.4, output },
    }
    const events = await run(selfreward, { ...given, judgeMaxNewTokens: 12 })
    expect(eventsOf(events, 'end')[0]).toMatchObject({ stopped: 'converged', output: join(output, 'adapter') })
    const { models, iterations } = await read(output, 'selfreward.json')
    expect(models).toMatchObject([{ model: 'm1', judgements: 4, parsed: 0, agreement_rate: null }])
    expect(iterations).toMatchObject([
      { judgements: 8, parsed: 0, pairs: 0, dropped: { 'cut-before-score': 8, 'fewer-than-two-scored': 2 } },
    ])
    const texts = await lines(output, 'iterations/1/judgements.jsonl')
    expect(texts).toHaveLength(8)
    expect(texts.every(({ text }) => text.length > 0)).toBe(true)
    const { code } = eventsOf(events, 'warning').at(-1)!
    expect(code).toBe('no-pairs')
    expect(await hashOf(output)).toBe(await hashOf(join(output, 'models/m1')))
  })
})

describe('bad settings are refused before anything is written', () => {
  it.each([
    ['judge and helper', { judge: 'a', helper: 'b' }, /--helper.*same as --judge/],
    ['a part of no rankings', { evalSplit: 0.5 }, /--eval-split.*--rankings/],
    ['a model that is not there', { judge: 'no/such/model' }, /no\/such\/model/],
    ['a judge without a tokenizer', { judge: fixture('models/llama-tied') }, /llama-tied.*no tokenizer/],
    [
      'a pair ranker without a tokenizer',
      { helper: fixture('models/pair-ranker') },
      /--helper.*pair-ranker.*tokenizer/,
    ],
    ['a reward model that compares', { outsideJudge: fixture('models/llama-reward') }, /--outside-judge.*scores/],
  ])('%s', async (_, given, message) => {
    const output = at('refused')
    const data = [await rows('seed', seedRows)]
    await expect(run(selfreward, { ...settings, ...given, data, output })).rejects.toThrow(message)
    await expect(readFile(join(output, 'run.json'))).rejects.toThrow()
  })

  it('token ids', async () => {
    const data = [await rows('ids', [{ prompt: [5, 6, 7], completion: [8, 9] }])]
    await expect(run(selfreward, { ...settings, data, output: at('refused') })).rejects.toThrow(/token ids.*texts/)
  })

  it('a prompt file without its places', async () => {
    const judgePrompt = await rows('prompt', [{ text: '{response}' }])
    const data = [await rows('seed', seedRows)]
    await expect(run(selfreward, { ...settings, judgePrompt, data, output: at('refused') })).rejects.toThrow(
      /prompt\.jsonl: has no \{prompt\}/,
    )
  })
})
