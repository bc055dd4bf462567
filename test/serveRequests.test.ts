/** Fields of requests to the server: each is obeyed, has no effect, or is refused by its name. */
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { score } from '../src/generate/score.ts'
import type { RunningServer } from '../src/http/listen.ts'
import { chatTemplate } from '../src/text/chat.ts'
import { collect } from './support/collect.ts'
import { openServed } from './support/served.ts'

let engine: Awaited<ReturnType<typeof openServed>>
let server: RunningServer & { errors: unknown[] }
let client: OpenAI
beforeAll(async () => {
  engine = await openServed()
  server = await engine.start()
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
})
afterAll(async () => {
  await server.close()
  await engine.close()
  expect(server.errors).toEqual([])
})

const model = 'stories'
const prompt = 'Once upon a time'
const messages = [{ role: 'user' as const, content: prompt }]
const greedy = { model, prompt, max_tokens: 6, temperature: 0 }

type ApiResponse = {
  error?: { message: string; param: string | null; code: string | null }
  choices?: { text: string; finish_reason: string; logprobs: OpenAI.Completion['choices'][number]['logprobs'] }[]
  usage?: { prompt_tokens: number; completion_tokens: number }
}
const post = async (path: string, body: unknown): Promise<ApiResponse & { status: number }> => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${server.url}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, ...((await response.json()) as ApiResponse) }
}
const complete = (more: object) => post('completions', { ...greedy, ...more })
const chat = (more: object) => post('chat/completions', { model, messages, max_tokens: 2, ...more })

