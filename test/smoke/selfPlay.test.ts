/** SPIN and aSFT end to end: three iterations, and runs that are stopped in every phase and resumed. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { asft } from '../../src/recipes/asft.ts'
import { spin } from '../../src/recipes/spin.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { answered, fakeEndpoint, send } from '../support/fakeEndpoint.ts'
import { fixture } from '../support/golden.ts'
import {
  hashOf,
  ids,
  linesOf,
  logWithoutTimes,
  eventsOf as of,
  runUntil as run,
  testFolder,
} from '../support/training.ts'

const { at, rows } = testFolder()

const sentences = [
  ['Once upon a time', ', there was a little girl named Lily.'],
  ['Tom had a', ' big red ball. He liked it very much.'],
  ['The dog', ' ran to the park and saw a cat.'],
  ['One day, a', ' bird flew over the house.'],
  ['Lily and Max', ' went to the park to play.'],
  ['Mom said', ' it was time to go to bed.'],
].map(([prompt, completion]) => ({ prompt, completion }))

const stories = {
  model: fixture('models/stories260K'),
  threads: 1,
  batchSize: 2,
  epochs: 1,
  learningRate: [1e-4],
  evalSplit: 0.34,
  maxNewTokens: 8,
}

describe('spin', () => {
  it('completes the prompts, trains and evaluates in each of three iterations', async () => {
    const output = at('spin')
    const events = await run(spin, { ...stories, data: [await rows('stories', sentences)], output })
    const steps = of(events, 'step')
    expect(steps.map(({ step, iteration }) => [step, iteration])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
      [5, 3],
      [6, 3],
    ])
    // The policy is its own snapshot when an iteration begins
    for (const { loss } of [steps[0], steps[2], steps[4]]) expect(Math.abs(loss - Math.LN2)).toBeLessThan(1e-6)
    const evals = of(events, 'eval')
    expect(evals.map(({ iteration, step }) => [iteration, step])).toEqual([
      [0, 0],
      [1, 2],
      [2, 4],
      [3, 6],
    ])
    expect(evals[0]).toMatchObject({ eval_margin: 0, eval_win_rate: 0.5, eval_exact_match: 0 })
    expect(evals[3].eval_nll).toBeLessThan(evals[0].eval_nll as number)
    for (const { eval_margin: margin, eval_margin_low: low, eval_margin_high: high } of evals.slice(1)) {
      expect(low).toBeLessThan(margin as number)
      expect(high).toBeGreaterThan(margin as number)
    }
    expect(of(events, 'end')[0]).toMatchObject({ steps: 6, stopped: 'done' })
    // Each iteration has completions of its own
    const completions = await Promise.all(
      [1, 2, 3].map((t) => linesOf(join(output, `iterations/${t}/train-answers.jsonl`))),
    )
    expect(completions.map((each) => each.length)).toEqual([4, 4, 4])
    expect(completions[0]).not.toEqual(completions[1])
  })
})

const better = sentences.map((row, i) => ({ ...row, better: i === 1 ? row.completion : ' ran home.' }))

describe('asft', () => {
  it('ranks helpers (column, model, server) between the data and its own completions', async () => {
    const [output, data] = [at('asft'), [await rows('better', better)]]
    let isDown = true
    const server = await fakeEndpoint(({ body }, response) =>
      isDown && body.prompt === 'Mom said' ? send(response, '', 404) : send(response, answered(' slept.')),
    )
    const helper = ['column:better', fixture('trl/model'), `${server.url}#big`]
    const settings = {
      ...stories,
      data,
      output,
      helper,
      helperRanks: [2, 3, 3],
      iterations: 2,
      historic: true,
    }
    // The server fails for one row: the run stops, and when resumed requests only what is missing
    await expect(run(asft, settings)).rejects.toThrow(/answered 404.*--resume/)
    isDown = false
    const events = await run(asft, { ...settings, resume: true })
    await server.close()
    expect(server.asked.filter(({ body }) => body.prompt === 'Tom had a')).toHaveLength(1)
    expect(server.asked[0].body).toMatchObject({ model: 'big', max_tokens: 8 })
    expect(of(events, 'step').map(({ step, iteration }) => [step, iteration])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
    ])
    expect(of(events, 'eval')[2]).toMatchObject({ 'eval_logps/helper': expect.any(Number) })
    const [first, second] = await Promise.all(
      [1, 2].map((t) => linesOf(join(output, `iterations/${t}/train-lists.jsonl`))),
    )
    expect(first[0].roles).toEqual(['data', 'helper', 'helper', 'helper', 'own'])
    expect(second[0].roles).toEqual(['data', 'helper', 'helper', 'helper', 'own', 'first'])
    for (const { ranks, replies } of [...first, ...second]) {
      const [data, column] = replies.map(String)
      expect(ranks).toEqual([1, data === column ? 0 : 2, 3, 3, 4, 5].slice(0, ranks.length))
    }
    expect(first.filter(({ ranks }: { ranks: number[] }) => ranks[1] === 0).length).toBeLessThan(2)
  })

  it('refuses a row without the helper column, naming both', async () => {
    const data = [await rows('lacking', [better[0], sentences[1], ...better])]
    const settings = { ...stories, data, output: at('lacking'), helper: ['column:better'] }
    await expect(run(asft, settings)).rejects.toMatchObject({
      code: 'missing-column',
      exitCode: 2,
      where: { row: 1, column: 'better' },
    })
  })
})

// Rows of token ids, an adapter, and every option that adds a file or a completion
const idRows = Array.from({ length: 5 }, (_, i) => ({ prompt: ids(i, 3 + (i % 3)), completion: ids(20 + i, 4) }))
const tiny = {
  model: fixture('models/llama-tied'),
  threads: 1,
  batchSize: 2,
  epochs: 1,
  learningRate: [1e-3, 5e-4],
  maxNewTokens: 6,
  iterations: 2,
  saveEvery: 2,
  mixIterations: true,
  loraR: 2,
}

describe('a self-play run ends early', () => {
  const settings = { ...tiny, mixIterations: false, maxLength: 12, learningRate: [1e-12] }

  it('with --stop-margin when the margin on evaluation rows is not significant, and counts prompts without room', async () => {
    const data = [await rows('long', [...idRows, { prompt: ids(9, 20), completion: ids(8, 2) }])]
    const evalData = [await rows('eval', idRows)]
    const events = await run(spin, { ...settings, data, evalData, stopMargin: true, output: at('stopped') })
    expect(of(events, 'end')[0]).toMatchObject({ stopped: 'converged', steps: 3 })
    expect(of(events, 'warning')).toContainEqual(expect.objectContaining({ code: 'prompt-too-long', count: 1 }))
  })

  it('but refuses --stop-margin without evaluation rows', async () => {
    const data = [await rows('ids', idRows)]
    const played = run(spin, { ...settings, data, stopMargin: true, output: at('no-eval-rows') })
    await expect(played).rejects.toMatchObject({ exitCode: 2, where: { flag: '--stop-margin' } })
  })

  it('when every completion equals the data', async () => {
    // The completions in the data are the greedy completions of the untrained model
    const first = await run(spin, {
      ...settings,
      data: [await rows('ids', idRows)],
      output: at('equal'),
      temperature: 0,
    })
    expect(of(first, 'end')).toHaveLength(1)
    const completions = await linesOf(join(at('equal'), 'iterations/1/train-answers.jsonl'))
    const own = idRows.map(({ prompt }, i) => ({ prompt, completion: completions[i].ids }))
    const again = { ...settings, data: [await rows('own', own)], output: at('again'), temperature: 0 }
    const events = await run(spin, again)
    expect(of(events, 'end')[0]).toMatchObject({ stopped: 'converged', steps: 0 })
    expect(of(events, 'warning')).toContainEqual(expect.objectContaining({ code: 'equal', count: 5 }))
  })
})

// ATTUNE_RESUME=all also stops T-SPIN, which runs the same code
const played: [string, Recipe, object, object][] = [
  ['spin', spin, { ...tiny, mixIterations: false, loraR: undefined }, idRows],
  ['t-spin-lora-mixed', spin, { ...tiny, loss: 't-spin', exactMatch: false }, idRows],
]
describe.each(process.env.ATTUNE_RESUME === 'all' ? played : played.slice(0, 1))(
  '%s',
  (name, recipe, settings, all) => {
    it('killed in any phase resumes to the weights and log of an uninterrupted run', async () => {
      const data = [await rows(name, all as object[])]
      const whole = await run(recipe, { ...settings, data, output: at(`${name}-whole`) })
      const [hash, log] = [await hashOf(at(`${name}-whole`)), await logWithoutTimes(at(`${name}-whole`))]
      const second = whole.findIndex((event) => event.event === 'eval' && event.iteration === 1)
      const first = (kind: string, from: number) =>
        whole.findIndex((event, i) => i > from && ('phase' in event ? event.phase : event.event) === kind)
      const kinds = ['generate', 'reference', 'step', 'eval']
      for (const moment of [first('generate', 0), ...kinds.map((kind) => first(kind, second))]) {
        const output = at(`${name}-${moment}`)
        let left = moment
        await run(recipe, { ...settings, data, output }, () => left-- === 0)
        await run(recipe, { ...settings, data, output, resume: true })
        expect(await hashOf(output)).toBe(hash)
        expect(await logWithoutTimes(output)).toEqual(log)
      }
    })
  },
)
