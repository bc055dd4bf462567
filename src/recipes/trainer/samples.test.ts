/** Samples of before and after a training, for the page of a run. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fixture } from '../../../test/support/golden.ts'
import { hashOf, stopAfter, testFolder, train } from '../../../test/support/training.ts'
import { dpo } from '../dpo.ts'
import { grpo } from '../grpo.ts'
import { sft } from '../sft.ts'
import { spin } from '../spin.ts'
import { loopsText, readSamples, samplesFile } from './samples.ts'

const { at, rows } = testFolder()
const stories = { model: fixture('models/stories260K'), maxLength: 64, threads: 1 }
const openings = ['Once upon a time', 'The dog', 'Lily and Tom', 'One day', 'A cat', 'The dog']
const texts = openings.map((prompt, i) => ({ prompt, completion: ` saw ${i} red balls. The end.` }))
const learn = { ...stories, learningRate: 3e-3, maxSteps: 6 }

it('are of different prompts, the held-out ones first, and stand side by side on the page', async () => {
  const evalData = [await rows('held', [{ prompt: 'My friend', completion: ' ran.' }, ...texts.slice(0, 2)])]
  const run = { ...learn, data: await rows('texts', texts), evalData, output: at('sides') }
  const { end } = await train(sft, run)
  const { samples } = (await readSamples(run.output))!
  expect(samples.map(({ prompt }) => prompt)).toEqual(['My friend', 'Once upon a time', 'The dog'])
  for (const { before, after } of samples) expect(before).not.toBe(after)
  const page = await readFile(join(run.output, 'report.html'), 'utf8')
  for (const { after } of samples) expect(page).toContain(after!.trim().slice(0, 20))
  // They change neither the result nor the log
  expect(await readFile(join(run.output, 'events.jsonl'), 'utf8')).not.toMatch(/"event":"(sample|progress)"/)
  expect(end.stopped).toBe('done')
})

it('that begin to go round in circles give a warning', () => {
  const loop = `Hi! Yes. ${'Happy reading! '.repeat(9)}Happy…`
  const plain = 'Hi! Yes, on Sundays we are open from 11 to 16, and the return box by the entrance is open at…'
  expect(loopsText([plain, plain, plain, plain], [loop, plain, '🌱'.repeat(16).concat('…'), plain])).toMatch(
    /^2 of 4 samples /,
  )
  // One of four, as before the training, ended by the model itself, or as a person writes it
  expect(loopsText([plain, plain, plain, plain], [loop, plain, plain, plain])).toBeUndefined()
  expect(loopsText([loop, loop], [loop, loop])).toBeUndefined()
  expect(loopsText([plain], [loop.slice(0, -1)])).toBeUndefined()
  expect(loopsText([plain], ['Well, well, well, I do not know.....…'])).toBeUndefined()
})

it('of the first rows where none are held out; of a text its beginning is the prompt', async () => {
  const data = await rows('plain', [
    { text: 'Once upon a time there was a little girl who lived in a big house.' },
    ...texts.map(({ prompt, completion }) => ({ text: prompt + completion })),
  ])
  const run = { ...learn, data, output: at('plain') }
  await train(sft, run)
  const { samples } = (await readSamples(run.output))!
  expect(samples).toHaveLength(4)
  expect(samples[0].prompt).toMatch(/^Once upon a time/)
  expect(samples[0].prompt.length).toBeLessThan(50)
})

it('are kept by a run that is stopped and resumed, whose result is the same as without them', async () => {
  const pairs = texts.map(({ prompt, completion }) => ({ prompt, chosen: completion, rejected: ' fell.' }))
  const run = { ...learn, data: await rows('pairs', pairs), output: at('resumed') }
  const stop = stopAfter(2)
  await train(dpo, run, stop, stop.each)
  const file = join(run.output, samplesFile)
  const first = (await readSamples(run.output))!.samples
  expect(first.every(({ after }) => after === undefined)).toBe(true)
  await train(dpo, { ...run, resume: true })
  const both = (await readSamples(run.output))!.samples
  expect(both.map(({ before }) => before)).toEqual(first.map(({ before }) => before))
  expect(both.every(({ after }) => after !== undefined)).toBe(true)
  // A run whose file is lost goes on without
  const other = { ...run, output: at('lost') }
  const again = stopAfter(2)
  await train(dpo, other, again, again.each)
  await rm(join(other.output, samplesFile))
  await train(dpo, { ...other, resume: true })
  expect(await readSamples(other.output)).toBeUndefined()
  expect(await hashOf(other.output)).toBe(await hashOf(run.output))
  await writeFile(file, 'spoiled')
  expect(await readSamples(run.output)).toBeUndefined()
})

it('of self-play too; a model without a tokenizer has none, and its page says so', async () => {
  const data = await rows('texts', texts)
  const play = { ...learn, iterations: 1, maxNewTokens: 6, maxSteps: 1, learningRate: [3e-3] }
  await train(spin, { ...play, data, output: at('spin') })
  expect((await readSamples(at('spin')))!.samples.every(({ after }) => after !== undefined)).toBe(true)
  const ids = await rows('ids', [{ input_ids: [1, 5, 9, 7, 8] }])
  await train(sft, { data: ids, maxSteps: 1, output: at('ids') })
  expect(await readSamples(at('ids'))).toMatchObject({ samples: [], none: expect.stringContaining('no tokenizer') })
  expect(await readFile(join(at('ids'), 'report.html'), 'utf8')).toContain('the model has no tokenizer')
})

const rewarded = { ...learn, numGenerations: 2, maxNewTokens: 6, maxSteps: 3, batchSize: 2, reward: ['regex:e.*e'] }

it('of methods that learn from rewards too, beside the samples of the first and the last step', async () => {
  const run = { ...rewarded, data: await rows('texts', texts), output: at('grpo') }
  const { events } = await train(grpo, run)
  const { samples } = (await readSamples(run.output))!
  expect(samples.map(({ prompt }) => prompt).sort()).toEqual([...new Set(openings)].slice(0, 4).sort())
  expect(samples.every(({ after }) => after !== undefined)).toBe(true)
  const logged = events.flatMap((event) => (event.event === 'sample' ? [event.step] : []))
  expect([...new Set(logged)]).toEqual([1, 3])
  const page = await readFile(join(run.output, 'report.html'), 'utf8')
  expect(page.indexOf('Before and after')).toBeLessThan(page.indexOf('What it wrote'))
  expect(page).toContain('What it wrote')
  // A run that an earlier version stopped has no such file, and ends the same
  const earlier = { ...run, output: at('grpo-earlier') }
  const stop = stopAfter(2)
  await train(grpo, earlier, stop, stop.each)
  await rm(join(earlier.output, samplesFile))
  await train(grpo, { ...earlier, resume: true })
  expect(await readSamples(earlier.output)).toBeUndefined()
  expect(await hashOf(earlier.output)).toBe(await hashOf(run.output))
})

it('are given up at once by an interrupt', async () => {
  const run = { ...learn, data: await rows('texts', texts), output: at('stopped') }
  const stop = new AbortController()
  const { end } = await train(sft, run, { signal: stop.signal }, (event) => {
    if (event.event === 'progress' && event.phase === 'generate') setTimeout(() => stop.abort())
  })
  expect(end).toMatchObject({ steps: 0, stopped: 'interrupted' })
  expect(await readSamples(run.output)).toBeUndefined()
})
