/** The server, used by OpenAI's client, by curl and by many clients at once. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { Hono } from 'hono'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listen, type RunningServer } from '../src/http/listen.ts'
import { collect } from './support/collect.ts'
import { openServed } from './support/served.ts'

let engine: Awaited<ReturnType<typeof openServed>>
let server: RunningServer & { errors: unknown[] }
let client: OpenAI
const clientOf = (url: string, apiKey = 'none') => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })
beforeAll(async () => {
  engine = await openServed()
  server = await engine.start()
  client = clientOf(server.url)
})
afterAll(async () => {
  await server.close()
  await engine.close()
  expect(server.errors).toEqual([])
})

const model = 'stories'
const prompt = 'Once upon a time'
const messages = [{ role: 'user' as const, content: prompt }]
const story = ', there was a little girl named Lily'

describe('the openai client gets', () => {
  it('the list of models and one model', async () => {
    expect((await collect(client.models.list())).map(({ id }) => id)).toEqual([model])
    expect(await client.models.retrieve(model)).toMatchObject({ object: 'model', owned_by: 'attune' })
  })

  it('completions, whole and streamed, with their usage', async () => {
    const asked = { model, prompt, max_tokens: 12, temperature: 0 }
    const whole = await client.completions.create(asked)
    const [choice] = whole.choices
    expect(choice.text.startsWith(', there was a little')).toBe(true)
    expect(choice.finish_reason).toBe('length')
    expect(whole.usage).toEqual({
      prompt_tokens: whole.usage!.prompt_tokens,
      completion_tokens: 12,
      total_tokens: whole.usage!.prompt_tokens + 12,
    })
    const chunks = await collect(
      await client.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } }),
    )
    expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(choice.text)
    expect(chunks.filter(({ choices }) => choices.length).length).toBeGreaterThan(5)
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage })
    const echoed = await client.completions.create({ ...asked, echo: true })
    expect(echoed.choices[0].text).toBe(prompt + choice.text)
  })

  it('chat completions, whole and streamed', async () => {
    const asked = { model, messages, max_completion_tokens: 16, temperature: 0 }
    const { choices, object } = await client.chat.completions.create(asked)
    expect([object, choices[0].message.role]).toEqual(['chat.completion', 'assistant'])
    expect(choices[0].message.content?.startsWith(story.slice(0, 20))).toBe(true)
    const chunks = await collect(await client.chat.completions.create({ ...asked, stream: true }))
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' })
    expect(chunks.map(({ choices }) => choices[0].delta.content ?? '').join('')).toBe(choices[0].message.content)
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe('length')
    const runner = client.chat.completions.stream({ ...asked, n: 2, temperature: 1, seed: 3 })
    const final = await runner.finalChatCompletion()
    expect(final.choices.map(({ finish_reason }) => finish_reason)).toEqual(['length', 'length'])
  })

  it('one completion for a message made of several text parts', async () => {
    const content = ['Once upon', ' a time'].map((text) => ({ type: 'text' as const, text }))
    const ask = (content: OpenAI.ChatCompletionUserMessageParam['content']) =>
      client.chat.completions.create({ model, messages: [{ role: 'user', content }], max_tokens: 8, temperature: 0 })
    expect((await ask(content)).choices[0].message).toEqual((await ask(prompt)).choices[0].message)
  })

  it('n completions for each prompt in order, which depend on the seed but not on other requests', async () => {
    const asked = { model, prompt: [prompt, 'The dog'], max_tokens: 10, n: 3, seed: 5, temperature: 1.5 }
    const first = await client.completions.create(asked)
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
    expect(new Set(first.choices.map(({ text }) => text)).size).toBe(6)
    const others = Array.from({ length: 5 }, () => client.completions.create({ model, prompt, max_tokens: 6 }))
    const again = await client.completions.create(asked)
    expect(again.choices).toEqual(first.choices)
    const differently = await client.completions.create({ ...asked, seed: 6 })
    expect(differently.choices).not.toEqual(first.choices)
    await Promise.all(others)
  })

  it('completions that obey stop texts, penalties and logit_bias', async () => {
    const asked = { model, prompt, max_tokens: 60, temperature: 0 }
    const { choices } = await client.completions.create({ ...asked, stop: [' little', 'never'] })
    expect(choices[0]).toMatchObject({ text: ', there was a', finish_reason: 'stop' })
    const { text } = (await client.completions.create(asked)).choices[0]
    const penalized = await client.completions.create({ ...asked, presence_penalty: 2, frequency_penalty: 2 })
    expect(penalized.choices[0].text).not.toBe(text)
    const [comma] = engine.served.tokenizer.encode(',', { specialTokens: false }).ids.slice(-1)
    const biased = await client.completions.create({ ...asked, logit_bias: { [comma]: -100 } })
    expect(biased.choices[0].text).not.toContain(',')
  })

  it('log-probabilities in the formats of completions and chat completions', async () => {
    const sampled = { max_tokens: 8, temperature: 1, seed: 4 }
    const [one] = (await client.completions.create({ model, prompt, ...sampled, logprobs: 2 })).choices
    const { tokens, token_logprobs, top_logprobs, text_offset } = one.logprobs!
    expect(tokens!.join('')).toBe(one.text)
    expect(text_offset).toEqual(tokens!.map((_, i) => tokens!.slice(0, i).join('').length))
    for (const [i, tops] of top_logprobs!.entries()) {
      // The two likeliest tokens and the sampled one
      expect(Object.keys(tops).length).toBeOneOf([2, 3])
      expect(tops[tokens![i]]).toBe(token_logprobs![i])
    }
    const [two] = (
      await client.chat.completions.create({ model, messages, ...sampled, logprobs: true, top_logprobs: 3 })
    ).choices
    const content = two.logprobs!.content!
    expect(content.map(({ token }) => token).join('')).toBe(two.message.content)
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes!)).toString()).toBe(two.message.content)
    expect(content.map(({ logprob }) => logprob)).toEqual(token_logprobs)
    for (const { logprob, top_logprobs } of content) {
      expect(top_logprobs).toHaveLength(3)
      const tops = top_logprobs.map(({ logprob }) => logprob)
      expect(tops).toEqual(tops.toSorted((a, b) => b - a))
      expect(tops[0]).toBeGreaterThanOrEqual(logprob)
    }
    const greedy = { model, prompt, max_tokens: 8, temperature: 0 }
    const plain = await client.completions.create(greedy)
    const withLogprobs = await client.completions.create({ ...greedy, logprobs: 1 })
    expect(withLogprobs.choices[0].text).toBe(plain.choices[0].text)
    withLogprobs.choices[0].logprobs!.token_logprobs!.forEach((logp, i) => {
      expect(Object.values(withLogprobs.choices[0].logprobs!.top_logprobs![i])[0]).toBeCloseTo(logp, 5)
    })
    const chunks = await collect(
      await client.completions.create({ model, prompt, ...sampled, logprobs: 2, stream: true }),
    )
    expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.tokens ?? [])).toEqual(tokens)
    expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.text_offset ?? [])).toEqual(text_offset)
  })
})

const post = (body: unknown, { path = 'completions', headers = {}, url = server.url } = {}) =>
  fetch(`${url}/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

describe('a streamed chat completion', () => {
  it('reaches curl as server-sent events that end with [DONE]', async () => {
    const body = JSON.stringify({ model, messages, max_tokens: 4, stream: true })
    const argv = ['-sN', `${server.url}/v1/chat/completions`, '-H', 'Content-Type: application/json', '-d', body]
    const { stdout } = await promisify(execFile)('curl', argv)
    const events = stdout.trimEnd().split('\n\n')
    expect(events.at(-1)).toBe('data: [DONE]')
    expect(events.slice(0, -1).every((event) => JSON.parse(event.slice(6)).object === 'chat.completion.chunk')).toBe(
      true,
    )
  })
})

describe('a bad request is refused with its status and parameter', () => {
  const good = { model, prompt, max_tokens: 2 }
  it.each<[string, unknown, number, string | null, string]>([
    ['a body that is not JSON', '{', 400, null, 'not JSON'],
    ['a body that is a list', [], 400, null, 'JSON object'],
    ['no prompt', { model }, 400, 'prompt', 'must be text or token ids'],
    ['a negative temperature', { ...good, temperature: -1 }, 400, 'temperature', '>=0'],
    ['a top_p above 1', { ...good, top_p: 2 }, 400, 'top_p', '<=1'],
    ['n below 1', { ...good, n: 0 }, 400, 'n', '>=1'],
    ['too many completions', { ...good, prompt: ['a', 'b'], n: 100 }, 400, 'prompt', '200 completions; 128 at most'],
    ['a fractional max_tokens', { ...good, max_tokens: 1.5 }, 400, 'max_tokens', 'int'],
    ['an empty prompt', { ...good, prompt: [] }, 400, 'prompt', 'must be'],
    ['a token id beyond the vocabulary', { ...good, prompt: [9999] }, 400, 'prompt', 'token id 9999 is not below 512'],
    [
      'a logit_bias of a token id beyond the vocabulary',
      { ...good, logit_bias: { 9999: 1 } },
      400,
      'logit_bias',
      '9999',
    ],
    ['a logit_bias of a word', { ...good, logit_bias: { dog: 1 } }, 400, 'logit_bias.dog', 'Invalid'],
    ['an empty stop text', { ...good, stop: '' }, 400, 'stop', ''],
    ['an unsupported best_of', { ...good, best_of: 3 }, 400, 'best_of', 'not supported'],
    ['a model that is not served', { ...good, model: 'gpt' }, 404, 'model', 'this server has "stories"'],
    ['a prompt longer than the context', { ...good, prompt: 'dog '.repeat(2000) }, 400, 'prompt', 'context is 512'],
    ['a body that is too large', { ...good, prompt: 'x'.repeat(5 * 2 ** 20) }, 413, null, 'larger than'],
  ])('%s', async (_, body, status, param, message) => {
    const response = await post(body)
    const { error } = (await response.json()) as { error: Record<string, unknown> }
    expect([response.status, error.param]).toEqual([status, param])
    expect(error.message).toContain(message)
  })

  it.each<[string, object, string]>([
    ['no messages', { messages: [] }, 'messages'],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'messages[0].content'],
    ['tools', { messages, tools: [{ type: 'function' }] }, 'tools'],
    ['a response_format', { messages, response_format: { type: 'json_object' } }, 'response_format'],
    ['top_logprobs without logprobs', { messages, top_logprobs: 2 }, 'top_logprobs'],
  ])('chat with %s', async (_, body, param) => {
    const response = await post({ model, ...body }, { path: 'chat/completions' })
    expect([response.status, ((await response.json()) as { error: { param: string } }).error.param]).toEqual([
      400,
      param,
    ])
  })

  it('an unknown path, content type or model', async () => {
    expect((await post({ model }, { path: 'embeddings' })).status).toBe(404)
    expect((await post(good, { headers: { 'content-type': 'text/plain' } })).status).toBe(400)
    await expect(client.models.retrieve('other/model')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  })

  it('chat with a model that has no template', async () => {
    const { served } = engine
    const bare = await engine.start({ served: { ...served, tokenizer: { ...served.tokenizer, chat: undefined } } })
    const asked = clientOf(bare.url).chat.completions.create({ model, messages })
    await expect(asked).rejects.toThrow('no chat template; use /v1/completions')
    await bare.close()
  })
})

describe('access', () => {
  it('with a token is refused to requests without it', async () => {
    const guarded = await engine.start({ token: 'open-sesame' })
    const ask = (key: string) => clientOf(guarded.url, key).models.list()
    await expect(ask('wrong')).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
    expect((await fetch(`${guarded.url}/v1/models`)).status).toBe(401)
    expect((await ask('open-sesame')).data).toHaveLength(1)
    await guarded.close()
  })

  it('without a token is refused to a Host header that does not name this machine', async () => {
    const { port } = new URL(server.url)
    const status = (host: string) =>
      new Promise((resolve) => {
        request({ port, host: '127.0.0.1', path: '/v1/models', headers: { host } }, (r) =>
          resolve(r.resume().statusCode),
        ).end()
      })
    expect(await status(`localhost:${port}`)).toBe(200)
    expect(await status(`rebound.example:${port}`)).toBe(403)
  })
})

describe('many clients', () => {
  const endless = { model, prompt, max_tokens: 500, temperature: 1, logit_bias: { 1: -100, 2: -100 } }
  /** Waits until no other request runs. */
  const rowsAreFree = async () => {
    const { text } = (await client.completions.create({ model, prompt, max_tokens: 6, temperature: 0 })).choices[0]
    expect(text.length).toBeGreaterThan(5)
  }

  it('free their place in the batch when they disconnect', async () => {
    const single = await engine.start({ maxRequests: 1 })
    const impatient = clientOf(single.url)
    for (const stream of [true, false]) {
      const controller = new AbortController()
      const asked = impatient.completions.create({ ...endless, n: 16, stream }, { signal: controller.signal })
      if (stream) for await (const _ of (await asked) as AsyncIterable<unknown>) break
      else setTimeout(() => controller.abort(), 60)
      if (!stream) await expect(asked).rejects.toThrow('aborted')
      // Wait until its place is free
      const free = async () => (await post({ model, prompt, max_tokens: 1 }, { url: single.url })).status
      const until = Date.now() + 5000
      let status = await free()
      while (status === 429 && Date.now() < until) status = await free()
      expect(status).toBe(200)
      await rowsAreFree()
    }
    expect(single.errors).toEqual([])
    await single.close()
  })

  it('beyond the limit get 429 with retry-after', async () => {
    const small = await engine.start({ maxRequests: 2 })
    const busy = clientOf(small.url)
    const streams = await Promise.all([1, 2].map(() => busy.completions.create({ ...endless, stream: true })))
    const response = await post({ model, prompt }, { url: small.url })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '1'])
    for (const stream of streams) stream.controller.abort()
    const patient = new OpenAI({ baseURL: `${small.url}/v1`, apiKey: 'none', maxRetries: 3 })
    expect((await patient.completions.create({ model, prompt, max_tokens: 1 })).choices).toHaveLength(1)
    await small.close()
  })

  it('get, 100 at once, the completions that each would get alone', async () => {
    const ask = (seed: number) =>
      seed % 2
        ? client.completions.create({ model, prompt, max_tokens: 8, seed }).then(({ choices }) => choices[0].text)
        : client.completions
            .create({ model, prompt, max_tokens: 8, seed, stream: true })
            .then(collect)
            .then((chunks) => chunks.map(({ choices }) => choices[0].text).join(''))
    const texts = await Promise.all(Array.from({ length: 100 }, (_, seed) => ask(seed)))
    for (const seed of [0, 41, 99]) expect(await ask(seed)).toBe(texts[seed])
    expect(new Set(texts).size).toBeGreaterThan(30)
  })
})

