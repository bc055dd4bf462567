/** Input that cannot be trained on is a clear Fault before anything is written. */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { dpo } from '../../src/recipes/dpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { sft } from '../../src/recipes/sft.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { fixture } from '../support/golden.ts'
import { ids, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()

const text = { input_ids: ids(0, 9) }
const pair = { prompt: ids(0, 4), chosen: ids(1, 3), rejected: ids(2, 3) }
const three = { prompt: [5], responses: [[6], [7], [8]], ranks: [1, 2, 3] }
const thumb = { prompt: [5], completion: [6, 7], label: true }
const chat = { messages: [{ role: 'user', content: 'hi' }] }
const bad = 'bad-flag'

const cases: [string, Recipe, object[], object, string, RegExp][] = [
  ['no rows', sft, [], {}, 'empty-data', /holds no rows/],
  ['rows too long', dpo, [pair, pair], { maxLength: 4 }, 'empty-data', /no-reply-left: 2.*--max-length/],
  ['texts too short', sft, [{ input_ids: [7] }], {}, 'empty-data', /empty: 1/],
  ['nothing but ties', dpo, [{ ...three, responses: [[6], [7]], ranks: [1, 1] }], {}, 'empty-data', /tie: 1/],
  ['nothing left to train on', sft, [text], { evalSplit: 0.5 }, 'empty-data', /--eval-split/],
  ['an unknown loss', dpo, [pair], { loss: 'sigmiod' }, bad, /did you mean sigmoid/],
  ['a loss weight that is not a number', dpo, [pair], { loss: 'sigmoid:x' }, bad, /NAME:WEIGHT/],
  ['lists for a loss on pairs', dpo, [three], { loss: 'hinge' }, bad, /hinge compares pairs.*3 responses/],
  ['"prob" for a loss on lists', dpo, [{ ...pair, prob: 0.7 }], { loss: 'plackett-luce' }, bad, /"prob"/],
  ['exo_pair without label smoothing', dpo, [pair], { loss: 'exo_pair', labelSmoothing: 0 }, bad, /--label-smoothing/],
  [
    'a divergence that the loss does not read',
    dpo,
    [pair],
    { loss: 'nca_pair', fDivergence: 'forward_kl' },
    bad,
    /nca_pair/,
  ],
  ['kto with a batch of one', kto, [thumb], { batchSize: 1 }, bad, /--batch-size/],
  ['a text without a tokenizer', sft, [{ text: 'hi' }], {}, 'no-tokenizer', /tokenizer\.json/],
  ['a chat without a template', sft, [chat], { model: fixture('models/stories260K') }, 'no-template', /chat template/],
  ['an id beyond the vocabulary', sft, [{ input_ids: [5, 500] }], {}, 'bad-id', /500.*127/],
  ['rows of a kind that the method cannot use', kto, [text], {}, 'wrong-kind', /unpaired/],
  ['an adapter that does not exist', sft, [text], { adapter: '/nowhere' }, 'no-model', /nowhere/],
  ['a LoRA target that does not exist', sft, [text], { loraR: 2, loraTarget: ['q_porj'] }, bad, /q_proj/],
]

describe('bad input is refused before the run folder is made', () => {
  it.each(cases)('%s', async (name, recipe, all, settings, code, message) => {
    const output = at(name)
    const run = train(recipe, { ...settings, data: await rows(name.replaceAll(' ', '-'), all), output })
    await expect(run).rejects.toMatchObject({ name: 'Fault', exitCode: 2, code })
    await expect(run).rejects.toThrow(message)
    await expect(stat(output)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('evaluation rows without any token to train on, and an unknown --best-metric', async () => {
    const data = await rows('sft', [text, text])
    const evalData = [await rows('eval', [{ input_ids: [7] }])]
    const empty = train(sft, { data, evalData, output: at('no-eval-rows') })
    await expect(empty).rejects.toMatchObject({ code: 'empty-data', exitCode: 2 })
    const bestMetric = { evalSplit: 0.5, bestMetric: 'eval_accuracy', evalEvery: 1 }
    const unknown = train(sft, { data, ...bestMetric, output: at('best-metric') })
    await expect(unknown).rejects.toMatchObject({ code: bad, message: expect.stringContaining('eval_loss') })
  })
})

it('a loss that is not finite stops the run with exit code 1 and names the rows', async () => {
  const data = await rows('sft', [text, text, text, text])
  const run = train(sft, { data, learningRate: 1e30, schedule: 'constant', shuffle: false, output: at('away') })
  await expect(run).rejects.toMatchObject({ code: 'not-finite', exitCode: 1 })
  await expect(run).rejects.toThrow(/step 2.*rows 0, 1, 2, 3.*--learning-rate/s)
  await expect(stat(at('away/model'))).rejects.toMatchObject({ code: 'ENOENT' })
})

it('a Fault ends the process while an engine is open', async () => {
  const data = await rows('one', [text])
  const flags = ['--model', tiny, '--data', data, '--output', at('process'), '--eval-split', '0.5']
  const bin = new URL('../../bin/attune.js', import.meta.url).pathname
  const failed = promisify(execFile)(process.execPath, [bin, 'sft', ...flags], { timeout: 20_000 })
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(/^error: --eval-split: /m) })
  await expect(stat(at('process'))).rejects.toMatchObject({ code: 'ENOENT' })
})
