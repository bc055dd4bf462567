/** A run is not resumed if a file that it reads has changed; the error names the file. */
import { appendFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { reward } from '../../src/recipes/reward.ts'
import { rloo } from '../../src/recipes/rloo.ts'
import { sft } from '../../src/recipes/sft.ts'
import type { TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { settingsOf, settingsPaths } from '../../src/recipes/trainer/settingsPaths.ts'
import { moduleFiles } from '../../src/rewards/moduleFiles.ts'
import { readInfo } from '../../src/runs/run.node.ts'
import {
  hashOf,
  ids,
  linesOf,
  logOf,
  runUntil,
  settingsOf as settings,
  testFolder,
  tiny,
  train,
} from '../support/training.ts'

const { at, rows } = testFolder()

const texts = Array.from({ length: 9 }, (_, i) => ({ input_ids: ids(i, 6) }))
const pairs = texts.map((_, i) => ({ prompt: ids(i, 4), chosen: ids(50 + i, 3), rejected: ids(90 + i, 3) }))

const afterStep = (n: number) => (event: TrainEvent) => event.event === 'checkpoint' && event.step === n

describe('resuming is refused where a file that the run reads has changed', () => {
  const [dir, data, evalFile] = ['model', 'data.jsonl', 'eval.jsonl']
  const all = () => ({
    evalEvery: 9,
    saveEvery: 1,
    maxSteps: 3,
    model: at(dir),
    data: at(data),
    evalData: [at(evalFile)],
  })
  beforeAll(async () => {
    await cp(tiny, at(dir), { recursive: true })
    await rows('data', texts)
    await rows('eval', texts.slice(0, 2))
    // With a checkpoint, and before the first one
    await runUntil(sft, settings(sft, { ...all(), output: at('late') }), afterStep(1))
    await runUntil(sft, settings(sft, { ...all(), output: at('early') }), ({ event }) => event === 'start')
  })

  const digit = (text: string) => text.replace(/([1-8])(?=\D*$)/, (found) => `${Number(found) + 1}`)
  it.each([
    [
      'a number of config.json',
      `${dir}/config.json`,
      (text: string) => text.replace(/("rms_norm_eps": *)[\d.e-]+/, '$11e-4'),
    ],
    ['an end token', `${dir}/generation_config.json`, (text: string) => text.replace('{', '{"max_length":7,')],
    ['a new template', `${dir}/chat_template.jinja`, () => '{{ messages }}'],
    ['a new tokenizer', `${dir}/tokenizer_config.json`, () => '{}'],
    ['a file that is gone', `${dir}/generation_config.json`, () => undefined],
    ['a training row', data, digit],
    ['an evaluation row', evalFile, digit],
  ])('%s', async (_, file, change) => {
    const before = await readFile(at(file), 'utf8').catch(() => undefined)
    const after = change(before ?? '')
    expect(after).not.toBe(before)
    const put = (text: string | undefined) => (text === undefined ? rm(at(file)) : writeFile(at(file), text))
    await put(after)
    for (const output of [at('late'), at('early')])
      await expect(train(sft, { ...all(), output, resume: true })).rejects.toMatchObject({
        code: 'changed',
        where: { file: at(file) },
      })
    await put(before)
  })

  it('a module that a reward function imports', async () => {
    await mkdir(at('lib'), { recursive: true })
    await writeFile(
      at('reward.mjs'),
      "import { worth } from './lib/worth.mjs'\nexport default (rows) => rows.map(worth)\n",
    )
    await writeFile(at('lib/worth.mjs'), 'export const worth = ({ ids }) => ids.length + ids[0] / 100\n')
    const given = {
      data: await rows(
        'prompts',
        pairs.map(({ prompt }) => ({ prompt })),
      ),
      reward: [at('reward.mjs')],
    }
    const more = { ...given, saveEvery: 1, maxNewTokens: 3, maxSteps: 2, output: at('imports') }
    await runUntil(rloo, settings(rloo, more), afterStep(1))
    await appendFile(at('lib/worth.mjs'), '// another\n')
    await expect(train(rloo, { ...more, resume: true })).rejects.toThrow(/lib\/worth\.mjs: is not what it was/)
    const { model_files: files } = await readInfo(at('imports'))
    expect(files?.map(({ path }) => path)).toEqual(expect.arrayContaining([at('reward.mjs'), at('lib/worth.mjs')]))
  })
})

describe('files of rollouts', () => {
  const learn = async (name: string, more: object) => ({
    data: await rows('asked', pairs),
    output: at(name),
    batchSize: 2,
    saveEvery: 1,
    maxNewTokens: 3,
    maxSteps: 2,
    ...more,
  })

  beforeAll(() => writeFile(at('first.mjs'), 'export default (rows) => rows.map(({ ids }) => ids[0] / 100)\n'))

  it('stay in the run folder as one row for each sample; --no-keep-rollouts removes them', async () => {
    const given = await learn('kept', { reward: [at('first.mjs')] })
    await train(rloo, given)
    expect(await readdir(at('kept/rollouts/1'))).toEqual(['rows.jsonl'])
    const lines = await linesOf(at('kept/rollouts/1/rows.jsonl'))
    expect(lines).toHaveLength(4)
    for (const { ids, rewards, reward, decoder_logps, old_logps, ref_logps, ...row } of lines) {
      expect(rewards).toEqual({ first: ids[0] / 100 })
      expect(reward).toBe(rewards.first)
      expect(row).toMatchObject({ counts: true, prompt_ids: pairs[row.row].prompt, prompt: pairs[row.row].prompt })
      for (const logps of [decoder_logps, old_logps, ref_logps]) expect(logps).toHaveLength(ids.length)
      const other = lines.find((each) => each.group === row.group && each.sample !== row.sample)
      expect(row.advantages).toBeCloseTo(reward - other.reward, 5)
    }
    await train(rloo, { ...given, output: at('removed'), keepRollouts: false })
    expect(await readdir(at('removed/rollouts'))).toEqual(['2'])
    expect(await hashOf(at('removed'))).toBe(await hashOf(at('kept')))
  })

  it('are refused by a resumed run if they changed', async () => {
    const given = await learn('again', { reward: [at('first.mjs')], numIterations: 2 })
    await runUntil(rloo, settings(rloo, given), afterStep(1))
    for (const name of ['rows.jsonl', 'rollout.json']) {
      const path = at(`again/rollouts/1/${name}`)
      const text = await readFile(path, 'utf8')
      for (const other of [text.replace(/[1-8](?=\D)/, '9'), '', text.slice(0, text.length / 2)]) {
        await writeFile(path, other)
        await expect(train(rloo, { ...given, resume: true })).rejects.toMatchObject({
          code: 'bad-run',
          where: { file: path },
        })
      }
      await writeFile(path, text)
    }
    expect((await train(rloo, { ...given, resume: true })).end).toMatchObject({ steps: 2, stopped: 'done' })
  })
})

it('the files of a reward module are its own and all that it imports by path', async () => {
  const dir = at('modules')
  await mkdir(join(dir, 'sub'), { recursive: true })
  const files = {
    'a.ts': `import b from './b.js'\nexport { x } from "./sub"\nimport 'node:fs'\nconst c = await import('./c')\nimport none from './none'`,
    'b.ts': `import a from './a.ts'`,
    'sub/index.mjs': `const data = require("../data.json")`,
    'c.cjs': `import('zod')`,
    'data.json': '{"from": "./other.json"}',
    'other.json': '{}',
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  const found = (await moduleFiles(join(dir, 'a.ts'))).map((path) => path.slice(dir.length + 1))
  expect(found.sort()).toEqual(['a.ts', 'b.ts', 'c.cjs', 'data.json', 'sub/index.mjs'])
  await truncate(join(dir, 'b.ts'), 1 << 30)
  await expect(moduleFiles(join(dir, 'a.ts'))).rejects.toMatchObject({
    code: 'bad-reward',
    where: { file: join(dir, 'b.ts') },
  })
})

it('a reward run that is killed after its first evaluation has the same log when resumed', async () => {
  const given = { data: await rows('pairs', pairs), evalSplit: 0.3, evalEvery: 2, saveEvery: 2, maxSteps: 2 }
  await train(reward, { ...given, output: at('whole') })
  const loggedSteps = async (name: string) =>
    (await logOf(at(name))).map(({ event, step, loss, eval_loss }) => [event, step, loss, eval_loss])
  expect((await loggedSteps('whole')).slice(0, 3).map(([event, step]) => [event, step])).toEqual([
    ['start', 0],
    ['eval', 0],
    ['step', 1],
  ])
  const moments = {
    'at-eval': ({ event }: TrainEvent) => event === 'eval',
    'at-step': ({ event }: TrainEvent) => event === 'step',
  }
  for (const [name, last] of Object.entries(moments)) {
    await runUntil(reward, settings(reward, { ...given, output: at(name) }), last)
    await train(reward, { ...given, output: at(name), resume: true })
    expect(await loggedSteps(name), name).toEqual(await loggedSteps('whole'))
    expect(await hashOf(at(name)), name).toBe(await hashOf(at('whole')))
  }
})

it('LoRA flags that disagree with the opened adapter are refused', async () => {
  const data = await rows('texts', texts)
  await train(sft, { data, maxSteps: 1, loraR: 8, loraAlpha: 16, output: at('first') })
  const on = { data, maxSteps: 1, adapter: at('first/adapter') }
  const refused = { loraR: 4, loraAlpha: 32, loraTarget: ['q_proj'] }
  for (const [key, value] of Object.entries(refused))
    await expect(train(sft, { ...on, [key]: value, output: at(`no-${key}`) })).rejects.toThrow(
      new RegExp(`^--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}: is ${value}, and the adapter`),
    )
  await train(sft, { ...on, loraR: 8, loraAlpha: 16, loraTarget: ['all-linear'], output: at('second') })
  expect((await readInfo(at('second'))).adapter).toMatchObject({ r: 8, alpha: 16, dropout: 0 })
})

it('a run resumes from any folder, since it stores absolute paths too', async () => {
  const file = await rows('placed', texts)
  const config = {
    model: tiny,
    data: [file, 'owner/name'],
    reward: [`n=${file}`, `schema:${file}`, 'regex:a'],
    beta: 1,
  }
  const places = await settingsPaths(config)
  expect(places).toEqual({ model: tiny, data: [file, 'owner/name'], reward: config.reward })
  const relative = { ...config, model: 'm', data: ['d.jsonl', 'owner/name'] }
  expect(await settingsOf({ config: relative, places })).toEqual({ ...config, beta: 1 })
  const gone = { ...places, model: at('nowhere') }
  expect((await settingsOf({ config: relative, places: gone })).model).toBe('m')
  expect(await settingsOf({ config: relative })).toEqual(relative)
})
