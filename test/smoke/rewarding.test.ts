/** Sources of rewards end to end: a judge behind a server, a reward model with its own tokenizer and scale, equal rewards. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { encodePrompt, encodeScored } from '../../src/data/examples.ts'
import { bestOfN } from '../../src/recipes/bestOfN.ts'
import { grpo } from '../../src/recipes/grpo.ts'
import { reward } from '../../src/recipes/reward.ts'
import { bestOfNSchema } from '../../src/recipes/rl/schema.ts'
import { rloo } from '../../src/recipes/rloo.ts'
import { openReward } from '../../src/rewards/open.ts'
import type { CompletionToScore } from '../../src/rewards/rewards.ts'
import { loadTokenizerFolder } from '../../src/text/tokenizer.node.ts'
import { answered, type FakeEndpoint, fakeEndpoint, send } from '../support/fakeEndpoint.ts'
import { fixture } from '../support/golden.ts'
import { hashOf, linesOf, testFolder, train } from '../support/training.ts'

const { at, rows } = testFolder()

const stories = fixture('models/stories260K')
const openings = ['Lily saw a dog.', 'Tom had a ball.', 'Max went home.', 'Mom said no.']
const prompts = () =>
  rows(
    'prompts',
    openings.map((text) => ({ prompt: `Once upon a time, ${text}` })),
  )
const shared = { model: stories, batchSize: 2, maxNewTokens: 8, numGenerations: 4, maxSteps: 1 }

const moduleAt = async (name: string, text: string) => {
  await writeFile(at(name), text)
  return at(name)
}

describe('a judge as reward', () => {
  let server: FakeEndpoint
  afterEach(() => server.close())
  const question = (body: Record<string, unknown>) => (body.messages as { content: string }[]).at(-1)!.content

  it('grades completions, and those without a grade are left out', async () => {
    const grade = (text: string) => (text.includes('a') ? 1 + (text.length % 9) : undefined)
    server = await fakeEndpoint(({ body }, response) => {
      const [, text] = /<answer>\n(.*)\n<\/answer>/s.exec(question(body))!
      send(response, answered(grade(text) ? `Grade: ${grade(text)}/10` : 'I would rather not say; 11, perhaps.'))
    })
    const settings = { ...shared, batchSize: 4, data: await prompts(), reward: [`${server.url}#strict`] }
    const { steps, events } = await train(rloo, { ...settings, output: at('judged') })
    const samples = await linesOf(at('judged/rollouts/1/samples.jsonl'))
    const grades = samples.map(({ text }) => grade(text))
    const good = grades.filter((value) => value !== undefined)
    expect(good.length).toBeGreaterThan(0)
    expect(good.length).toBeLessThan(grades.length)
    const failed = grades.length - good.length
    const mean = good.reduce((a, b) => a + b, 0) / good.length
    expect(steps[0]).toMatchObject({ 'rewards/failed': failed, reward: mean, 'rewards/judge/mean': mean })
    expect(events).toContainEqual(expect.objectContaining({ code: 'reward-failed', count: failed }))
    expect(question(server.asked[0].body)).toContain('Once upon a time')
    expect(server.asked[0].body).toMatchObject({ model: 'strict', temperature: 0 })
  })
})

it('equal rewards for all samples of each prompt train nothing and give a warning', async () => {
  const same = await moduleAt('same.mjs', 'export default (rows) => rows.map(() => 3)')
  const settings = { ...shared, data: await prompts(), reward: [same], output: at('same') }
  const { steps, events } = await train(grpo, settings)
  for (const step of steps) expect(step).toMatchObject({ frac_reward_zero_std: 1, grad_norm: 0, loss: 0, reward: 3 })
  expect(events).toContainEqual(expect.objectContaining({ code: 'no-signal', count: 1 }))
})

describe('a reward model as reward', () => {
  /** Trains a reward model a little. The folder has its mean and standard deviation. */
  const trained = async () => {
    const pairs = openings.map((prompt) => ({ prompt, chosen: ' They were very happy.', rejected: ' No.' }))
    const settings = { model: stories, learningRate: 1e-3, maxSteps: 1, output: at('rm') }
    await train(reward, { ...settings, data: await rows('pairs', pairs) })
    return join(at('rm'), 'model')
  }

  /** The same model with the ids of "e" and "a" swapped, in its tokenizer and its embeddings. */
  const renumbered = async (dir: string) => {
    const made = at('renumbered')
    await cp(dir, made, { recursive: true })
    const tokenizer = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8'))
    const { vocab } = tokenizer.model
    const [e, a] = [vocab.e, vocab.a]
    tokenizer.model.vocab = { ...vocab, e: a, a: e }
    await writeFile(join(made, 'tokenizer.json'), JSON.stringify(tokenizer))
    const file = join(made, 'model.safetensors')
    const bytes = await readFile(file)
    const start = 8 + Number(bytes.readBigUInt64LE())
    const { shape, data_offsets } = JSON.parse(bytes.toString('utf8', 8, start))['model.embed_tokens.weight']
    const row = (id: number) => bytes.subarray(start + data_offsets[0] + id * shape[1] * 4).subarray(0, shape[1] * 4)
    const kept = Buffer.from(row(e))
    row(e).set(row(a))
    row(a).set(kept)
    await writeFile(file, bytes)
    return made
  }

  it('reads texts by its own tokenizer, warns once, and gives rewards on its own scale', async () => {
    const dir = await trained()
    const other = await renumbered(dir)
    const tokenizer = (await loadTokenizerFolder(stories))!
    const completions = openings.map((text, i): CompletionToScore => {
      const promptIds = encodePrompt(tokenizer, text)
      const reply = ' He ate a green leaf.'.slice(0, 9 + 4 * i)
      const [ids] = encodeScored(tokenizer, text, [reply]).responses
      const sample = { prompt: i, sample: 0, ids, logps: ids.map(() => -1), text: reply, finish_reason: 'eos' as const }
      // A prompt of ids has ids of the policy's tokenizer
      return { prompt: i === 3 ? promptIds : text, promptIds, record: {}, sample }
    })
    const given = async (name: string, settings: { normalizeRewards?: boolean } = {}) => {
      const opened: { close(): Promise<void> }[] = []
      const own = <T extends { close(): Promise<void> }>(thing: T) => {
        opened.push(thing)
        return thing
      }
      const spec = { device: 'cpu' as const, threads: 1, reward: [name], rewardTimeout: 60, ...settings }
      try {
        const source = await openReward(name, spec, { own, tokenization: { tokenizer }, folders: { dir: stories } })
        return { values: (await source.score(completions)).map(({ value }) => value), warnings: source.warnings }
      } finally {
        for (const { close } of opened) await close()
      }
    }
    const [plain, anew, scaled] = [await given(dir), await given(other), await given(dir, { normalizeRewards: true })]
    expect(plain.warnings).toEqual([])
    expect(anew.warnings).toMatchObject([{ code: 'retokenised' }])
    expect(new Set(plain.values.map((value) => value.toFixed(4))).size).toBeGreaterThan(1)
    const { mean, std } = JSON.parse(await readFile(join(dir, 'reward.json'), 'utf8'))
    for (const [i, value] of plain.values.entries()) {
      expect(anew.values[i]).toBeCloseTo(value, 5)
      expect(scaled.values[i]).toBeCloseTo((value - mean) / std, 4)
    }
    await expect(given(fixture('models/llama-reward'), { normalizeRewards: true })).rejects.toMatchObject({
      exitCode: 2,
      where: { flag: '--normalize-rewards' },
    })
    const settings = { ...shared, data: await prompts(), reward: [`rm=${other}`], output: at('anew') }
    const { events, steps } = await train(rloo, settings)
    expect(events.filter((event) => event.event === 'warning' && event.code === 'retokenised')).toHaveLength(1)
    expect(steps[0]).toMatchObject({ 'rewards/rm/mean': expect.any(Number) })
  })
})

