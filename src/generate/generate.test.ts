import { afterAll, describe, expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { fixture } from '../../test/support/golden.ts'
import { openModel } from '../passes/open.node.ts'
import { completions } from './completions.ts'
import { endIds, type GenerateOptions, generate } from './generate.ts'
import { score } from './score.ts'
import { makeSequence } from './sequence.ts'

const opened = await openModel({ model: fixture('models/stories260K'), inProcess: true, threads: 1 })
afterAll(() => opened.close())
const { model, tokenizer } = opened
const encode = (text: string) => tokenizer!.encode(text).ids

const texts = ['Once upon a time', 'The dog', '', 'Lily and her mom went to the park. They saw a big', 'One day, a boy']
const prompts = texts.map(encode)
const base = { temperature: 1, seed: 3, maxNewTokens: 24, eosIds: new Set([1, 2]) }

/** Whole completions, in the order of rows and samples. */
const all = async (options: Partial<GenerateOptions> = {}, rows = prompts) => {
  const found = await collect(completions(generate(model, tokenizer, rows, { ...base, ...options })))
  return found.sort((a, b) => a.row - b.row || a.sample - b.sample)
}
const texted = (found: { text: string }[]) => found.map(({ text }) => text)

describe('generate', () => {
  it('tells the story that the model tells', async () => {
    const [{ text, finishReason }] = await all({ temperature: 0, maxNewTokens: 36 }, [encode('')])
    const story =
      'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, r'
    expect(story.startsWith(text)).toBe(true)
    expect([text.length > 90, finishReason]).toEqual([true, 'length'])
  })

  it('gives each row the same text whatever the batch, the samples and the plan', async () => {
    const expected = await all({ samples: 3 })
    expect(new Set(texted(expected)).size).toBeGreaterThan(12)
    for (const options of [{ batchSize: 1 }, { batchSize: 4 }, { batchSize: 64 }, { packed: true }])
      expect(texted(await all({ samples: 3, ...options }))).toEqual(texted(expected))
    const single = await all({ samples: 1 })
    expect(texted(single)).toEqual(texted(expected.filter(({ sample }) => sample === 0)))
    expect(texted(await all({ samples: 3, seed: 4 }))).not.toEqual(texted(expected))
  })

  it.each<[string, Partial<GenerateOptions>]>([
    ['greedy', { temperature: 0 }],
    ['sampled', { temperature: 0.7, topK: 5, topP: 0.9, repetitionPenalty: 1.2 }],
  ])('returns the log-probabilities that score gives, %s', async (_, options) => {
    const found = await all({ ...options, samples: 2 })
    const rows = found.map(({ row, ids }) => ({
      ids: [...prompts[row], ...ids],
      labels: [...prompts[row].map(() => -100), ...ids],
    }))
    for (const tokens of [64, 4096]) {
      const scored = await collect(score(model, rows, { tokens }))
      for (const [i, { logps }] of found.entries()) {
        expect(logps.length).toBe(scored[i].length)
        for (const [t, logp] of logps.entries()) expect(Math.abs(logp - scored[i][t])).toBeLessThan(1e-4)
      }
    }
  })

  it('ends at stop strings and end tokens, and never streams text of a stop string', async () => {
    const free = await all({ temperature: 0, maxNewTokens: 40 })
    const cut = await all({ temperature: 0, maxNewTokens: 40, stop: ['. ', 'little girl'] })
    for (const [i, { text, finishReason, ids }] of cut.entries()) {
      const ends = ['. ', 'little girl'].map((stop) => free[i].text.indexOf(stop)).filter((at) => at >= 0)
      expect(text).toBe(ends.length ? free[i].text.slice(0, Math.min(...ends)) : free[i].text)
      expect(finishReason).toBe(ends.length ? 'stop' : free[i].finishReason)
      expect(ids).toEqual(free[i].ids.slice(0, ids.length))
    }
    expect(cut.filter(({ finishReason }) => finishReason === 'stop').length).toBeGreaterThan(2)
    const eos = free[0].ids[5]
    const [ended] = await all({ temperature: 0, eosIds: new Set([eos]) })
    const at = free[0].ids.indexOf(eos)
    expect(ended).toMatchObject({ finishReason: 'eos', ids: free[0].ids.slice(0, at + 1) })
    expect(free[0].text.startsWith(ended.text)).toBe(true)
  })

  it('continues the text of the prompt, in pieces that never split a character', async () => {
    const found = await all({ temperature: 4, maxNewTokens: 100, eosIds: new Set() })
    const isByte = (id: number) => id >= 3 && id < 259
    expect(found.flatMap(({ ids }) => ids).filter(isByte).length).toBeGreaterThan(5)
    for (const { row, ids, text } of found) {
      const whole = (tokens: number[]) => tokenizer!.decode(tokens, { skipSpecialTokens: true })
      expect(whole(prompts[row]) + text).toBe(whole([...prompts[row], ...ids]))
    }
  })

  it('streams many-byte characters whole, however their bytes come', async () => {
    const bytesOf = (text: string) => [...new TextEncoder().encode(text)].map((byte) => byte + 3)
    const wanted = 'é 日本 👩‍🚀 ß'
    const bias = bytesOf(wanted)
    // A model that is told which byte comes next
    const forced = async function* () {
      for (const [t, id] of bias.entries()) {
        const prompt = [...encode('Once'), ...bias.slice(0, t)]
        const options = { ...base, temperature: 0, maxNewTokens: 1, logitBias: new Map([[id, 1e4]]) }
        yield* generate(model, undefined, [prompt], options)
      }
    }
    expect((await collect(forced())).flatMap(({ ids }) => ids)).toEqual(bias)
    const sequence = makeSequence(
      tokenizer,
      { row: 0, sample: 0, prompt: encode('Once'), options: { ...base, stop: ['👩‍🚀 ß'] } },
      bias.length,
    )
    const pieces = bias.map((id) => sequence.accept({ id, logp: 0 }))
    for (const { text } of pieces) expect(text).not.toMatch(/[\p{Cs}\ufffd]/u)
    expect(pieces.map(({ text }) => text).join('')).toBe('é 日本 ')
    expect(pieces.at(-1)!.finishReason).toBe('stop')
    expect(pieces.filter(({ text }) => text).length).toBeGreaterThan(4)
  })

  it('ends at a stop string that is a special token', async () => {
    const options = { ...base, eosIds: new Set<number>(), temperature: 0, maxNewTokens: 4 }
    const forced = { ...options, logitBias: new Map([[1, 1000]]), stop: ['<s>'] }
    const [piece] = await collect(generate(model, tokenizer, [encode('Once')], forced))
    expect(piece).toMatchObject({ ids: [1], text: '', finishReason: 'stop' })
  })

  it('takes prompts from their source as rows become free', async () => {
    let taken = 0
    let least = Number.POSITIVE_INFINITY
    let ended = 0
    const source = function* () {
      for (; taken < 60; taken++) {
        least = Math.min(least, 8 + ended - taken)
        yield prompts[taken % 2]
      }
    }
    const options = { ...base, batchSize: 4, maxNewTokens: 3 }
    for await (const { finishReason } of generate(model, tokenizer, source(), options)) if (finishReason) ended++
    expect([ended, least >= -1]).toEqual([60, true])
  })

  it('fills the context and no more', async () => {
    const { max_position_embeddings: context } = model.config
    const long = Array.from({ length: context - 3 }, (_, i) => 300 + (i % 50))
    const [{ ids, finishReason }] = await all({ maxNewTokens: 10, eosIds: new Set() }, [long])
    expect([ids.length, finishReason]).toEqual([3, 'length'])
    const full = [...long, 5, 6, 7]
    await expect(all({}, [prompts[0], full])).rejects.toThrow(`row 1: the prompt has ${context} tokens`)
  })

  it('refuses prompts that it cannot continue', async () => {
    await expect(all({}, [[]])).rejects.toThrow('row 0: the prompt is empty')
    await expect(all({}, [[1, 512]])).rejects.toThrow('row 0: token id 512')
    const withoutText = generate(model, undefined, prompts, { ...base, stop: ['x'] })
    await expect(collect(withoutText)).rejects.toThrow('--stop')
  })

  it('generates nothing for no prompts or no tokens', async () => {
    expect(await all({ maxNewTokens: 0 }, [prompts[0]])).toEqual([
      { row: 0, sample: 0, ids: [], logps: [], text: '', finishReason: 'length' },
    ])
    expect(await all({}, [])).toEqual([])
  })
})

describe('end tokens', () => {
  it("are those of generation_config.json, else of config.json, and the tokenizer's", () => {
    expect(endIds({ eos_token_id: 2 }, { eos_token_id: [5, 6] }, 7)).toEqual(new Set([5, 6, 7]))
    expect(endIds({ eos_token_id: 2 }, {}, undefined)).toEqual(new Set([2]))
    expect(endIds({ eos_token_id: null }, undefined, undefined)).toEqual(new Set())
  })
})
