/** A loaded model against transformers and against what the commands use. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { fixture, fixtureTensors, largestDifference } from '../../test/support/golden.ts'
import { embeddingsOf } from '../passes/embeddings.ts'
import { openModel } from '../passes/open.node.ts'
import { loadLanguageModel, loadRewardModel } from './load.ts'

const stories = fixture('models/stories260K')
const model = await loadLanguageModel(stories, { threads: 1 })
const dir = mkdtempSync(join(tmpdir(), 'attune-load-'))
afterAll(async () => {
  await model.close()
  rmSync(dir, { recursive: true })
})

const greedy = { temperature: 0, maxNewTokens: 12 }

describe('generate', () => {
  it('streams the text that it gives as a whole', async () => {
    const pieces = await collect(model.generate('Once upon a time', greedy))
    const whole = await model.generate('Once upon a time', greedy)
    expect(pieces.length).toBeGreaterThan(3)
    expect(whole).toMatchObject({ text: pieces.join(''), finishReason: 'length' })
    expect(whole.text).toMatch(/^, there was a/)
    expect([whole.ids.length, whole.logps.length]).toEqual([12, 12])
  })

  it('gives a completion by its own prompt and seed, whatever is decoded beside it', async () => {
    const one = await model.generate('Lily', { seed: 3, maxNewTokens: 12 })
    const all = await Promise.all([3, 4, 3].map((seed) => model.generate('Lily', { seed, maxNewTokens: 12 })))
    expect(all.map(({ text }) => text)).toEqual([one.text, expect.not.stringContaining(one.text), one.text])
  })

  it('stops at a text, and when its signal aborts', async () => {
    const stopped = await model.generate('Once upon a time', { ...greedy, stop: ['was'] })
    expect(stopped).toMatchObject({ text: ', there ', finishReason: 'stop' })
    const stop = new AbortController()
    const pieces = async () => {
      for await (const _ of model.generate('Once', { maxNewTokens: 400, signal: stop.signal })) stop.abort()
    }
    await expect(pieces()).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('refuses wrong options and prompts in the words of a program', async () => {
    await expect(model.generate('Once', { maxNewToken: 3 } as object)).rejects.toThrow(/did you mean maxNewTokens\?/)
    await expect(model.generate('Once', { temperature: -1 })).rejects.toMatchObject({ code: 'bad-setting' })
    await expect(model.generate([])).rejects.toThrow(/prompt is empty/)
    expect(() => model.chat('Hello')).toThrow(/no chat template; use generate\(\)/)
  })
})

describe('score', () => {
  it('gives the log-probs of what was generated', async () => {
    const { logps, text } = await model.generate('Once upon a time', { ...greedy, maxNewTokens: 4 })
    const scored = await model.score({ prompt: 'Once upon a time', completion: text })
    expect(scored.tokens).toBe(4)
    expect(largestDifference(scored.tokenLogps, logps)).toBeLessThan(1e-4)
    expect(scored.logp).toBeCloseTo(logps.reduce((a, b) => a + b))
    const [same, whole] = await model.score([{ prompt: 'Once upon a time', completion: text }, { text: 'Once upon' }])
    expect(same.tokens).toBe(4)
    expect(whole.logp).toBeLessThan(0)
    await expect(model.score([{ text: 'a' }, { txt: 'b' } as never])).rejects.toThrow(/row 1.*txt/s)
  })

  it('gives the rewards of a reward model, which has an opener of its own', async () => {
    await expect(loadLanguageModel(fixture('models/llama-reward'))).rejects.toThrow(/loadRewardModel/)
    await expect(loadRewardModel(stories)).rejects.toMatchObject({ code: 'no-score-head' })
    const judge = await loadRewardModel(fixture('models/llama-reward-10'), { threads: 1 })
    try {
      const scores = await judge.score([{ text: [3, 4, 5] }, { text: [7, 8] }])
      for (const { reward, probs } of scores) {
        expect(reward).toBeCloseTo(
          probs!.reduce((sum, p, i) => sum + p * (i + 1), 0),
          4,
        )
      }
      expect(scores[0].reward).not.toBe(scores[1].reward)
    } finally {
      await judge.close()
    }
  })
})

describe('embed', () => {
  it('pools the last hidden states of transformers', async () => {
    const golden = await fixtureTensors('models/stories260K-golden.safetensors')
    const ids = await golden.ints('input_ids')
    const [, T, C] = golden.shape('hidden_states.5')
    const states = await golden.floats('hidden_states.5')
    const opened = await openModel({ model: stories, threads: 1 })
    try {
      const embed = async (pooling: 'mean' | 'last', texts: number[][]) =>
        embeddingsOf(opened.model, texts, { pooling, normalize: false })
      const [last] = await embed('last', [ids])
      expect(largestDifference(last, states.subarray((T - 1) * C))).toBeLessThan(1e-4)
      const expected = Array.from({ length: C }, (_, c) => {
        let sum = 0
        for (let t = 0; t < T; t++) sum += states[t * C + c]
        return sum / T
      })
      // Beside texts of other lengths too, in the order of the texts
      const [, mean] = await embed('mean', [ids.slice(0, 3), ids, ids.slice(0, 9)])
      expect(largestDifference(mean, expected)).toBeLessThan(1e-4)
    } finally {
      await opened.close()
    }
  })

  it('gives vectors of length 1, near for texts that are near', async () => {
    const [dog, puppy, sum] = await model.embed(['The dog was happy.', 'The dog was very happy.', 'Zq 9 # 7 x'])
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((total, x, i) => total + x * b[i], 0)
    expect(dot(dog, dog)).toBeCloseTo(1, 5)
    expect(dot(dog, puppy)).toBeGreaterThan(dot(dog, sum))
    expect(await model.embed('The dog was happy.')).toEqual(dog)
    await expect(model.embed(['a', ''])).resolves.toHaveLength(2)
  })
})

it('counts the tokens that a prompt has', () => {
  const { ids, tokens } = model.tokenize('Once upon a time')
  expect(ids.length).toBe(tokens.length)
  expect(model.count('Once upon a time')).toBe(ids.length)
  expect(model.context).toBe(512)
})

it('refuses work once it is closed, and can be closed twice', async () => {
  const other = await loadLanguageModel({ model: stories }, { threads: 1 })
  await other.generate('Once', greedy)
  await other[Symbol.asyncDispose]()
  await other.close()
  await expect(other.generate('Once', greedy)).rejects.toMatchObject({ code: 'closed' })
  await expect(other.embed('Once')).rejects.toMatchObject({ code: 'closed' })
  await expect(other.score({ text: 'Once' })).rejects.toMatchObject({ code: 'closed' })
})
