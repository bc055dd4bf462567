import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { methodKeys, methods } from '../recipes/methods.ts'
import { rewardSchema } from '../recipes/reward/schema.ts'
import { reinforceSchema } from '../recipes/rl/schema.ts'
import { fieldsOf } from '../recipes/settings/fields.ts'
import { preferenceSchema, sftSchema } from '../recipes/trainer/schema.ts'
import { checkSettings, collectSettings } from './settings.ts'

const needed = { model: 'm', data: ['d.jsonl'], output: 'o' }
const settings = async (flags: object, schema: z.ZodObject = preferenceSchema, file?: string) =>
  checkSettings(schema, await collectSettings(schema, { ...needed, ...flags }, file))

describe('fields', () => {
  it.each(methodKeys)('every setting of %s has a description, a group and a flag in kebab-case', async (key) => {
    for (const { flag, description, group } of fieldsOf(await methods[key].schema())) {
      expect(description, flag).not.toBe('')
      expect(group, flag).toBeDefined()
      expect(flag).toMatch(/^--[a-z]+(-[a-z]+)*$/)
    }
  })

  it('have a kind, choices, a default, and may be required', () => {
    const fields = Object.fromEntries(fieldsOf(preferenceSchema).map((field) => [field.key, field]))
    expect(fields.model).toMatchObject({ kind: 'text', required: true })
    expect(fields.data).toMatchObject({ kind: 'list', of: 'text', required: true, value: 'FILE' })
    expect(fields.output).toMatchObject({ required: false, fallback: 'a new folder in attune-runs' })
    expect(fields.column).toMatchObject({ kind: 'record', value: 'NAME=COLUMN' })
    expect(fields.schedule.choices).toContain('cosine')
    expect(fields.loraTarget).toMatchObject({ separator: ',', fallback: undefined })
    expect(fields.maxSteps).toMatchObject({ kind: 'number', required: false, fallback: undefined })
  })
})

describe('settings', () => {
  it('have the defaults of the schema where nothing is given', async () => {
    expect(await settings({})).toMatchObject({ epochs: 3, batchSize: 8, beta: 0.1, loraDropout: 0 })
    expect(await settings({}, sftSchema)).toMatchObject({ loraDropout: 0.05, shuffle: true })
    // The recipe fills it in: it depends on whether an adapter is trained
    expect((await settings({})).learningRate).toBeUndefined()
  })

  it('become numbers, lists and records where the fields are', async () => {
    const flags = { learningRate: '1e-4', loraTarget: 'q_proj,v_proj', column: ['chosen=good=1', 'prompt=q'] }
    expect(await settings({ ...flags, scheduleOption: ['minLrRate=0.1'] })).toMatchObject({
      learningRate: 1e-4,
      loraTarget: ['q_proj', 'v_proj'],
      column: { chosen: 'good=1', prompt: 'q' },
      scheduleOption: { minLrRate: 0.1 },
    })
  })

  it.each([
    [{ batchSize: '0' }, /^--batch-size: 0 is too small; it must be above 0/],
    [{ batchSize: '1.5' }, /^--batch-size: 1.5 is not a whole number/],
    [{ learningRate: 'fast' }, /^--learning-rate: "fast" is not a number/],
    [{ evalSplit: '20%' }, /^--eval-split: "20%" is not a number; write 0\.2$/],
    [{ learningRate: '' }, /^--learning-rate: "" is not a number/],
    [{ schedule: 'cosin' }, /^--schedule: "cosin" is none of .*did you mean cosine\?/],
    [{ evalSplit: '1' }, /^--eval-split: 1 is too large; it must be below 1/],
    [{ column: ['chosen'] }, /^--column: "chosen" must be NAME=COLUMN/],
    [{ scheduleOption: ['numDecaySteps=x'] }, /^--schedule-option: numDecaySteps: "x" is not a number/],
    [{ scheduleOption: ['min=1'] }, /^--schedule-option: "min" is not known/],
    [{ model: undefined }, /^--model: is required: the model to start from/],
  ])('%j is refused with a message that names the flag and the value', async (flags, message) => {
    await expect(settings(flags)).rejects.toThrow(message)
  })
})

