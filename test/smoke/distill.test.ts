/** Distillation end to end: from a local teacher, from itself with a context, from a server; stopped and resumed; refused. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/recipes/distill.ts'
import { answered, fakeEndpoint, send } from '../support/fakeEndpoint.ts'
import { fixture } from '../support/golden.ts'
import { openServed } from '../support/served.ts'
import { eventsOf, hashOf, logWithoutTimes, stopAfter, testFolder, train } from '../support/training.ts'

const { at, rows } = testFolder()

const sentences = [
  ['Once upon a time', ', there was a little girl named Lily.'],
  ['Tom had a', ' big red ball. He liked it very much.'],
  ['The dog', ' ran to the park and saw a cat.'],
  ['One day, a', ' bird flew over the house.'],
  ['Lily and Max', ' went to the park to play.'],
  ['Mom said', ' it was time to go to bed.'],
].map(([prompt, completion]) => ({ prompt, completion }))
const prompts = sentences.map(({ prompt }) => ({ prompt }))

// Both have the tokenizer of 512 tokens; the student's weights are random
const [student, teacher] = [fixture('trl/model'), fixture('models/stories260K')]
const small = { model: student, teacher, batchSize: 2, maxNewTokens: 6, shuffle: false }
/** No completion is sampled. */
const fixed = { lmbda: 0, maxNewTokens: undefined }
const lora = { loraR: 4, learningRate: 1e-2 }

const run = async (name: string, settings: object) => {
  const all = { ...small, data: await rows(name, sentences), output: at(name), ...settings }
  return train(distill, all)
}

describe('a local teacher', () => {
  it('is learnt from on completions that the student samples of prompts alone', async () => {
    const data = await rows('prompts', prompts)
    const { steps, events } = await run('own', {
      data,
      lmbda: 1,
      beta: 1,
      maxSteps: 30,
      learningRate: 3e-3,
      evalSplit: 0.3,
    })
    expect(steps.map(({ on_policy }) => on_policy)).toEqual(Array(30).fill(1))
    expect(steps[0].loss).toBeCloseTo(steps[0].reverse_kl as number, 5)
    // Each prompt with a completion of 1 to 6 tokens
    for (const { 'completions/mean_length': length } of steps) {
      expect(length).toBeGreaterThanOrEqual(1)
      expect(length).toBeLessThanOrEqual(6)
    }
    const evals = eventsOf(events, 'eval')
    expect(evals.at(-1)!.eval_loss).toBeLessThan(evals[0].eval_loss!)
    expect(evals[0]).not.toHaveProperty('eval_on_policy')
  })

  it('is learnt from on the data and on samples, batch by batch', async () => {
    const { steps } = await run('mixed', { maxSteps: 10 })
    const shares = steps.map(({ on_policy }) => on_policy)
    expect(shares).toContain(0)
    expect(shares).toContain(1)
    const tokens = steps.map(({ num_tokens }, i) => num_tokens - (steps[i - 1]?.num_tokens ?? 0))
    for (const each of tokens) expect(each).toBeGreaterThan(2)
  })

  it('completes the prompts itself with --seq-kd', async () => {
    const { steps } = await run('teacher', { data: await rows('seq', prompts), lmbda: 0, seqKd: true, maxSteps: 3 })
    expect(steps.map(({ on_policy }) => on_policy)).toEqual([0, 0, 0])
    expect(steps[0].loss).toBeGreaterThan(0)
  })

  it.each([
    ['QLoRA in nf4', { ...lora, quantize: 'nf4' }],
    ['whole numbers of 8 bits', { ...lora, compute: 'int8' }],
    ['the head trained by LoRA too', { ...lora, loraTarget: ['q_proj', 'lm_head'], loraDropout: 0.1 }],
    ['low memory', { memory: 'low' }],
  ])('teaches with %s', async (name, changes) => {
    const { losses } = await run(`with ${name}`, { ...fixed, maxSteps: 6, learningRate: 1e-2, ...changes })
    expect(losses.at(-1)).toBeLessThan(losses[0])
  })

  it('gives the same loss whatever the divergence is divided into', async () => {
    const whole = await run('whole', { ...fixed, batchSize: 4, maxSteps: 1 })
    const parts = await run('parts', { ...fixed, batchSize: 2, gradAccum: 2, maxSteps: 1 })
    expect(parts.losses[0]).toBeCloseTo(whole.losses[0], 6)
    expect(parts.steps[0].grad_norm).toBeCloseTo(whole.steps[0].grad_norm, 5)
  })
})

describe('itself with a context', () => {
  const own = { model: teacher, teacher, teacherContext: 'Everyone was happy and kind.', ...fixed, maxSteps: 4 }
  it('is a teacher, whose weights a new adapter shares and other training copies', async () => {
    const [adapter, all] = [await run('shared', { ...own, ...lora, learningRate: 1e-3 }), await run('copied', own)]
    expect(adapter.losses[0]).toBeGreaterThan(0.01)
    expect(adapter.losses[0]).toBeCloseTo(all.losses[0], 5)
    expect(adapter.losses.at(-1)).toBeLessThan(adapter.losses[0])
  })
})