it('best-of-n returns the best completion even if no reward is above 0', async () => {
  const fewE = await moduleAt('few.mjs', "export default (rows) => rows.map((r) => 1 - r.completion.split('e').length)")
  const { batchSize: _, maxSteps: __, ...asked } = shared
  const settings = bestOfNSchema.parse({ ...asked, data: [await prompts()], reward: [fewE], threads: 1 })
  const work = bestOfN(settings)
  let made = await work.next()
  while (!made.done) made = await work.next()
  const { rows: best, table, failed } = made.value!
  expect(failed).toBe(0)
  expect(best).toHaveLength(openings.length)
  for (const { completion, reward: given } of best) expect(given).toBe(1 - `${completion}`.split('e').length)
  expect(table.map(({ n }) => n)).toEqual([1, 2, 4])
  expect(table[2].reward).toBeCloseTo(best.reduce((sum, row) => sum + row.reward!, 0) / best.length, 6)
  expect(table[0].reward).toBeLessThan(table[2].reward)
  expect(best.some((row) => row.reward === 0)).toBe(true)
})

it('a run aborted in a rollout resumes to the weights of an uninterrupted run', async () => {
  const letters = await moduleAt('e.mjs', "export default (rows) => rows.map((r) => r.completion.split('e').length)")
  const settings = { ...shared, data: await prompts(), reward: [letters], maxSteps: 3, klCoef: 0.1, loraR: 2 }
  await train(rloo, { ...settings, output: at('whole') })
  const controller = new AbortController()
  let steps = 0
  const { end } = await train(rloo, { ...settings, output: at('resumed') }, { signal: controller.signal }, (event) => {
    if (event.event === 'step') steps = event.step
    if (event.event === 'progress' && event.phase === 'generate' && steps === 1) controller.abort()
  })
  expect(end).toMatchObject({ event: 'end', stopped: 'interrupted', steps: 1 })
  await train(rloo, { ...settings, output: at('resumed'), resume: true })
  expect(await hashOf(at('resumed'))).toBe(await hashOf(at('whole')))
})