describe('an unsupported field is refused by its name', () => {
  it.each([
    ['bad_words', ['dog']],
    ['allowed_token_ids', [4]],
    ['guided_json', {}],
    ['guided_regex', 'a+'],
    ['structured_outputs', { regex: 'a' }],
    ['grammar', 'root ::= "a"'],
    ['json_schema', {}],
    ['regex', 'a'],
    ['ebnf', 'root ::= "a"'],
    ['truncate_prompt_tokens', 4],
    ['prompt_logprobs', 1],
    ['use_beam_search', true],
    ['best_of', 2],
    ['length_penalty', 2],
    ['logits_processors', []],
    ['skip_special_tokens', false],
    ['include_stop_str_in_output', true],
    ['add_special_tokens', false],
    ['suffix', 'end'],
    ['n_predict', 4],
    ['mirostat', 1],
    ['dry_multiplier', 1],
    ['xtc_probability', 0.1],
    ['lora_path', 'x'],
    ['chat_template_kwargs', {}],
    ['max_completion_tokens', 4],
    ['Temperature', 1],
    ['hasOwnProperty', 1],
    ['constructor', 1],
  ])('%s in a completion request', async (param, value) => {
    const { status, error } = await complete({ [param]: value })
    expect([status, error?.param, error?.code]).toEqual([400, param, 'unsupported_parameter'])
    expect(error?.message).toBe(`${param}: is not supported by this server`)
  })

  it.each<[string, unknown]>([
    ['tools', [{ type: 'function', function: { name: 'f' } }]],
    ['tool_choice', 'required'],
    ['functions', [{ name: 'f' }]],
    ['function_call', { name: 'f' }],
    ['response_format', { type: 'json_object' }],
    ['reasoning_effort', 'low'],
    ['verbosity', 'low'],
    ['prediction', { type: 'content', content: 'x' }],
    ['modalities', ['audio']],
    ['audio', { voice: 'x' }],
    ['web_search_options', {}],
    ['chat_template', 'x'],
    ['documents', [{}]],
    ['prompt', 'x'],
    ['echo', true],
  ])('%s in a chat request', async (param, value) => {
    const { status, error } = await chat({ [param]: value })
    expect([status, error?.param, error?.code]).toEqual([400, param, 'unsupported_parameter'])
  })

  it.each<[object, string]>([
    [{ content: 'x', audio: { id: 'a' } }, 'messages[0].audio'],
    [{ content: 'x', function_call: { name: 'f' } }, 'messages[0].function_call'],
    [{ content: [{ type: 'text', text: 'x', cache_control: {} }] }, 'messages[0].content[0]'],
  ])('in a chat message: %j', async (message, param) => {
    const { status, error } = await chat({ messages: [{ role: 'user', ...message }] })
    expect([status, error?.param]).toEqual([400, param])
  })

  it('whose name has control characters, in an error on one line', async () => {
    const { error } = await complete({ ['a\n\u001b[31m'.repeat(200)]: 1 })
    expect(error!.message).toMatch(/^"a\\n\\u001b\[31m.{0,400}characters more\): is not supported by this server$/)
  })
})

describe('a field whose value changes nothing', () => {
  it('is accepted, as metadata and null are', async () => {
    const notes = { user: 'me', metadata: {}, store: true, service_tier: 'auto', prompt_cache_key: 'k', seed: null }
    const neutral = { best_of: 1, use_beam_search: false, suffix: '', skip_special_tokens: true, guided_json: null }
    expect((await complete({ ...notes, ...neutral })).choices?.[0].text).toBe((await complete({})).choices?.[0].text)
    const empty = { tools: [], tool_choice: 'auto', response_format: { type: 'text' }, parallel_tool_calls: true }
    expect((await chat(empty)).status).toBe(200)
  })
})

describe('a completion ends', () => {
  const ids = (text: string) => engine.served.tokenizer.encode(text, { specialTokens: false }).ids
  const biased = { logit_bias: { 1: 100 }, max_tokens: 5 }

  it('at a stop text that is a special token', async () => {
    const bare = { ignore_eos: true, ...biased }
    expect((await complete(bare)).usage?.completion_tokens).toBe(5)
    const stopped = await complete({ ...bare, stop: '<s>' })
    expect([stopped.usage?.completion_tokens, stopped.choices?.[0].finish_reason]).toEqual([1, 'stop'])
  })

  it('at stop_token_ids and end tokens, unless ignore_eos or min_tokens forbids it', async () => {
    const [little] = ids(' little').slice(-1)
    const { choices } = await complete({ max_tokens: 20, stop_token_ids: [little] })
    expect(choices?.[0]).toMatchObject({ text: ', there was a', finish_reason: 'stop' })
    expect((await complete(biased)).choices?.[0]).toMatchObject({ text: '', finish_reason: 'stop' })
    const later = await complete({ ...biased, min_tokens: 3 })
    expect([later.usage?.completion_tokens, later.choices?.[0].finish_reason]).toEqual([4, 'stop'])
    expect((await complete({ stop_token_ids: [9999] })).error?.param).toBe('stop_token_ids')
    expect((await complete({ min_tokens: 2, stop: 'x' })).error?.param).toBe('min_tokens')
  })
})

describe('the chat template', () => {
  it('gets the messages and options of the request', async () => {
    const { served } = engine
    const plain = served.tokenizer
    const source =
      '{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{{ mood }}{% endif %}'
    const encoder = { encode: plain.encode, encodePlain: plain.encode, added: [] }
    const chat = chatTemplate({ default: { file: 'test', source } }, encoder, {})
    const special = await engine.start({ served: { ...served, tokenizer: { ...plain, chat } } })
    const ask = async (more: object) => {
      const body = JSON.stringify({ model, messages, max_tokens: 1, ...more })
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${special.url}/v1/chat/completions`, { method: 'POST', headers, body })
      const { error, usage } = (await response.json()) as ApiResponse
      return error?.message ?? usage?.prompt_tokens
    }
    const tokens = (text: string) => plain.encode(text).ids.length
    expect(await ask({})).toBe(tokens(`[user] ${prompt}[assistant]`))
    expect(await ask({ chat_template_kwargs: { mood: 1.5 } })).toBe(tokens(`[user] ${prompt}[assistant]1.5`))
    expect(await ask({ add_generation_prompt: false })).toBe(tokens(`[user] ${prompt}`))
    const said = [...messages, { role: 'assistant', content: 'So it' }]
    expect(await ask({ messages: said, continue_final_message: true })).toBe(
      tokens(`[user] ${prompt}[assistant] So it`),
    )
    expect(await ask({ continue_final_message: true, add_generation_prompt: true })).toContain('exclude each other')
    expect(await ask({ chat_template_kwargs: { messages: [] } })).toContain('is what this server gives the template')
    await special.close()
  })
})

describe('log-probabilities in a response', () => {
  it('list the 20 likeliest tokens under distinct names, and the sampled one', async () => {
    const { choices } = await complete({ max_tokens: 24, temperature: 1.5, seed: 3, logprobs: 20 })
    const { tokens, token_logprobs, top_logprobs } = choices![0].logprobs!
    expect(tokens!.join('')).toBe(choices![0].text)
    top_logprobs!.forEach((tops, i) => {
      expect(Object.keys(tops).length).toBeOneOf([20, 21])
      expect(tops[tokens![i]]).toBe(token_logprobs![i])
    })
    expect(top_logprobs!.some((tops) => Object.keys(tops).some((text) => text.startsWith(' ')))).toBe(true)
  })

  it('of tokens that are parts of a character have the bytes of each', async () => {
    const { tokenToId } = engine.served.tokenizer
    const euro = ['<0xE2>', '<0x82>', '<0xAC>'].map((token) => tokenToId(token)!)
    const content: OpenAI.ChatCompletionTokenLogprob[] = []
    for (const [t, id] of euro.entries()) {
      const asked = { model, messages, max_tokens: t + 1, temperature: 0, logprobs: true, top_logprobs: 1, seed: 1 }
      const { choices } = await client.chat.completions.create({ ...asked, max_tokens: 1, logit_bias: { [id]: 100 } })
      content.push(...choices[0].logprobs!.content!)
    }
    expect(content.map(({ bytes }) => bytes)).toEqual([[0xe2], [0x82], [0xac]])
    expect(content.map(({ token }) => token)).toEqual(['bytes:\\xe2', 'bytes:\\x82', 'bytes:\\xac'])
  })

  const scored = async (ids: number[]) => (await collect(score(engine.served.model, [{ ids, labels: ids }])))[0]

  it('of an echoed prompt equal those of attune score', async () => {
    const { tokenizer } = engine.served
    const ids = tokenizer.encode(prompt).ids
    const asked = { echo: true, logprobs: 2, max_tokens: 1, prompt: [ids, tokenizer.encode('The dog').ids] }
    const { choices, status } = await complete(asked)
    expect(status).toBe(200)
    const first = choices![0].logprobs!
    expect(first.tokens).toHaveLength(ids.length + 1)
    expect([first.token_logprobs![0], first.top_logprobs![0]]).toEqual([null, null])
    const expected = await scored(ids)
    first.token_logprobs!.slice(1, ids.length).forEach((logp, i) => {
      expect(logp).toBeCloseTo(expected[i], 5)
    })
    first.top_logprobs!.slice(1).forEach((tops, i) => {
      const values = Object.values(tops)
      expect(tops[first.tokens![i + 1]]).toBe(first.token_logprobs![i + 1])
      expect(values.length).toBeOneOf([2, 3])
    })
    // Greedy decoding generates the likeliest token
    expect(Math.max(...Object.values(first.top_logprobs!.at(-1)!))).toBeCloseTo(first.token_logprobs!.at(-1)!, 4)
    expect(choices![1].text.startsWith('The dog')).toBe(true)
    expect(first.text_offset!.map((at) => choices![0].text.slice(at)).at(-1)).toBe(first.tokens!.at(-1))
  })

  it('name tokens by their ids where that is asked for (return_tokens_as_token_ids)', async () => {
    const ids = engine.served.tokenizer.encode(prompt).ids
    const asked = { echo: true, logprobs: 3, max_tokens: 0, prompt: ids, return_tokens_as_token_ids: true }
    const { tokens, token_logprobs, top_logprobs } = (await complete(asked)).choices![0].logprobs!
    expect(tokens).toEqual(ids.map((id) => `token_id:${id}`))
    for (const [i, tops] of top_logprobs!.slice(1).entries()) {
      expect(tops[`token_id:${ids[i + 1]}`]).toBe(token_logprobs![i + 1])
      for (const name of Object.keys(tops)) expect(name).toMatch(/^token_id:\d+$/)
    }
  })

  it('of a prompt alone (max_tokens 0) are given, whole and streamed', async () => {
    const alone = { echo: true, logprobs: 0, max_tokens: 0 }
    const whole = (await complete(alone)).choices![0]
    const ids = engine.served.tokenizer.encode(prompt).ids
    expect([whole.text, whole.finish_reason]).toEqual([prompt, 'length'])
    expect(whole.logprobs!.token_logprobs!.slice(1)).toEqual((await scored(ids)).map((logp) => expect.closeTo(logp, 5)))
    expect(Object.keys(whole.logprobs!.top_logprobs![1])).toHaveLength(1)
    const chunks = await collect(await client.completions.create({ ...greedy, ...alone, stream: true }))
    expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.token_logprobs ?? [])).toEqual(
      whole.logprobs!.token_logprobs,
    )
  })
})

describe('sampling settings at the limits of their range', () => {
  it.each([
    { temperature: 1e-45 },
    { temperature: 5e-324, top_k: 3 },
    { temperature: 2.9e-39, top_p: 0.5 },
    { temperature: 1e308 },
    { temperature: -0 },
    { top_p: 5e-324 },
    { min_p: 1e-310 },
    { typical_p: 1e-310 },
    { repetition_penalty: 5e-324 },
    { repetition_penalty: 1e308 },
    { repetition_penalty: 5e-324, temperature: 1e-9, top_k: 5 },
    { presence_penalty: 5e-324, frequency_penalty: -0 },
    { logit_bias: { 1: 5e-324 } },
  ])('give finite log-probs: %j', async (more) => {
    const { status, choices } = await complete({ temperature: 1, ...more, logprobs: 1 })
    expect(status).toBe(200)
    for (const logp of choices![0].logprobs!.token_logprobs!) expect(logp).toBeLessThanOrEqual(0)
  })
})
