import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { fixture } from '../../test/support/golden.ts'
import { openModel } from '../passes/open.node.ts'
import { type Completion, completions } from './completions.ts'
import { type GenerationRequest, openScheduler, type Scheduler } from './scheduler.ts'
import type { CompletionOptions, Piece, TextSource } from './sequence.ts'

const opened = await openModel({ model: fixture('models/stories260K'), inProcess: true, threads: 1 })
afterAll(() => opened.close())
const { model, tokenizer } = opened
const base: CompletionOptions = { temperature: 1, seed: 5, maxNewTokens: 20, eosIds: new Set([1, 2]) }

/** Texts of many lengths, each under options of its own. */
const kinds: Partial<CompletionOptions>[] = [
  {},
  { temperature: 0 },
  { temperature: 0.7, topK: 5 },
  { topP: 0.8, repetitionPenalty: 1.3 },
  { minP: 0.1, seed: 9, maxNewTokens: 7 },
  { samples: 3 },
]
const requests: GenerationRequest[] = Array.from({ length: 32 }, (_, row) => ({
  row,
  prompt: tokenizer!.encode(['Once upon a time', 'The dog', 'Lily saw', ''][row % 4].repeat(1 + (row % 3))).ids,
  options: { ...base, ...kinds[row % kinds.length] },
}))

let scheduler: Scheduler
const open = (batchSize: number) => {
  scheduler = openScheduler(model, tokenizer, { batchSize })
  return scheduler
}
afterEach(() => scheduler.close())

const whole = async (pieces: AsyncIterable<Piece>) =>
  (await collect(completions(pieces))).sort((a, b) => a.sample - b.sample)
const texts = (found: Completion[][]) =>
  found.map((samples) => samples.map(({ ids, logps, text }) => [ids, logps, text]))
const alone = async (request: GenerationRequest) => {
  const single = openScheduler(model, tokenizer, { batchSize: 1 })
  const found = await whole(single.submit(request))
  await single.close()
  return found
}
const expected = texts(await Promise.all(requests.map(alone)))
const first = (pieces: AsyncIterable<Piece>) => pieces[Symbol.asyncIterator]()

