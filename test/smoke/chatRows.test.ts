/** Runs with --chat: every method learns from plain rows exactly what it learns from the same rows as messages. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodePrompt } from '../../src/data/examples.ts'
import { openRows } from '../../src/data/openRows.node.ts'
import type { Text } from '../../src/data/rows.ts'
import { openTokenization } from '../../src/generate/tokenization.node.ts'
import { loadPretrained } from '../../src/models/load.node.ts'
import { bestOfN } from '../../src/recipes/bestOfN.ts'
import { loadRecipe } from '../../src/recipes/load.ts'
import type { MethodKey } from '../../src/recipes/methods.ts'
import { bestOfNSchema } from '../../src/recipes/rl/schema.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { readSamples } from '../../src/recipes/trainer/samples.ts'
import { modelReward } from '../../src/rewards/modelReward.ts'
import { trainedWithChat } from '../../src/runs/find.node.ts'
import { makeResources } from '../../src/util/resources.ts'
import { fixture } from '../support/golden.ts'
import { eventsOf, hashOf, runUntil, testFolder } from '../support/training.ts'

const { at, rows } = testFolder()
const model = fixture('trl/model')
const user = (content: string) => [{ role: 'user', content }]
const assistant = (content: string) => [{ role: 'assistant', content }]

const questions = ['Is it hot?', 'May I go?', 'Who is he?', 'Why not?']
const plainAndMessages = (row: (prompt: unknown, answer: (text: string) => unknown, i: number) => object) => ({
  plain: questions.map((text, i) => row(text, (answer) => answer, i)),
  messages: questions.map((text, i) => row(user(text), assistant, i)),
})
const completions = plainAndMessages((prompt, answer) => ({
  prompt,
  completion: answer('Yes, it is so.'),
  better: 'No.',
}))
const pairs = plainAndMessages((prompt, answer) => ({ prompt, chosen: answer('Yes.'), rejected: answer('Go away.') }))
const thumbs = plainAndMessages((prompt, answer, i) => ({ prompt, completion: answer('Yes.'), label: i % 2 === 0 }))
const prompts = plainAndMessages((prompt) => ({ prompt }))

const reward = async () => {
  const file = at('length.mjs')
  await writeFile(file, 'export default (rows) => rows.map(({ completion }) => completion.length)')
  return { reward: [file], maxNewTokens: 4, numGenerations: 2 }
}

const methods: [MethodKey, typeof prompts, (() => object | Promise<object>)?][] = [
  ['sft', completions],
  ['dpo', pairs],
  ['kto', thumbs],
  ['reward', pairs],
  ['spin', completions, () => ({ iterations: 1, maxNewTokens: 4 })],
  ['asft', completions, () => ({ iterations: 1, maxNewTokens: 4, helper: ['column:better'] })],
  ['grpo', prompts, reward],
]

/** A short run in a folder of this name. */
const train = async (name: string, method: MethodKey, data: readonly object[], more: object = {}) => {
  const output = at(name)
  const recipe = (await loadRecipe(method)) as unknown as Recipe
  const length = method === 'spin' || method === 'asft' ? { epochs: 1 } : { maxSteps: 2 }
  const settings = { model, threads: 1, batchSize: 2, loraR: 2, ...length, data: [await rows(`${name}-rows`, data)] }
  return { output, events: await runUntil(recipe, { ...settings, ...more, output }) }
}