describe('listening on an address', () => {
  it.each([
    ['127.0.0.1', '--port: '],
    ['203.0.113.7', '--host: '],
  ])('that is not available is a Fault: %s', async (host, message) => {
    const port = Number(new URL(server.url).port)
    await expect(listen(new Hono(), { host, port })).rejects.toThrow(message)
  })
})

describe('closing the server', () => {
  it('lets running requests finish', async () => {
    const short = await engine.start({}, { closingSeconds: 30 })
    const asked = { model, prompt, max_tokens: 40, temperature: 0, stream_options: { include_usage: true } }
    const stream = await clientOf(short.url).completions.create({ ...asked, stream: true })
    const [chunks] = await Promise.all([collect(stream), short.close()])
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(40)
    await expect(post({ model, prompt }, { url: short.url })).rejects.toThrow()
  })

  it('does not wait for idle connections', async () => {
    const short = await engine.start()
    const silent = connect(Number(new URL(short.url).port), '127.0.0.1')
    await once(silent, 'connect')
    const asked = await post({ model, prompt, max_tokens: 1 }, { url: short.url })
    const begun = Date.now()
    await Promise.all([short.close(), once(silent, 'close')])
    expect([asked.status, Date.now() - begun < 2000]).toEqual([200, true])
  })
})