describe('a run that was stopped', () => {
  it.each([
    ['all weights', { evalSplit: 0.3 }],
    ['LoRA with dropout', { ...lora, loraDropout: 0.2 }],
  ])('goes on to the same bytes (%s)', async (name, changes) => {
    const settings = { ...small, data: await rows('resumed', sentences), maxSteps: 4, ...changes }
    const [whole, output, stop] = [at(`${name}-whole`), at(`${name}-stopped`), stopAfter(2)]
    await train(distill, { ...settings, output: whole })
    await train(distill, { ...settings, output }, stop, stop.each)
    await train(distill, { ...settings, output, resume: true })
    expect(await hashOf(output)).toBe(await hashOf(whole))
    const metrics = async (path: string) =>
      (await logWithoutTimes(path)).filter(({ event }) => event === 'step' || event === 'eval')
    expect(await metrics(output)).toEqual(await metrics(whole))
  })
})

describe('a server', () => {
  let engine: Awaited<ReturnType<typeof openServed>>
  let server: Awaited<ReturnType<Awaited<ReturnType<typeof openServed>>['start']>>
  beforeAll(async () => {
    engine = await openServed()
    server = await engine.start()
  })
  afterAll(async () => {
    await server.close()
    await engine.close()
  })

  it('teaches by its 20 likeliest tokens, which differ less than the whole distributions', async () => {
    for (const beta of [0, 1]) {
      const settings = { ...fixed, beta, maxSteps: 3, learningRate: 3e-3 }
      const whole = await run(`local ${beta}`, settings)
      const few = await run(`server ${beta}`, { ...settings, teacher: server.url })
      expect(few.losses[0]).toBeLessThan(whole.losses[0])
      expect(few.losses[0]).toBeGreaterThan(0.25 * whole.losses[0])
      expect(few.losses.at(-1)).toBeLessThan(few.losses[0])
    }
    const { steps } = await run('server, own', { teacher: server.url, lmbda: 1, maxSteps: 2 })
    expect(steps.map(({ on_policy }) => on_policy)).toEqual([1, 1])
  })

  it('of a model with another tokenizer is refused', async () => {
    const other = run('other tokens', { model: otherTokens(), teacher: server.url })
    await expect(other).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/^--teacher: .*another tokenizer/),
    })
  })

  it.each([
    ['with no log-probs', () => answered(' once'), /tells no log-probs; a teacher must tell/],
    [
      'that names tokens by their texts',
      () => ({
        choices: [{ text: 'x', finish_reason: 'length', logprobs: { top_logprobs: [null, { ' a': -1, ' b': -2 }] } }],
      }),
      /it does not; a teacher must tell/,
    ],
    ['that refuses echo', () => undefined, /a teacher must tell the log-probs of a prompt/],
  ])('%s is refused', async (name, reply, message) => {
    const fake = await fakeEndpoint((_, response) => {
      const body = reply()
      send(response, body ?? { error: { message: 'echo is not supported' } }, body ? 200 : 400)
    })
    const refused = run(name, { teacher: `${fake.url}#m` })
    await expect(refused).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) })
    await fake.close()
  })
})

/** A copy of the student in which two tokens have changed places. */
const otherTokens = () => {
  const path = at('other-tokens')
  cpSync(student, path, { recursive: true })
  const file = join(path, 'tokenizer.json')
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'))
  const { vocab } = tokenizer.model
  const [a, b] = Object.keys(vocab).filter((token) => /^[xj]$/.test(token))
  ;[vocab[a], vocab[b]] = [vocab[b], vocab[a]]
  writeFileSync(file, JSON.stringify(tokenizer))
  return path
}

describe('is refused before anything is written', () => {
  const refused: [string, () => object, RegExp][] = [
    ['a teacher that is the student', () => ({ teacher: student }), /is the student itself.*--teacher-context/],
    ['the same with LoRA', () => ({ teacher: student, ...lora }), /is the student itself/],
    ['a vocabulary of another size', () => ({ teacher: fixture('models/qwen3') }), /128 token ids and the student 512/],
    [
      'another tokenizer',
      () => ({ teacher: otherTokens() }),
      /its token \d+ is ".*", and the student's is ".*"; a teacher/,
    ],
    ['a teacher that is not there', () => ({ teacher: '/nowhere' }), /nowhere/],
    ['--seq-kd where the student always samples', () => ({ seqKd: true, lmbda: 1 }), /--seq-kd: changes nothing here/],
    ['--temperature without samples', () => ({ ...fixed, temperature: 0.5 }), /--temperature: changes nothing here/],
    ['a range test', () => ({ findLr: true }), /--find-lr: is not for distill/],
    ['a server and a temperature', () => ({ teacher: 'http://127.0.0.1:9/v1', kdTemperature: 2 }), /--kd-temperature/],
    [
      'a server that is to sample',
      () => ({ teacher: 'http://127.0.0.1:9/v1', seqKd: true }),
      /--seq-kd: needs a local/,
    ],
  ]
  it.each(refused)('%s', async (name, changes, message) => {
    const promise = run(`refused ${name}`, changes())
    await expect(promise).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) })
  })

  it('rows without completions where they are needed', async () => {
    const promise = run('no completions', { data: await rows('alone', prompts) })
    await expect(promise).rejects.toMatchObject({
      message: expect.stringMatching(/prompts alone are enough with --lmbda 1/),
    })
  })

  it('a temperature of 0', () => {
    const settings = { ...small, data: ['x'], output: 'o' }
    expect(distill.schema.safeParse({ ...settings, temperature: 0 }).success).toBe(false)
    expect(distill.schema.safeParse({ ...settings, lmbda: 1.5 }).success).toBe(false)
  })
})
