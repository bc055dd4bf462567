import { expect, it } from 'vitest'
import { grpoSchema, reinforceSchema } from '../rl/schema.ts'
import { spinSchema } from '../selfplay/schema.ts'
import { preferenceSchema } from './schema.ts'
import { refuseUnused } from './unusedSettings.ts'

const files = { model: 'm', data: ['d'], output: 'o' }
const check = (schema: typeof preferenceSchema, settings: object) =>
  refuseUnused(schema, schema.parse({ ...files, ...settings }))

it.each<[object, string]>([
  [{ simpoGamma: 1 }, '--simpo-gamma'],
  [{ loss: 'sigmoid:0.5,sft:1', cpoAlpha: 0 }, '--cpo-alpha'],
  [{ loss: 'simpo', orpoPrompt: true }, '--orpo-prompt'],
  [{ fAlpha: 0.2 }, '--f-alpha'],
  [{ patience: 2 }, '--patience'],
  [{ schedule: 'constant', warmupSteps: 5 }, '--warmup-steps'],
])('dpo refuses the unused setting in %j', (settings, flag) => {
  expect(() => check(preferenceSchema, settings)).toThrow(`${flag}: changes nothing here`)
})

it.each<object>([
  {},
  { simpoGamma: 0.5 },
  { loss: 'sft:0.1,simpo:1', simpoGamma: 1, cpoAlpha: 1 },
  { evalSplit: 0.1, patience: 2, evalEvery: 5 },
  { schedule: 'constant_with_warmup', warmupSteps: 5 },
])('dpo takes the settings %j', (settings) => {
  expect(() => check(preferenceSchema, settings)).not.toThrow()
})

it('refuses unused settings of other methods too', () => {
  const of = (schema: unknown, settings: object) => () =>
    check(schema as typeof preferenceSchema, { reward: ['regex:a'], ...settings })
  expect(of(reinforceSchema, { baselineWindow: 3 })).toThrow('--baseline-window')
  expect(of(reinforceSchema, { baseline: 'window', baselineWindow: 3 })).not.toThrow()
  expect(of(grpoSchema, { lossType: 'sapo', delta: 2 })).toThrow('--delta')
  expect(of(spinSchema, { historicWeight: 2 })).toThrow('--historic-weight')
})
