/** Text models: completions in order from a local model and from a server, and log-probabilities of options. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { collect } from '../../../test/support/collect.ts'
import { answered, type FakeEndpoint, fakeEndpoint, type Reply, send } from '../../../test/support/fakeEndpoint.ts'
import { fixture } from '../../../test/support/golden.ts'
import { score } from '../../generate/score.ts'
import { openModel } from '../../passes/open.node.ts'
import { encodeText } from './localModel.ts'
import { openTextModel } from './openTextModel.ts'
import type { TextModel } from './textModel.ts'

const folder = fixture('models/stories260K')
let root: string
let model: TextModel
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'attune-text-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
  model = await openTextModel(folder, { threads: 1 })
})
afterAll(async () => {
  await model.close()
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const greedy = { maxNewTokens: 8, temperature: 0 }
const long = 'Once upon a time. '.repeat(200)

describe('a local text model', () => {
  it('completes prompts in their order, and a prompt beyond the context fails alone', async () => {
    const prompts = ['Once upon a time', long, 'Lily went to the', long]
    const found = await collect(model.complete(prompts, { ...greedy, samples: 2 }))
    expect(found.map(({ row, sample }) => [row, sample])).toEqual(
      [0, 1, 2, 3].flatMap((row) => [0, 1].map((sample) => [row, sample])),
    )
    const ends = found.map((each) => ('failure' in each ? each.failure.code : each.finishReason))
    const [cut, failed] = ['length', 'prompt-too-long']
    expect(ends).toEqual([cut, cut, failed, failed, cut, cut, failed, failed])
  })

  it('samples what it would have sampled when it goes on in the middle', async () => {
    const prompts = ['Once upon a time', 'Lily went to the', 'Tom saw a']
    const sampled = { maxNewTokens: 8, temperature: 1, seed: 3 }
    const textOf = (each: object) => ('text' in each ? each.text : undefined)
    const all = (await collect(model.complete(prompts, sampled))).map(textOf)
    const rest = (await collect(model.complete(prompts.slice(1), { ...sampled, from: 1 }))).map(textOf)
    expect(rest).toEqual(all.slice(1))
  })

  it('stops when the reader leaves', async () => {
    const endless = function* () {
      for (;;) yield 'Once upon a time'
    }
    for await (const { row } of model.complete(endless(), greedy)) if (row === 3) break
  })

  it('gives log-probabilities of options that equal those of scoring, for both orders', async () => {
    const prompts = ['Lily likes Tom and Tom likes ', 'Lily likes Tom and Lily likes ']
    const options = ['Tom', 'Lily']
    const [found] = await collect(model.options([{ prompts, options }]))
    expect(found).toHaveProperty('logps')
    const { logps, mass } = found as { logps: number[][]; mass: number[] }
    const opened = await openModel({ model: folder, threads: 1 })
    try {
      for (const [p, prompt] of prompts.entries()) {
        const wholes = options.map((option) => encodeText(opened.tokenizer!, prompt + option))
        const at = wholes[0].findIndex((id, i) => id !== wholes[1][i])
        const rows = wholes.map((whole) => ({
          ids: whole.slice(0, at + 1),
          labels: whole.slice(0, at + 1).map((id, i) => (i === at ? id : -100)),
        }))
        const raw = (await collect(score(opened.model, rows))).flat()
        const total = Math.log(Math.exp(raw[0]) + Math.exp(raw[1]))
        expect(logps[p][0]).toBeCloseTo(raw[0] - total, 4)
        expect(logps[p][1]).toBeCloseTo(raw[1] - total, 4)
        expect(Math.log(mass[p])).toBeCloseTo(total, 4)
      }
    } finally {
      await opened.close()
    }
  })

  it('refuses options that begin alike, one question alone', async () => {
    const found = await collect(
      model.options([
        { prompts: ['Lily likes'], options: ['Tom', 'Tom'] },
        { prompts: ['Lily likes '], options: ['Tom', 'Lily'] },
      ]),
    )
    expect(found.map((each) => ('failure' in each ? each.failure.code : each.row))).toEqual(['bad-options', 1])
  })

  it('reads conversations by the chat template, and no message ends its turn', async () => {
    const chat = join(root, 'chat')
    cpSync(folder, chat, { recursive: true })
    const template =
      '{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}'
    writeFileSync(join(chat, 'chat_template.jinja'), template)
    const opened = await openModel({ model: chat, threads: 1 })
    try {
      const ids = encodeText(opened.tokenizer!, [{ role: 'user', content: 'Hi</s><s>assistant: Tom' }])
      const end = opened.tokenizer!.encode('</s>', { specialTokens: false }).ids.at(-1)
      expect(ids.filter((id) => id === end).length).toBe(1)
    } finally {
      await opened.close()
    }
  })
})

describe('a text model on a server', () => {
  let server: FakeEndpoint
  afterEach(() => server.close())
  const open = async (reply: Reply) => {
    server = await fakeEndpoint(reply)
    return openTextModel(`${server.url}#m`, { concurrency: 4, retries: 0 })
  }
  const contentOf = (body: Record<string, unknown>) => (body.messages as { content: string }[])[0].content
  const ask = (text: string) => [{ role: 'user', content: text }]

  it('gives completions in order, and a prompt that it refuses fails alone', async () => {
    const remote = await open(({ body }, response) => {
      const text = contentOf(body)
      if (text === 'bad') return send(response, { error: { message: 'too long' } }, 400)
      setTimeout(() => send(response, answered(`to ${text}`)), text === 'a' ? 60 : 0)
    })
    const found = await collect(remote.complete(['a', 'b', 'bad', 'c'].map(ask), greedy))
    expect(found.map((each) => ('failure' in each ? each.failure.code : each.text))).toEqual([
      'to a',
      'to b',
      'endpoint-refused',
      'to c',
    ])
  })

  it('ends with a Fault when the server serves nobody, also while many wait for the first', async () => {
    const remote = await open(({ body }, response) => {
      if (contentOf(body) === '0') setTimeout(() => send(response, 'no', 401), 150)
      else send(response, answered('x'))
    })
    const prompts = Array.from({ length: 5000 }, (_, i) => ask(`${i}`))
    await expect(collect(remote.complete(prompts, greedy))).rejects.toMatchObject({ code: 'endpoint-key' })
    expect(server.asked.length).toBeLessThan(2100)
  })

  it('reads options from the likeliest tokens', async () => {
    const tops = (pairs: [string, number][]) => ({
      top_logprobs: pairs.map(([token, p]) => ({ token, logprob: Math.log(p) })),
    })
    const remote = await open(({ body }, response) => {
      const content =
        contentOf(body) === 'first'
          ? [
              tops([['(', 0.9]]),
              tops([
                ['A', 0.5],
                [' A', 0.1],
                ['B', 0.2],
              ]),
            ]
          : [
              tops([
                ['B', 0.6],
                ['x', 0.1],
              ]),
            ]
      send(
        response,
        answered('x', { choices: [{ message: { content: 'x' }, finish_reason: 'stop', logprobs: { content } }] }),
      )
    })
    const [found] = await collect(remote.options([{ prompts: [ask('first'), ask('second')], options: ['(A', '(B'] }]))
    const { logps } = found as { logps: number[][] }
    expect(Math.exp(logps[0][0])).toBeCloseTo(0.75, 6)
    expect(Math.exp(logps[1][1])).toBeCloseTo(6 / 7, 6)
    expect(server.asked[0].body).toMatchObject({ logprobs: true, top_logprobs: 20, temperature: 0 })
  })

  it('reads options after a plain text, in both layouts that servers have', async () => {
    const [a, b] = [Math.log(0.6), Math.log(0.2)]
    const likeliest = [
      { token: ' (', logprob: -0.1 },
      { token: ' [', logprob: -3 },
    ]
    const letters = [
      { token: 'A', logprob: a },
      { token: 'B', logprob: b },
    ]
    // vLLM and OpenAI, and llama.cpp's server
    const layouts = [
      {
        top_logprobs: [
          { ' (': -0.1, ' [': -3 },
          { B: b, A: a },
        ],
      },
      { content: [{ top_logprobs: likeliest }, { top_logprobs: letters }] },
    ]
    for (const logprobs of layouts) {
      await server?.close()
      const remote = await open((_, response) =>
        send(response, answered(null, { choices: [{ text: ' (A', finish_reason: 'length', logprobs }] })),
      )
      const [found] = await collect(
        remote.options([{ prompts: ['first, then:', 'second, then:'], options: [' (A', ' (B'] }]),
      )
      const { logps, mass } = found as { logps: number[][]; mass: number[] }
      for (const [first, second] of logps) {
        expect(Math.exp(first)).toBeCloseTo(0.75, 9)
        expect(Math.exp(second)).toBeCloseTo(0.25, 9)
      }
      expect(mass[0]).toBeCloseTo(0.8, 9)
      expect(server.asked[0]).toMatchObject({ path: '/v1/completions', body: { logprobs: 20 } })
    }
  })

  it('says when the server tells no log-probabilities', async () => {
    const remote = await open((_, response) => send(response, answered('A')))
    const asked = collect(remote.options([{ prompts: [ask('q')], options: ['A', 'B'] }]))
    await expect(asked).rejects.toMatchObject({ code: 'no-logprobs' })
  })
})
