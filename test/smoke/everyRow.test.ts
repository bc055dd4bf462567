/**
 * Every method reads all rows with tokenizer and chat template before the first step.
 * A row that cannot be read is a Fault with its file and row, and no run folder is made. Rows that are not used are counted at the
 * start.
 */
import { cp, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkedRows } from '../../src/cli/checkedRows.ts'
import { openRows } from '../../src/data/openRows.node.ts'
import { asft } from '../../src/recipes/asft.ts'
import { bestOfN } from '../../src/recipes/bestOfN.ts'
import { dpo } from '../../src/recipes/dpo.ts'
import { grpo } from '../../src/recipes/grpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { onlineDpo } from '../../src/recipes/onlineDpo.ts'
import { ppo } from '../../src/recipes/ppo.ts'
import { reinforce } from '../../src/recipes/reinforce.ts'
import { reward } from '../../src/recipes/reward.ts'
import { bestOfNSchema } from '../../src/recipes/rl/schema.ts'
import { rloo } from '../../src/recipes/rloo.ts'
import { sft } from '../../src/recipes/sft.ts'
import { spin } from '../../src/recipes/spin.ts'
import type { Recipe, TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { badInput } from '../../src/util/fault.ts'
import { fixture } from '../support/golden.ts'
import { eventsOf, hashOf, ids, logWithoutTimes, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()

const bare = fixture('models/stories260K')
/** Two chat templates. The second refuses system messages, as some published templates do. */
const turns =
  '{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}'
const refusing = `{% for m in messages if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endfor %}${turns}`

const modelWith = async (name: string, template: string) => {
  await cp(bare, at(name), { recursive: true })
  await writeFile(join(at(name), 'chat_template.jinja'), template)
}
beforeAll(async () => {
  await modelWith('open', turns)
  await modelWith('strict', refusing)
  // A reward model with the same tokenizer and the second template
  const pairs = await rows('rm', [{ prompt: 'The cat', chosen: ' sat.', rejected: ' ran.' }])
  await train(reward, { model: at('strict'), data: pairs, maxSteps: 1, output: at('judge') })
})

const user = { role: 'user', content: 'hi' }
const said = (content: string) => ({ role: 'assistant', content })
const system = { role: 'system', content: 'be nice' }
/** Three rows without and one with a system message. */
const late = <R>(of: (messages: { role: string; content: string }[]) => R): R[] =>
  [[user], [user], [user], [system, user]].map(of)
const chats = late((messages) => ({ messages: [...messages, said('yo')] }))
const pairs = late((prompt) => ({ prompt, chosen: [said('yo')], rejected: [said('no')], better: [said('oh')] }))
const plain = [{ prompt: 'The cat', completion: ' sat on the mat.' }]

const methods: [string, Recipe, object[], object][] = [
  ['sft', sft, chats, {}],
  ['dpo', dpo, pairs, {}],
  ['kto', kto, pairs, { batchSize: 2 }],
  ['reward', reward, pairs, {}],
  ['reward with a bias', reward, pairs, { initBias: true }],
  ...([reinforce, rloo, grpo, ppo, onlineDpo] as Recipe[]).map((recipe): [string, Recipe, object[], object] => [
    recipe.name,
    recipe,
    pairs,
    { reward: ['regex:a'], batchSize: 2 },
  ]),
  ['spin', spin, chats, { learningRate: [1e-4] }],
  ['asft', asft, pairs, { helper: ['column:better'], learningRate: [1e-4] }],
]

/** Expects a Fault and no run folder. @param where the place that the Fault names */
const refused = async (run: Promise<unknown>, output: string, code: string, message: RegExp, where: object) => {
  await expect(run).rejects.toMatchObject({ name: 'Fault', exitCode: 2, code, where })
  await expect(run).rejects.toThrow(message)
  await expect(stat(output)).rejects.toMatchObject({ code: 'ENOENT' })
}

describe('a conversation that the chat template refuses is a Fault with its row', () => {
  it.each(methods)('%s', async (name, recipe, all, settings) => {
    const output = at(`late-${name}`)
    const file = await rows(`late ${name}`, all)
    const run = train(recipe, { model: at('strict'), ...settings, data: file, output })
    await refused(run, output, 'template', /, line 4, row 3: System role not supported$/, { file, row: 3 })
  })

  it.each(methods.filter(([name]) => ['sft', 'dpo', 'grpo', 'spin'].includes(name)))(
    '%s, in evaluation rows',
    async (name, recipe, all, settings) => {
      const output = at(`eval-${name}`)
      const file = await rows(`eval ${name}`, all)
      const data = await rows(`fine ${name}`, all.slice(0, 3))
      const run = train(recipe, { model: at('strict'), ...settings, data, evalData: [file], output })
      await refused(run, output, 'template', /row 3: System role not supported$/, { file, row: 3 })
      const split = train(recipe, { model: at('strict'), ...settings, data: file, evalSplit: 0.5, output })
      await refused(split, output, 'template', /row 3: System role not supported$/, { file, row: 3 })
    },
  )

  it('ppo, in the rows of --ptx-data', async () => {
    const [data, file] = [await rows('fine', pairs.slice(0, 3)), await rows('ptx', chats)]
    const output = at('late-ptx')
    const settings = { model: at('strict'), reward: ['regex:a'], batchSize: 2, ptxData: [file], ptxCoef: 1 }
    await refused(train(ppo, { ...settings, data, output }), output, 'template', /row 3: System/, { file, row: 3 })
  })

  it.each<[string, Recipe, object, string]>([
    ['a reward model', grpo, { batchSize: 2 }, 'judge'],
    ['a helper model', asft, { learningRate: [1e-4] }, 'strict'],
  ])('refused only by the template of %s', async (name, recipe, settings, other) => {
    const output = at(`by-${name}`)
    const file = await rows(`by ${name}`, pairs)
    const given = recipe === grpo ? { reward: [at(other)] } : { helper: [at(other)] }
    const run = train(recipe, { model: at('open'), ...settings, ...given, data: file, output })
    await refused(run, output, 'template', /row 3: ".*" cannot read it: System role/, { file, row: 3 })
  })

  it('best-of-n', async () => {
    const file = await rows('best', pairs)
    const settings = bestOfNSchema.parse({ model: at('strict'), data: [file], reward: ['regex:a'] })
    await refused(bestOfN(settings).next(), at('none'), 'template', /row 3: System/, { file, row: 3 })
  })
})

describe('a row that cannot be read or used is a Fault', () => {
  it.each<[string, Recipe, object[], object, string, RegExp]>([
    [
      'a conversation after texts, without a chat template',
      sft,
      [...plain, ...chats],
      { model: bare },
      'no-template',
      /row 1: .*chat template/,
    ],
    [
      'text after token ids, without a tokenizer',
      sft,
      [{ input_ids: ids(0, 9) }, { text: 'hi' }],
      { model: tiny },
      'no-tokenizer',
      /row 1: .*llama-tied has no tokenizer/,
    ],
    [
      'an unknown token id in a prompt',
      grpo,
      [{ prompt: [5, 6] }, { prompt: [5, 128] }],
      { model: tiny, reward: ['regex:a'], batchSize: 2 },
      'bad-id',
      /row 1: holds the token id 128.*127/,
    ],
  ])('%s', async (name, recipe, all, settings, code, message) => {
    const file = await rows(name.replaceAll(' ', '-'), all)
    await refused(train(recipe, { ...settings, data: file, output: at(name) }), at(name), code, message, {
      file,
      row: 1,
    })
  })

  it.each<[string, object, object, RegExp]>([
    [
      'lists',
      { prompt: [5], responses: [[6], [7], [8]], ranks: [1, 2, 3] },
      {},
      /sigmoid compares pairs, and held-out rows hold 3/,
    ],
    [
      'probabilities',
      { prompt: [5], chosen: [6], rejected: [7], prob: 0.7 },
      { loss: 'plackett-luce' },
      /cannot use held-out rows with "prob"/,
    ],
  ])('%s in evaluation rows that the loss cannot compare', async (name, row, settings, message) => {
    const data = await rows('pairs', [{ prompt: [5], chosen: [6], rejected: [7] }])
    const run = train(dpo, { ...settings, data, evalData: [await rows(name, [row])], output: at(name) })
    await refused(run, at(name), 'bad-flag', message, { flag: '--loss' })
  })

  it('before a command prints its first line', async () => {
    const all = await openRows(await rows('command', [{ text: 'a' }, { text: 'b' }, { text: 'c' }]))
    const made: string[] = []
    const make = ({ kind }: { kind: string }, bad: boolean) => {
      made.push(kind)
      if (bad && made.length === 3) throw badInput('bad-row', 'holds nothing')
      return { kind }
    }
    const report = { show: () => {}, waiting: () => {}, note: () => {}, clear: () => {} }
    await expect(checkedRows(all, (row) => make(row, true), report)).rejects.toThrow(
      /command\.jsonl, line 3, row 2: holds nothing/,
    )
    made.length = 0
    const found = []
    for await (const each of await checkedRows(all, (row) => make(row, false), report)) found.push(each)
    expect(found).toHaveLength(3)
    expect(made).toHaveLength(3)
    await all.close()
  })
})

describe('rows that are dropped or cut', () => {
  const long = { prompt: ids(1, 30), chosen: ids(2, 3), rejected: ids(3, 3) }
  const fine = { prompt: ids(4, 4), chosen: ids(5, 3), rejected: ids(6, 30) }

  it('are counted before the first step, training and evaluation rows separately', async () => {
    const data = await rows('long', [long, fine, fine, long])
    const evalData = [await rows('long-eval', [fine, long])]
    const settings = { data, evalData, maxLength: 20, maxSteps: 1, output: at('counted') }
    const { events } = await train(dpo, settings)
    const [start] = eventsOf(events, 'start')
    expect(start).toMatchObject({ rows: 4, dropped: { 'no-reply-left': 2 }, eval_dropped: { 'no-reply-left': 1 } })
    const kinds = events.map(({ event }) => event).filter((event) => event !== 'progress')
    expect(kinds.slice(0, 6)).toEqual(['start', ...Array(4).fill('warning'), 'step'])
    expect(eventsOf(events, 'warning')).toMatchObject([
      { code: 'truncated', count: 2 },
      { code: 'no-reply-left', count: 2 },
      { code: 'cut-stop' },
      { code: 'eval-in-train' },
    ])
  })

  it('are warned about once in a resumed run, which ends as an uninterrupted one', async () => {
    const data = await rows('again', [long, fine, { ...fine, prompt: ids(7, 5) }, { ...fine, prompt: ids(8, 3) }])
    const settings = { data, maxLength: 20, maxSteps: 4, batchSize: 1, saveEvery: 1 }
    await train(dpo, { ...settings, output: at('whole') })
    const signal = new AbortController()
    const stop = (event: TrainEvent) => void (event.event === 'step' && event.step === 2 && signal.abort())
    await train(dpo, { ...settings, output: at('cut') }, { signal: signal.signal }, stop)
    await train(dpo, { ...settings, output: at('cut'), resume: true })
    expect(await hashOf(at('cut'))).toBe(await hashOf(at('whole')))
    const log = await logWithoutTimes(at('cut'))
    expect(log).toEqual(await logWithoutTimes(at('whole')))
  })

  it('are searched for with progress events when there are many rows', async () => {
    const data = await rows(
      'many',
      Array.from({ length: 600 }, (_, i) => ({ input_ids: ids(i, 4) })),
    )
    const { events } = await train(sft, { data, maxSteps: 1, output: at('many') })
    const done = eventsOf(events, 'progress').filter(({ phase }) => phase === 'tokenize')
    expect(done.map((event) => [event.done, event.total])).toEqual([
      [256, 600],
      [512, 600],
      [600, 600],
    ])
    expect(events.findIndex(({ event }) => event === 'start')).toBe(3)
  })
})
