/** Reward models end to end: a rule is learned, every kind trains, and a resumed run ends as an uninterrupted one. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { scoreWeight } from '../../src/models/architecture.ts'
import { creditOf } from '../../src/recipes/reward/credit.ts'
import { reward } from '../../src/recipes/reward.ts'
import { sft } from '../../src/recipes/sft.ts'
import { openRewardModel } from '../../src/rewards/modelReward.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture, largestDifference } from '../support/golden.ts'
import { hashOf, ids, logOf, stopAfter, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()

/** Responses of 16 random ids; the better one contains the id 7. */
const ruled = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const response = (stream: number) => ids(stream, 4 + (stream % 5)).map((id) => 20 + (id % 16))
    const [chosen, rejected] = [response(3 * (from + i) + 1), response(3 * (from + i) + 2)]
    chosen[i % chosen.length] = 7
    return { prompt: ids(3 * (from + i), 3), chosen, rejected }
  })

it('a reward model learns a rule: accuracy above 95 % on new pairs', async () => {
  const data = await rows('ruled', ruled(0, 512))
  const evalData = [await rows('ruled-eval', ruled(1000, 100))]
  const settings = { data, evalData, batchSize: 16, learningRate: 5e-3, maxSteps: 64, output: at('ruled') }
  const { events } = await train(reward, { ...settings, centerRewards: 0.01 })
  const evals = events.filter(({ event }) => event === 'eval') as Record<string, number>[]
  // Accuracy on evaluation rows before training and after each epoch
  expect(evals.map(({ step }) => step)).toEqual([0, 32, 64])
  expect(evals[0].eval_accuracy).toBeLessThan(0.75)
  expect(evals.at(-1)!.eval_accuracy).toBeGreaterThan(0.95)
  const model = await openRewardModel({ model: at('ruled'), inProcess: true, threads: 1 })
  try {
    // Credit assignment: the token of the rule raises the score more than any other, by tokens and by segments
    const reply = [20, 21, 7, 22, 23]
    const [credit] = await creditOf(
      model.model,
      [9, 10, 11],
      [{ ids: reply, texts: reply.map((id) => (id === 7 ? 'Seven. ' : `${id}. `)), special: reply.map(() => false) }],
    )
    const largest = (pieces: { text: string; reward: number }[]) =>
      pieces.reduce((a, b) => (b.reward > a.reward ? b : a)).text
    expect([largest(credit.tokens), largest(credit.segments)]).toEqual(['Seven. ', 'Seven. '])
    const total = credit.tokens.reduce((sum, token) => sum + token.reward, credit.before)
    expect(total).toBeCloseTo(credit.reward, 4)
    expect(model.notes).toMatchObject({ kind: 'pairwise', outputs: 1, of: 'held-out', replies: 200 })
  } finally {
    await model.close()
  }
  const calibration = JSON.parse(await readFile(join(at('ruled'), 'model/calibration.json'), 'utf8'))
  expect(calibration.bins.reduce((n: number, bin: { pairs: number }) => n + bin.pairs, 0)).toBe(100)
})

const lists = Array.from({ length: 8 }, (_, i) => ({
  prompt: ids(7 * i, 3),
  responses: [1, 2, 3, 4].slice(0, 2 + (i % 3)).map((k) => ids(7 * i + k, 2 + k)),
  ranks: [2, 1, 3, 3].slice(0, 2 + (i % 3)),
}))
const best = lists.map(({ ranks, ...row }) => ({ ...row, best: ranks.indexOf(1) }))
const pairs = ruled(50, 12).map((row, i) => ({ ...row, score_chosen: 4 + (i % 3), score_rejected: 3 }))
const soft = pairs.map((row, i) => ({ ...row, prob: i % 2 ? 0.9 : 0.4 }))