describe('scheduler', () => {
  it('gives each row the text and the very log-probs that it has alone, whatever stands beside it', async () => {
    for (const size of [5, 32]) {
      open(size)
      expect(texts(await Promise.all(requests.map((request) => whole(scheduler.submit(request)))))).toEqual(expected)
      await scheduler.close()
    }
  })

  it('gives rows that join late the same text', async () => {
    open(8)
    const order = requests.map((_, i) => (i * 13) % requests.length)
    const late: Promise<Completion[]>[] = []
    for (const [n, i] of order.entries()) {
      late[i] = whole(scheduler.submit(requests[i]))
      // A few steps between
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 3))
    }
    expect(texts(await Promise.all(late))).toEqual(expected)
  })

  it('gives back what a long row alone needed, and changes no text by it', async () => {
    const long = { prompt: Array.from({ length: 400 }, (_, i) => 300 + (i % 50)), row: 50, options: base }
    const lasting = { ...requests[7], options: { ...base, maxNewTokens: 90, eosIds: new Set<number>() } }
    const each = texts([await alone(long), await alone(lasting)])
    open(2)
    const [first, second] = [scheduler.submit(long), scheduler.submit(lasting)].map(whole)
    expect(texts([await first, await second])).toEqual(each)
  })

  it('reads a prompt once for all of its samples, and computes no row that has ended', async () => {
    const ran: Record<string, number[]> = {}
    const run: typeof model.backend.run = (executable, feeds, into) => {
      const size = (feeds.x ?? feeds.ids ?? feeds.h ?? feeds.logits)?.shape[0]
      if (size !== undefined) (ran[executable.program.name] ??= []).push(size)
      return model.backend.run(executable, feeds, into)
    }
    const watched = openScheduler({ ...model, backend: { ...model.backend, run } }, tokenizer, { batchSize: 2 })
    const options = { ...base, samples: 5, maxNewTokens: 4, eosIds: new Set<number>() }
    const { prompt } = requests[0]
    expect((await whole(watched.submit({ prompt, options }))).length).toBe(5)
    await watched.close()
    // The prompt; 5 samples by two rows of 3 steps each, since first tokens come from the prompt's pass; the last one beside a row that says nothing
    expect(ran.step).toEqual([prompt.length, 2, 2, 2, 2, 2, 2, 2, 2, 2])
  })

  it('frees the rows of a reader that leaves or aborts, and nobody else notices', async () => {
    open(2)
    const endless = { ...base, maxNewTokens: 400, eosIds: new Set<number>() }
    const leaving = first(scheduler.submit({ ...requests[0], options: endless }))
    const abort = new AbortController()
    const aborted = first(scheduler.submit({ ...requests[1], options: endless, signal: abort.signal }))
    await Promise.all([leaving.next(), aborted.next()])
    const waiting = whole(scheduler.submit(requests[2]))
    await leaving.return!()
    abort.abort(new Error('enough'))
    await expect(aborted.next()).rejects.toThrow('enough')
    expect(texts([await waiting])).toEqual([expected[2]])
    expect(await leaving.next()).toMatchObject({ done: true })
    expect(() => scheduler.submit({ ...requests[1], signal: abort.signal })).toThrow('enough')
  })

  it('joins the pieces of a reader that lags behind, and starts no more than it takes', async () => {
    open(4)
    const many = { ...requests[0], options: { ...base, samples: 40, maxNewTokens: 5 } }
    const slow = first(scheduler.submit(many))
    const one = await slow.next()
    // Others are served meanwhile
    await whole(scheduler.submit(requests[3]))
    await new Promise((resolve) => setTimeout(resolve, 100))
    const samples = new Set<number>([(one.value as Piece).sample])
    const pieces: Piece[] = [one.value]
    for (let i = 0; i < 4; i++) {
      const { value } = await slow.next()
      pieces.push(value)
      samples.add(value.sample)
    }
    expect(Math.max(...samples)).toBeLessThan(12)
    expect(pieces.some(({ ids }) => ids.length > 3)).toBe(true)
    for (let next = await slow.next(); !next.done; next = await slow.next()) samples.add(next.value.sample)
    expect(samples.size).toBe(40)
  })

  it('keeps a failure with its request', async () => {
    let streams = 0
    const stream: TextSource['stream'] = (options) => {
      const text = tokenizer!.stream(options)
      const fails = streams++ === 0
      let pushed = 0
      const push = (id: number) => {
        if (fails && ++pushed > requests[1].prompt.length + 3) throw new Error('no such text')
        return text.push(id)
      }
      return { ...text, push }
    }
    const broken = openScheduler(model, { ...tokenizer!, stream }, { batchSize: 4 })
    const long = { ...base, maxNewTokens: 60, eosIds: new Set<number>() }
    const failing = whole(broken.submit({ ...requests[1], options: long }))
    const short = { ...base, maxNewTokens: 2 }
    const others = [2, 3, 4].map((i) => whole(broken.submit({ ...requests[i], options: short })))
    await expect(failing).rejects.toThrow('no such text')
    expect((await Promise.all(others)).flat().length).toBe(3)
    await broken.close()
    open(1)
  })

  it('serves a short request beside one with many samples', async () => {
    open(4)
    const big = whole(scheduler.submit({ ...requests[0], options: { ...base, samples: 30 } }))
    let bigEnded = false
    big.then(() => {
      bigEnded = true
    })
    await whole(scheduler.submit(requests[1]))
    await whole(scheduler.submit(requests[2]))
    expect(bigEnded).toBe(false)
    expect((await big).length).toBe(30)
  })

  it('ends what is under way when it closes', async () => {
    open(2)
    const waiting = [0, 1, 2].map((i) => whole(scheduler.submit(requests[i])))
    const ends = Promise.allSettled(waiting)
    await scheduler.close()
    for (const end of await ends) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'closed' } })
    expect(() => scheduler.submit(requests[0])).toThrow('closed')
  })

  it('refuses bad requests at once', () => {
    open(1)
    expect(() => scheduler.submit({ prompt: [], options: base })).toThrow('row 0: the prompt is empty')
    expect(() => scheduler.submit({ prompt: [512], options: base, row: 3 })).toThrow('row 3: token id 512')
  })
})