describe('--chat', () => {
  it.each(methods)('%s learns the same as from messages', async (method, { plain, messages }, more = () => ({})) => {
    const chat = await train(`${method}-plain`, method, plain, { ...(await more()), chat: true })
    const turns = await train(`${method}-messages`, method, messages, await more())
    const losses = eventsOf(chat.events, 'step').map(({ loss }) => loss)
    expect(losses.length).toBeGreaterThan(0)
    expect(losses).toEqual(eventsOf(turns.events, 'step').map(({ loss }) => loss))
    expect(await hashOf(chat.output)).toBe(await hashOf(turns.output))
    expect(JSON.parse(await readFile(join(chat.output, 'run.json'), 'utf8')).config.chat).toBe(true)
    expect((await readSamples(chat.output))?.samples).toEqual((await readSamples(turns.output))?.samples)
    expect(await trainedWithChat(chat.output)).toBe(true)
    expect(await trainedWithChat(join(chat.output, 'adapter'))).toBe(true)
    expect(await trainedWithChat(turns.output)).toBe(false)
    expect(await trainedWithChat(model)).toBeUndefined()
  })

  it('best-of-n completes and rewards the same chats', async () => {
    const config = { reward: [at('reward-plain')], rewardTimeout: 9, device: 'cpu' as const, threads: 1 }
    const made = async (settings: object, data: readonly object[]) => {
      const given = {
        ...config,
        model,
        data: [await rows('best', data)],
        numGenerations: 2,
        maxNewTokens: 4,
        threads: 1,
      }
      const events = bestOfN(bestOfNSchema.parse({ ...given, ...settings }))
      for (;;) {
        const { done, value } = await events.next()
        if (done) return value!.rows
      }
    }
    const asChat = await made({ chat: true }, prompts.plain)
    const asMessages = await made({}, prompts.messages)
    expect(asChat.map(({ reward }) => reward)).toEqual(asMessages.map(({ reward }) => reward))
    // Rows of the same chats, which sft learns from as the prompts were completed
    const tools = [{ type: 'function', function: { name: 'look' } }]
    const turns = await made(
      {},
      prompts.messages.map((row) => ({ ...row, tools })),
    )
    for (const rows of [asChat, asMessages, turns])
      expect(rows.map(({ prompt }) => prompt)).toEqual(questions.map(user))
    expect(asMessages[0].completion).toEqual(assistant(expect.any(String) as unknown as string))
    expect(turns.map((row) => row.tools)).toEqual(questions.map(() => tools))
    const data = await openRows(await rows('best-rows', turns), { as: 'sft' })
    expect(await data.row(0)).toMatchObject({ prompt: user(questions[0]), template: { tools } })
    const [{ completion }] = await made({ data: [await rows('plain', prompts.plain)] }, [])
    expect(completion).toEqual(expect.any(String))
  })

  it('a reward model that was trained with it reads plain prompts as chats in any run', async () => {
    const tokenization = await openTokenization({ dir: model }, await loadPretrained(model))
    const score = async (run: string, prompt: Text) => {
      const { own, close } = makeResources()
      const settings = { device: 'cpu', threads: 1 } as const
      const { score } = await modelReward(at(run), settings, { own, tokenization, folders: { dir: model } })
      const promptIds = encodePrompt(tokenization.encoder, prompt)
      const text = 'Yes.'
      const { ids } = tokenization.encoder.encode(text, { specialTokens: false })
      const sample = { prompt: 0, sample: 0, ids, logps: [], text, finish_reason: 'eos' as const }
      const [{ value }] = await score([{ prompt, promptIds, sample, record: {} }])
      await close()
      return value
    }
    const asChat = await score('reward-plain', user('Is it hot?'))
    expect(await score('reward-plain', 'Is it hot?')).toBe(asChat)
    // Of the same weights, whose run does not say so
    expect(await score('reward-messages', user('Is it hot?'))).toBe(asChat)
    expect(await score('reward-messages', 'Is it hot?')).not.toBe(asChat)
  })

  it('without it the run begins with a warning that names it', async () => {
    const { events } = await train('warned', 'dpo', pairs.plain)
    const warning = eventsOf(events, 'warning').find(({ code }) => code === 'plain-text-for-chat-model')
    expect(warning?.message).toMatch(/^4 of 4 rows looked at: prompts of plain text .*; add --chat/)
    const { events: chats } = await train('silent', 'kto', thumbs.plain, { chat: true })
    expect(eventsOf(chats, 'warning').map(({ code }) => code)).not.toContain('plain-text-for-chat-model')
  })

  it('is refused for a model without a template, by one message', async () => {
    const plainModel = fixture('models/stories260K')
    for (const [method, { plain }, more = () => ({})] of methods)
      await expect(
        train('refused', method, plain, { ...(await more()), model: plainModel, chat: true }),
      ).rejects.toMatchObject({
        code: 'no-template',
        exitCode: 2,
        where: { flag: '--chat' },
        message: expect.stringMatching(/^--chat: needs a model with a chat template, and .* has none/),
      })
  })
})