describe.each<[string, object[], object, string]>([
  ['pairs', pairs, { margins: 'ratings', labelSmoothing: 0.1, initBias: true }, 'pairwise'],
  ['soft', soft, {}, 'pairwise'],
  ['soft-scores', soft, { kind: 'probabilistic', labelSmoothing: 0.1 }, 'probabilistic'],
  ['best', best, {}, 'best-of-n'],
  ['lists', lists, { centerRewards: 0.01 }, 'ranking'],
  ['list-scores', lists, { kind: 'probabilistic', numScores: 4 }, 'probabilistic'],
  ['orders', lists, { kind: 'plackett-luce' }, 'plackett-luce'],
])('%s', (name, data, settings, kind) => {
  it(`trains by --kind ${kind}`, async () => {
    const common = { ...settings, learningRate: 5e-3, loraR: 4, maxSteps: 12, data: await rows(name, data) }
    const { events, losses, steps } = await train(reward, { ...common, output: at(name) })
    expect(events.find(({ event }) => event === 'start')).toMatchObject({ objective: kind })
    expect(losses.every(Number.isFinite)).toBe(true)
    expect(Math.min(...losses.slice(-3))).toBeLessThan(losses[0])
    expect(steps[0]).toMatchObject({
      min_reward: expect.any(Number),
      mean_reward: expect.any(Number),
      max_reward: expect.any(Number),
      accuracy: expect.any(Number),
      margin: expect.any(Number),
    })
  })
})

it('on two responses ranking, best-of-n and plackett-luce have the pairwise loss', async () => {
  const plain = pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected }))
  const common = { data: await rows('plain', plain), maxSteps: 3, learningRate: 3e-3 }
  const asPairs = await train(reward, { ...common, output: at('as-pairs') })
  for (const kind of ['ranking', 'best-of-n', 'plackett-luce']) {
    const { losses } = await train(reward, { ...common, kind, output: at(`as-${kind}`) })
    for (const [i, loss] of losses.entries()) expect(Math.abs(loss - asPairs.losses[i])).toBeLessThan(1e-5)
  }
})

it('--init-bias makes the mean reward of the best responses 0 before training', async () => {
  const data = await rows('biased', pairs)
  await train(reward, { data, initBias: true, learningRate: 1e-9, maxSteps: 1, output: at('biased') })
  const model = await openRewardModel({ model: at('biased'), inProcess: true, threads: 1 })
  const scores = await model.rewards(pairs.map(({ prompt, chosen }) => ({ trunk: prompt, branches: [chosen] })))
  await model.close()
  const mean = scores.flat().reduce((sum, score) => sum + score.reward, 0) / pairs.length
  expect(Math.abs(mean)).toBeGreaterThan(1e-3)
  expect(mean + model.notes!.bias).toBeCloseTo(0, 4)
})

it.each<[string, object]>([
  ['full', { evalSplit: 0.25, evalEvery: 2, initBias: true }],
  ['lora', { loraR: 2, loraDropout: 0.2, gradAccum: 2, batchSize: 2 }],
  ['quantized', { loraR: 2, quantize: 'int8' }],
])('resumes to the same weights and evaluations as an uninterrupted run: %s', async (name, changes) => {
  const settings = { learningRate: 1e-2, maxSteps: 6, ...changes, data: await rows(name, pairs) }
  await train(reward, { ...settings, output: at(`${name}-whole`) })
  const [output, stop] = [at(`${name}-resumed`), stopAfter(3)]
  await train(reward, { ...settings, output }, stop, stop.each)
  await train(reward, { ...settings, output, resume: true })
  expect(await hashOf(output)).toBe(await hashOf(at(`${name}-whole`)))
  const evalsOf = async (dir: string) =>
    (await logOf(dir)).filter(({ event }) => event === 'eval').map(({ time: _, ...e }) => e)
  expect(await evalsOf(output)).toEqual(await evalsOf(at(`${name}-whole`)))
})