describe('a file of settings', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'attune-settings-'))
  })
  afterAll(() => rm(dir, { recursive: true }))
  const file = async (text: string) => {
    await writeFile(join(dir, 's.yaml'), text)
    return join(dir, 's.yaml')
  }

  it('takes the names of the flags, and flags override it', async () => {
    const path = await file('learning-rate: 1e-4\nbeta: 0.3\neval-data: e.jsonl')
    const config = await settings({ beta: '0.2' }, preferenceSchema, path)
    expect(config).toMatchObject({ learningRate: 1e-4, beta: 0.2, evalData: ['e.jsonl'] })
  })

  it('is checked like the flags', async () => {
    await expect(settings({}, preferenceSchema, await file('lerning-rate: 1'))).rejects.toThrow(
      /s\.yaml: "lerning-rate" is not a setting of this command; did you mean learning-rate\?/,
    )
    await expect(settings({}, preferenceSchema, await file('- 1'))).rejects.toThrow(/must hold settings/)
    await expect(settings({}, preferenceSchema, await file('a: [1'))).rejects.toThrow(/is not YAML/)
    await expect(settings({}, preferenceSchema, join(dir, 'no.yaml'))).rejects.toThrow(/cannot be read/)
  })

  it('of another program is refused with what each of its names is here', async () => {
    const llamaFactory = `model_name_or_path: m
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
pref_beta: 0.1
pref_loss: sigmoid
template: qwen
cutoff_len: 2048
per_device_train_batch_size: 1
warmup_ratio: 0.1
learning_rate: 1.0e-5
nonsense: 1
`
    const fault = await settings({}, preferenceSchema, await file(llamaFactory)).catch((error) => error)
    expect(fault.message).toMatch(/s\.yaml: "model_name_or_path" and 11 other names are not settings of this command$/)
    expect(fault.details).toEqual([
      '"model_name_or_path": here it is model',
      '"stage": not needed: the command is the stage: attune sft, dpo, kto, reward (rm), ppo',
      '"do_train": not needed: the command trains',
      '"finetuning_type": here it is lora-r (without it all weights are trained)',
      '"lora_rank": here it is lora-r',
      '"pref_beta": here it is beta',
      '"pref_loss": here it is loss',
      expect.stringMatching(/^"template": here it is chat /),
      '"cutoff_len": here it is max-length',
      '"per_device_train_batch_size": here it is batch-size (in reinforcement learning it counts prompts)',
      '"warmup_ratio": here it is warmup-steps (a number of steps, not a share)',
      '"nonsense": is not known',
    ])
    const many = Array.from({ length: 99 }, (_, i) => `zzz${i}q: 1`).join('\n')
    const long = await settings({}, preferenceSchema, await file(many)).catch((error) => error)
    expect([long.details.length, long.details.at(-1)]).toEqual([61, 'and 39 more'])
  })
})

describe('the files of settings in examples/', () => {
  const examples = fileURLToPath(new URL('../../examples/', import.meta.url))
  const smol = {
    model: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    data: ['esfrankel17/HelpSteer2_binarized:average_rating'],
  }
  const learning = { ...smol, learningRate: 5e-5, seed: 28 }
  const qv = { loraR: 32, loraAlpha: 64, loraDropout: 0.1, loraTarget: ['q_proj', 'v_proj'] }
  const policy = {
    ...learning,
    ...qv,
    batchSize: 16,
    epochs: 1,
    optimizer: 'adamw',
    numGenerations: 1,
    regulariser: true,
  }
  const rewardModel = {
    ...learning,
    loraR: 16,
    loraAlpha: 32,
    loraDropout: 0.2,
    batchSize: 4,
    gradAccum: 8,
    epochs: 3,
    maxLength: 512,
    evalEvery: 25,
    centerRewards: 0.01,
  }
  // The settings of the studies that they reproduce
  const studies: Record<string, [z.ZodObject, object]> = {
    'reinforce-level-1.yaml': [reinforceSchema, policy],
    'reinforce-level-2.yaml': [reinforceSchema, policy],
    'reward-helpsteer2.yaml': [rewardSchema, rewardModel],
  }

  it('are all compared with a study below', async () => {
    const files = (await readdir(examples)).filter((name) => name.endsWith('.yaml'))
    expect(files.sort()).toEqual(Object.keys(studies))
  })

  it.each(Object.entries(studies))(
    '%s has the settings of its study, and flags override them',
    async (name, [schema, study]) => {
      const flags = { ...(schema === reinforceSchema && { reward: ['runs/reward'] }), output: 'o' }
      const read = async (more: object) =>
        checkSettings(schema, await collectSettings(schema, { ...flags, ...more }, join(examples, name)))
      expect(await read({})).toMatchObject(study)
      expect(await read({ seed: '3', loraTarget: 'all-linear' })).toMatchObject({ seed: 3, loraTarget: ['all-linear'] })
    },
  )
})

describe('lists', () => {
  it('are refused with the wrong value, not with its index', () => {
    const methods = z.object({ method: z.array(z.enum(['ppo', 'all'])) })
    expect(() => checkSettings(methods, { method: ['all', 'ppoo'] })).toThrow(
      /^--method: "ppoo" is none of ppo, all; did you/,
    )
  })

  it('are refused with the number of values that they take; a positional argument has no flag', () => {
    const policies = z.object({ policies: z.array(z.string()).min(2) })
    expect(() => checkSettings(policies, { policies: ['a'] }, ['policies'])).toThrow(
      'policies: 1 given; it takes 2 or more',
    )
  })
})
