/** Asks a model, local or on a server, through OpenAI's protocol, and gives what is new as it comes. */
import OpenAI from 'openai'
import { z } from 'zod'
import { visible } from '../../util/quote.ts'
import type { AnswerToken, LaneRequest, Sampling, TurnEvent } from './api.ts'
import type { Upstream } from './children.node.ts'

/** How many of the likeliest tokens are asked for at each place. */
const alternatives = 5
/** Milliseconds until a server must begin to answer; a long prompt takes its time. */
const beginWithin = 10 * 60_000

/** Redirects are not followed: only the address that was typed is asked. */
const clientOf = ({ url, key }: Pick<Upstream, 'url' | 'key'>) =>
  new OpenAI({
    baseURL: url,
    apiKey: key ?? 'none',
    adminAPIKey: null,
    organization: null,
    project: null,
    defaultHeaders: key ? {} : { Authorization: null },
    maxRetries: 0,
    timeout: beginWithin,
    logLevel: 'off',
    fetch: (input, init) => fetch(input, { ...init, redirect: 'error' }),
  })

const modelList = z.object({ data: z.array(z.object({ id: z.string() })) })

/** The name of a server's only model. Throws Errors that say what to do. */
export const onlyModelAt = async (url: string, key: string | undefined): Promise<string> => {
  const listed = await clientOf({ url, key })
    .get('/models', { timeout: 15_000 })
    .catch((error) => {
      throw new Error(messageOf(error, key))
    })
  const names = modelList.safeParse(listed).data?.data.map(({ id }) => id) ?? []
  if (names.length === 1) return names[0]
  const some = names.slice(0, 10).map(visible).join(', ')
  throw new Error(
    names.length
      ? `the server has ${names.length} models (${some}); add the name of one: ${url}#NAME`
      : `the server does not say which models it has; add the name of one: ${url}#NAME`,
  )
}

const tokenSchema = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.number()).nullish() })
const usageSchema = z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish()
const chunkSchema = z.object({
  choices: z
    .array(
      z.object({
        delta: z.object({ content: z.string().nullish() }).nullish(),
        text: z.string().nullish(),
        finish_reason: z.string().nullish(),
        logprobs: z
          .union([
            z.object({ content: z.array(tokenSchema.extend({ top_logprobs: z.array(tokenSchema).nullish() })) }),
            z.object({
              tokens: z.array(z.string()),
              token_logprobs: z.array(z.number().nullable()),
              top_logprobs: z.array(z.record(z.string(), z.number().nullable()).nullable()).nullish(),
              text_offset: z.array(z.number()).nullish(),
            }),
          ])
          .nullish()
          .catch(undefined),
      }),
    )
    .default([]),
  usage: usageSchema,
  error: z.object({ message: z.string() }).optional(),
})
type Chunk = z.output<typeof chunkSchema>

/** The events of one lane; the last has `end` or `error`. Never throws. */
export async function* answer(
  upstream: Upstream,
  request: LaneRequest,
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  const { lane } = request
  let finish: 'stop' | 'length' = 'stop'
  let usage: z.output<typeof usageSchema>
  try {
    const readTokens = tokenReader()
    for await (const raw of await ask(upstream, request, sampling, signal)) {
      const chunk = chunkSchema.parse(raw)
      if (chunk.error) throw new Error(chunk.error.message)
      usage = chunk.usage ?? usage
      const [choice] = chunk.choices
      if (!choice) continue
      if (choice.finish_reason === 'length') finish = 'length'
      const text = choice.delta?.content ?? choice.text ?? ''
      const tokens = readTokens(choice.logprobs)
      if (text || tokens.length) yield { lane, text, ...(tokens.length && { tokens }) }
    }
    signal.throwIfAborted()
    const counts = usage && { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }
    yield { lane, end: { finish, ...counts } }
  } catch (error) {
    if (signal.aborted) yield { lane, end: { finish: 'stopped' } }
    else yield { lane, error: messageOf(error, upstream.key) }
  }
}

/** Many servers tell no probabilities, or refuse to be asked for them: then the answer comes without. */
const ask = async (upstream: Upstream, request: LaneRequest, sampling: Sampling, signal: AbortSignal) => {
  const client = clientOf(upstream)
  const { path, body, logprobs } = bodyOf(upstream.model, request, sampling)
  const post = (more: object) =>
    client.post<AsyncIterable<unknown>>(path, { body: { ...body, ...more }, stream: true, signal })
  try {
    return await post(logprobs)
  } catch (error) {
    const refused = error instanceof OpenAI.APIError && error.status === 400 && /logprobs/.test(error.message)
    if (!refused || signal.aborted) throw error
    return post({})
  }
}

const bodyOf = (model: string, { messages, prompt, prefix = '' }: LaneRequest, sampling: Sampling) => {
  const common = {
    model,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: sampling.maxNewTokens,
    temperature: sampling.temperature,
    seed: sampling.seed,
    // Hosted servers refuse fields that they do not know, so what changes nothing is left out
    ...(sampling.topP < 1 && { top_p: sampling.topP }),
    ...(sampling.topK > 0 && { top_k: sampling.topK }),
    ...(sampling.minP > 0 && { min_p: sampling.minP }),
    ...(sampling.repetitionPenalty !== 1 && { repetition_penalty: sampling.repetitionPenalty }),
  }
  if (messages === undefined)
    return {
      path: '/completions',
      body: { ...common, prompt: (prompt ?? '') + prefix },
      logprobs: { logprobs: alternatives },
    }
  const goesOn = prefix && {
    messages: [...messages, { role: 'assistant', content: prefix }],
    continue_final_message: true,
    add_generation_prompt: false,
  }
  return {
    path: '/chat/completions',
    body: { ...common, messages, ...goesOn },
    logprobs: { logprobs: true, top_logprobs: alternatives },
  }
}

type Logprobs = Chunk['choices'][number]['logprobs']

/** Reads the tokens of one chunk after the other, and where each begins. A character may be cut between two tokens. */
const tokenReader = () => {
  const utf8 = new TextDecoder()
  let at = 0
  const begins = (text: string, bytes: number[] | null | undefined) => {
    const before = at
    at += bytes ? utf8.decode(new Uint8Array(bytes), { stream: true }).length : text.length
    return before
  }
  return (logprobs: Logprobs): AnswerToken[] => {
    if (!logprobs) return []
    if ('content' in logprobs)
      return logprobs.content.map(({ token, logprob, bytes, top_logprobs }) => ({
        at: begins(token, bytes),
        text: token,
        logp: logprob,
        tops: (top_logprobs ?? []).map((top) => ({ text: top.token, logp: top.logprob })),
      }))
    return logprobs.tokens.map((text, i) => ({
      at: logprobs.text_offset?.[i] ?? begins(text, undefined),
      text,
      logp: logprobs.token_logprobs[i] ?? 0,
      tops: Object.entries(logprobs.top_logprobs?.[i] ?? {})
        .flatMap(([top, logp]) => (logp === null ? [] : { text: top, logp }))
        .sort((a, b) => b.logp - a.logp)
        .slice(0, alternatives),
    }))
  }
}

/** What a server or the connection says, without the key. */
const messageOf = (error: unknown, key: string | undefined): string => {
  const text = error instanceof Error ? error.message : String(error)
  const cause =
    error instanceof OpenAI.APIConnectionError ? ' (the server cannot be reached, or sent us elsewhere)' : ''
  return visible((key ? text.replaceAll(key, '***') : text) + cause).slice(0, 1000)
}
