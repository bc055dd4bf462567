/** RL end to end: the methods raise a reward, and runs stopped in any phase resume exactly. */
import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { grpo } from '../../src/recipes/grpo.ts'
import { onlineDpo } from '../../src/recipes/onlineDpo.ts'
import { reinforce } from '../../src/recipes/reinforce.ts'
import { rloo } from '../../src/recipes/rloo.ts'
import type { Recipe, TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { readRun } from '../../src/runs/find.node.ts'
import { fixture } from '../support/golden.ts'
import { hashOf, ids, logWithoutTimes, eventsOf as of, runUntil as run, testFolder, tiny } from '../support/training.ts'

const { at, rows } = testFolder()

const prompts = ['Lily saw a dog.', 'Tom had a ball.', 'Max went to the park.', 'Mom said no.', 'The cat sat.'].map(
  (prompt) => ({
    prompt: `Once upon a time, ${prompt}`,
  }),
)

const shared = {
  model: fixture('models/stories260K'),
  threads: 1,
  batchSize: 2,
  epochs: 1,
  learningRate: 1e-3,
  maxNewTokens: 8,
  numGenerations: 4,
  saveEvery: 1,
}

const moduleAt = async (name: string, text: string): Promise<string> => {
  const path = at(name)
  await writeFile(path, text)
  return path
}

/** A reward function in TypeScript: the number of letters e in a completion. */
const letters = () =>
  moduleAt(
    'letters.ts',
    `type Row = { completion: string }
     export default (rows: Row[]): number[] => rows.map(({ completion }) => completion.split('e').length - 1)`,
  )

describe('training on rewards', () => {
  it.each<[string, Recipe, object]>([
    ['reinforce', reinforce, { klCoef: 0.01 }],
    ['rloo', rloo, { klCoef: 0.01, loraR: 4, learningRate: 5e-3 }],
    ['online-dpo', onlineDpo, { beta: 0.05 }],
    ['grpo', grpo, {}],
  ])('by %s raises the reward on evaluation prompts', async (name, recipe, settings) => {
    const data = [await rows('prompts', prompts)]
    const given = { ...shared, reward: [await letters()], data, evalData: data, epochs: 5, saveEvery: 100 }
    const events = await run(recipe, { ...given, ...settings, output: at(name) })
    const evals = of(events, 'eval').map((event) => Number(event.eval_reward))
    expect(evals.at(-1)).toBeGreaterThan(evals[0] + 0.5)
    const steps = of(events, 'step')
    // The log-probs of the decoder equal those of training
    expect(Math.max(...steps.map((step) => Number(step['sampling/ratio_error'] ?? 0)))).toBeLessThan(1e-4)
    expect(steps[0]).toMatchObject({ 'completions/max_length': 8, 'rewards/letters/mean': expect.any(Number) })
    expect(of(events, 'sample').length).toBeGreaterThan(0)
  })

  it('leaves out samples whose reward failed, and counts them', async () => {
    const sometimes = await moduleAt(
      'sometimes.mjs',
      'let n = 0\nexport default (rows) => rows.map(() => (n++ % 4 === 0 ? null : n % 4))',
    )
    const data = [await rows('prompts', prompts)]
    const events = await run(grpo, {
      ...shared,
      data,
      reward: [`mine=${sometimes}`],
      maxSteps: 1,
      output: at('failed'),
    })
    expect(of(events, 'step')[0]).toMatchObject({ 'rewards/failed': 2, reward: 2.0 - 2 / 6 + 0 })
    expect(of(events, 'warning')).toContainEqual(expect.objectContaining({ code: 'reward-failed', count: 2 }))
  })

  it('adds up the rewards of a scalar and a probabilistic reward model', async () => {
    const data = [await rows('ids', [{ prompt: ids(1, 6) }, { prompt: ids(2, 4) }])]
    const reward = [`scalar=${fixture('models/llama-reward')}`, `probs=${fixture('models/llama-reward-10')}`]
    const settings = { ...shared, model: tiny, data, reward, maxSteps: 1, output: at('models') }
    const [step] = of(await run(reinforce, settings), 'step')
    const [scalar, probs] = ['scalar', 'probs'].map((name) => Number(step[`rewards/${name}/mean`]))
    expect(probs).toBeGreaterThan(1)
    expect(probs).toBeLessThan(10)
    expect(Number(step.reward)).toBeCloseTo(scalar + probs, 4)
  })

  it('stops when the KL budget is spent, and evaluates the policy that it stops with', async () => {
    const data = [await rows('prompts', prompts)]
    const evaluation = { evalData: [await rows('eval', prompts.slice(0, 1))], evalEvery: 50 }
    const settings = {
      ...shared,
      data,
      reward: [await letters()],
      epochs: 20,
      learningRate: 0.01,
      klBudget: 0.5,
      ...evaluation,
    }
    const events = await run(grpo, { ...settings, output: at('budget') })
    const [end] = of(events, 'end')
    expect(end.stopped).toBe('kl-budget')
    expect(end.steps).toBeLessThan(20)
    expect(of(events, 'eval').map(({ step }) => step)).toEqual([0, end.steps])
    expect((await readRun(at('budget'))).evaluation).toMatchObject({ step: end.steps, eval_kl: expect.any(Number) })
    // A resumed run stops again at once, with the same event
    const log = await logWithoutTimes(at('budget'))
    await run(grpo, { ...settings, output: at('budget'), resume: true })
    expect(await logWithoutTimes(at('budget'))).toEqual(log)
  })
})

describe('old log-probs', () => {
  /** The steps whose rollout compared the decoder's log-probs with those of training. */
  const compared = (events: readonly TrainEvent[]) =>
    of(events, 'step').flatMap((step) => (step['sampling/ratio_error'] === undefined ? [] : step.step))
  const settings = async () => ({
    ...shared,
    model: tiny,
    loraR: 4,
    klCoef: 0.1,
    maxSteps: 6,
    maxNewTokens: 6,
    epochs: 6,
    data: [await rows('few', [{ prompt: ids(1, 6) }, { prompt: ids(2, 4) }])],
    reward: [
      await moduleAt('low.mjs', 'export default (rows) => rows.map(({ ids }) => ids.filter((id) => id < 32).length)'),
    ],
  })

  it("are the decoder's, compared with those of training in rollouts 1, 2, 4, ..., also after a resume", async () => {
    const given = await settings()
    const whole = await run(rloo, { ...given, output: at('near') })
    expect(compared(whole)).toEqual([1, 2, 4])
    const [hash, log] = [await hashOf(at('near')), await logWithoutTimes(at('near'))]
    const later = whole.findIndex((event) => event.event === 'step' && event.step === 4)
    const sampled = whole.findIndex((event, i) => i > later && 'phase' in event && event.phase === 'generate')
    for (const moment of [later, sampled]) {
      const output = at(`near-${moment}`)
      await run(rloo, { ...given, output }, (_, { length }) => length > moment)
      const rest = await run(rloo, { ...given, output, resume: true })
      expect(compared(rest)).toEqual(moment === later ? [4] : [])
      expect(await hashOf(output)).toBe(hash)
      expect(await logWithoutTimes(output)).toEqual(log)
    }
  })

  it.each([{ quantize: 'int8' }, { temperature: 0.9 }])('are computed by a training pass with %j', async (apart) => {
    const given = { ...(await settings()), maxSteps: 3, ...apart }
    const events = await run(rloo, { ...given, output: at(JSON.stringify(apart)) })
    expect(compared(events)).toEqual('quantize' in apart ? [1, 2, 3] : [1])
    // In the first rollout the adapter changes nothing, and policy and reference log-probs come from the same pass
    expect(of(events, 'step')[0].kl).toBe(0)
  })
})

// ATTUNE_RESUME=all also stops REINFORCE, which uses the same code
const killed: [string, Recipe, string[], object][] = [
  [
    'grpo',
    grpo,
    ['generate', 'reward', 'step', 'eval'],
    { numIterations: 2, stepsPerGeneration: 2, batchSize: 1, klCoef: 0.1 },
  ],
  ['reinforce', reinforce, ['generate', 'reward'], { loraR: 4, loraDropout: 0.1, saveEvery: 2 }],
]
describe.each(process.env.ATTUNE_RESUME === 'all' ? killed : killed.slice(0, 1))(
  '%s',
  (name, recipe, kinds, settings) => {
    it('killed in any phase resumes to the weights and log of an uninterrupted run', async () => {
      const data = [await rows('prompts', prompts)]
      const given = {
        ...shared,
        ...settings,
        data,
        evalSplit: 0.2,
        evalEvery: 2,
        reward: [await letters()],
        maxSteps: 6,
      }
      const whole = await run(recipe, { ...given, epochs: 3, output: at(`${name}-whole`) })
      const [hash, log] = [await hashOf(at(`${name}-whole`)), await logWithoutTimes(at(`${name}-whole`))]
      const kind = (event: TrainEvent) => ('phase' in event ? event.phase : event.event) as string
      const second = whole.findIndex((event) => event.event === 'step' && event.step === 3)
      const first = (wanted: string) => whole.findIndex((event, i) => i > second && kind(event) === wanted)
      for (const moment of kinds.map(first)) {
        const output = at(`${name}-${moment}`)
        let left = moment
        await run(recipe, { ...given, epochs: 3, output }, () => left-- === 0)
        await run(recipe, { ...given, epochs: 3, output, resume: true })
        expect(await hashOf(output), `event ${moment}`).toBe(hash)
        expect(await logWithoutTimes(output), `event ${moment}`).toEqual(log)
      }
    })
  },
)

describe('unusable rewards are refused', () => {
  const refused = async (settings: object) => {
    const data = [await rows('prompts', prompts)]
    return run(grpo, { ...shared, data, maxSteps: 1, output: at(`bad-${Math.random()}`), ...settings }).then(
      () => undefined,
      (error) => error,
    )
  }

  it.each<[string, string, string, number]>([
    ['throws', 'export default () => { throw new Error("no idea") }', 'no idea', 1],
    ['gives too few', 'export default (rows) => rows.slice(1).map(() => 1)', 'rewards for', 2],
    ['gives no list', 'export default () => 1', 'not a list of numbers', 2],
    ['gives text', 'export default (rows) => rows.map(() => "good")', 'not a number', 2],
    ['has no function', 'export const reward = 1', 'no default export', 2],
    ['does not parse', 'export default (', 'cannot be used as a reward', 2],
    ['never returns', 'export default () => { for (;;) {} }', '--reward-timeout', 1],
  ])('a function that %s', async (name, text, message, exitCode) => {
    const reward = [await moduleAt(`${name.replaceAll(' ', '-')}.mjs`, text)]
    // Loading a worker takes long on a busy machine. Only a function that never returns reaches the limit
    const error = await refused({ reward, rewardTimeout: name === 'never returns' ? 2 : 30 })
    expect(error).toMatchObject({ exitCode, message: expect.stringContaining(message) })
  })

  it.each<[object, string]>([
    [{ reward: ['exact:answer'] }, 'column "answer"'],
    [{ reward: ['regex:('] }, '--reward'],
    [{ reward: ['schema:nowhere.json'] }, 'nowhere.json'],
    [{ reward: ['nowhere.ts'] }, 'nowhere.ts'],
    [{ reward: ['regex:a', 'regex:b'], rewardWeights: [1] }, '--reward-weights'],
    [{ reward: ['regex:a'], numGenerations: 1 }, '--num-generations'],
    [{ reward: [fixture('models/stories260K')] }, 'no reward model'],
  ])('%j', async (settings, message) => {
    expect(await refused(settings)).toMatchObject({ exitCode: 2, message: expect.stringContaining(message) })
  })
})