it('continues to train a reward model, and starts from the head of --head', async () => {
  const data = await rows('more', pairs)
  await train(reward, { data, maxSteps: 1, output: at('first') })
  await train(reward, { data, maxSteps: 1, model: join(at('first'), 'model'), output: at('second') })
  const head = join(at('second'), 'model/model.safetensors')
  await train(reward, { data, maxSteps: 1, learningRate: 1e-9, head, output: at('third') })
  const headOf = async (file: string) =>
    (await openSafetensors(await fileSource(file))).tensors.get(scoreWeight)!.floats()
  const [given, kept] = [await headOf(head), await headOf(join(at('third'), 'model/model.safetensors'))]
  expect(largestDifference(kept, given)).toBeLessThan(1e-6)
  expect(largestDifference(await headOf(join(at('first'), 'model/model.safetensors')), given)).toBeGreaterThan(1e-6)
})

describe('attune reward refuses', () => {
  const refused = async (settings: object, data: object[], message: RegExp) => {
    const run = train(reward, { ...settings, data: await rows('refused', data), output: at('refused') })
    await expect(run).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) })
  }
  it.each<[string, object, object[], RegExp]>([
    ['a ranking with one response', {}, [{ prompt: [1], responses: [[2]], ranks: [1] }], /two responses or more/],
    ['lists as pairs', { kind: 'pairwise' }, lists, /use.*ranking|ranking takes all pairs/],
    ['a probability beyond 1', {}, [{ ...pairs[0], prob: 1.5 }], /prob/],
    ['"prob" in lists', { kind: 'best-of-n' }, soft, /cannot use "prob"/],
    ['--center-rewards for probabilistic', { kind: 'probabilistic', centerRewards: 0.01 }, pairs, /centre/],
    ['--init-bias for probabilistic', { kind: 'probabilistic', initBias: true }, pairs, /bias/],
    ['margins for best-of-n', { kind: 'best-of-n', margins: 'ratings' }, best, /margin/],
    ['a --head file without a score head', { head: join(tiny, 'model.safetensors') }, pairs, /score\.weight/],
    ['a rank of 0', {}, [{ prompt: [1], responses: [[2], [3]], ranks: [0, 1] }], /ranks count from 1/],
    ['a "best" beyond the responses', {}, [{ prompt: [1], responses: [[2], [3]], best: 2 }], /best/],
    ['a rating that is not a number', { margins: 'ratings' }, [{ ...pairs[0], score_chosen: 'good' }], /score_chosen/],
    [
      'ratings that contradict the ranks',
      { margins: 'ratings' },
      [{ ...pairs[0], score_chosen: 1, score_rejected: 4 }],
      /no row.*contradiction: 1/,
    ],
    [
      'an adapter that changes lm_head',
      { model: fixture('models/llama-gqa-untied'), adapter: fixture('models/lora-lm-head') },
      pairs,
      /lora-lm-head: changes lm_head, which a reward model does not have; merge it/,
    ],
    [
      'an adapter that replaces lm_head',
      { model: fixture('models/llama-gqa-untied'), adapter: fixture('models/lora-save-lm-head') },
      pairs,
      /lora-save-lm-head: changes lm_head/,
    ],
    [
      'rows that are all ties',
      { kind: 'ranking' },
      [{ prompt: [4], responses: [[5], [6]], ranks: [1, 1] }],
      /no row|tie/,
    ],
  ])('%s', (_, settings, data, message) => refused(settings, data, message))

  it('models that lack the score head or the language head that is needed', async () => {
    await expect(openRewardModel({ model: tiny, inProcess: true, threads: 1 })).rejects.toMatchObject({
      code: 'no-score-head',
      exitCode: 2,
    })
    await train(reward, { data: await rows('headless', pairs), maxSteps: 1, output: at('headless') })
    const model = join(at('headless'), 'model')
    const data = await rows('texts', [{ input_ids: ids(1, 6) }])
    await expect(train(sft, { model, data, output: at('taught') })).rejects.toMatchObject({ code: 'no-language-head' })
  })
})
