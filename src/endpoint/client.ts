/**
 * The client of an OpenAI-compatible server: one completion by one request, with retries and a count of what it cost.
 *
 * The `openai` package sends the requests; retries and time-outs are attune's own, because the package's time-out ends
 * with the headers and this one ends with the body.
 */
import type OpenAI from 'openai'
import { z } from 'zod'
import { type Failure, failureOf, isFailure, makeRateLimit, noteRateLimit, withRetries } from './retries.ts'

export type Usage = { promptTokens: number; completionTokens: number }

/** A completion as a server gave it. */
export type EndpointCompletion = {
  text: string
  /** What the server says: 'stop' (end token or stop string), 'length', 'content_filter', ... */
  finishReason: string
  /** Undefined where the server does not count. */
  usage?: Usage
  /** [tokens][likeliest first] where the request asked for them and the server tells them. */
  tops?: TokenLogp[][]
}

/** A token's text, which may begin with a space, and its log-probability in nats. */
export type TokenLogp = { token: string; logp: number }

/** A request for one completion, by one of the protocol's two methods. */
export type CompletionRequest = {
  method: 'chat' | 'text'
  body: Readonly<Record<string, unknown>>
  /** Index of the sample where the body has no seed, so that the cache tells samples of a prompt apart; otherwise 0. */
  nth: number
}

/** What does not change the completion of a request. */
export type RequestContext = {
  /** Index of the prompt, for messages. */
  row: number
  signal?: AbortSignal
  /** Whether another request has failed for good: then nothing is retried. */
  isEnding(): boolean
}

/** Requests of an endpoint and what they cost; counts grow as responses come. */
export type Spent = {
  /** Completions that the server sent, also those that were of no use. */
  asked: number
  /** Completions that were found in the cache. */
  cached: number
  retries: number
  promptTokens: number
  completionTokens: number
  /** Responses whose tokens the server did not count. */
  uncounted: number
  /** Dollars, where prices are known. */
  cost?: number
}

/** A server and one of its models; `openEndpoint` opens one. */
export type Endpoint = {
  /** Model and address, without secrets, for messages. */
  readonly name: string
  readonly model: string
  /** Concurrent requests at most. */
  readonly concurrency: number
  readonly spent: Readonly<Spent>
  /** Throws the Faults that `remoteCompletions` lists. */
  complete(request: CompletionRequest, context: RequestContext): Promise<EndpointCompletion & { cached: boolean }>
}

export type ClientOptions = {
  /** Further attempts after one that failed; rate limits do not count. */
  retries?: number
  /** Milliseconds for a whole response. */
  timeout: number
  /** Dollars for a million tokens. */
  price?: { prompt: number; completion: number }
  /** Called before each further attempt. */
  onRetry?: (retry: { message: string; seconds: number; row: number }) => void
}

const paths = { chat: '/chat/completions', text: '/completions' } as const

/** Parameters that some models refuse, and what is sent instead once an endpoint has refused one. */
const fallbacks: readonly { refusal: RegExp; change(body: Record<string, unknown>): void }[] = [
  {
    refusal: /max_completion_tokens/,
    change: (body) => {
      body.max_completion_tokens = body.max_tokens
      delete body.max_tokens
    },
  },
  {
    refusal: /\bseed\b/,
    change: (body) => {
      delete body.seed
    },
  },
]

/** @returns a function that requests a completion, with retries, and adds what it used and cost to `spent` */
export const completionClient = (
  client: OpenAI,
  { retries = 5, timeout, price, onRetry }: ClientOptions,
  spent: Spent,
) => {
  const rateLimit = makeRateLimit()
  /** The fallbacks of parameters that this server has refused. */
  const inForce = new Set<(typeof fallbacks)[number]>()
  const attempt = async (request: CompletionRequest, signal?: AbortSignal): Promise<EndpointCompletion | Failure> => {
    const { method, body } = request
    const sent = { ...body }
    const applied = [...inForce]
    for (const { change } of applied) change(sent)
    const response = await requestOnce(timeout, signal, (signal) =>
      client.post(paths[method], { body: sent, signal }).asResponse(),
    )
    if (isFailure(response)) {
      // Compared with what this request had applied: concurrent requests are refused for the same parameter
      const fallback = fallbacks.find((each) => !applied.includes(each) && each.refusal.test(response.message))
      if (response.code !== 'endpoint-refused' || !fallback) return response
      inForce.add(fallback)
      return attempt(request, signal)
    }
    noteRateLimit(rateLimit, response.headers)
    // A response costs what it costs, even one that is of no use
    addCost(spent, usageIn(response.body), price)
    const completion = readCompletion(method, response.body)
    return typeof completion === 'string'
      ? { kind: 'transient', code: 'bad-answer', message: `sent ${completion}`, maxAttempts: 2 }
      : completion
  }
  return (request: CompletionRequest, { row, signal, isEnding }: RequestContext) =>
    withRetries(rateLimit, () => attempt(request, signal), {
      retries,
      signal,
      isEnding,
      onRetry({ message }, wait) {
        spent.retries++
        onRetry?.({ message, seconds: wait / 1000, row })
      },
    })
}

const addCost = (spent: Spent, usage: Usage | undefined, price: ClientOptions['price']) => {
  spent.asked++
  if (!usage) spent.uncounted++
  const { promptTokens = 0, completionTokens = 0 } = usage ?? {}
  spent.promptTokens += promptTokens
  spent.completionTokens += completionTokens
  if (price) spent.cost! += (promptTokens * price.prompt + completionTokens * price.completion) / 1e6
}

/**
 * One request and its whole JSON body. Rejects only with the signal's reason, or for a defect.
 * @param timeout in milliseconds
 */
export const requestOnce = async (
  timeout: number,
  signal: AbortSignal | undefined,
  send: (signal: AbortSignal) => Promise<Response>,
): Promise<{ headers: Headers; body: unknown } | Failure> => {
  const controller = new AbortController()
  const stop = () => controller.abort()
  const timer = setTimeout(stop, timeout)
  signal?.addEventListener('abort', stop)
  try {
    const response = await send(controller.signal)
    return { headers: response.headers, body: JSON.parse(await response.text()) }
  } catch (error) {
    signal?.throwIfAborted()
    return failureOf(error, timeout)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

// Response bodies. Servers differ, so only what is read is checked

const usage = z
  .object({ prompt_tokens: z.number(), completion_tokens: z.number() })
  .transform(({ prompt_tokens, completion_tokens }) => ({
    promptTokens: prompt_tokens,
    completionTokens: completion_tokens,
  }))
  .nullish()
  .catch(undefined)
const finish = z.string().nullish()

const tokenList = z
  .array(z.object({ top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number() })) }))
  .nullish()
const topsOf = (tokens: z.output<typeof tokenList>) =>
  tokens?.map(({ top_logprobs }) => byLogp(top_logprobs.map(({ token, logprob }) => ({ token, logp: logprob }))))

/** Of chat: a list of tokens, each with its likeliest rivals. */
const chatLogprobs = z
  .object({ content: tokenList })
  .transform(({ content }) => topsOf(content))
  .nullish()
  .catch(undefined)

/** Of texts: a map from token to log-probability for each token. llama.cpp's server lists the tokens as for chat. */
const textLogprobs = z
  .object({ top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(), content: tokenList })
  .transform(
    ({ top_logprobs, content }) =>
      topsOf(content) ??
      top_logprobs?.map((tops) => byLogp(Object.entries(tops ?? {}).map(([token, logp]) => ({ token, logp })))),
  )
  .nullish()
  .catch(undefined)

const byLogp = (tops: TokenLogp[]) => tops.sort((a, b) => b.logp - a.logp)

const responses = {
  chat: z
    .object({
      choices: z.array(
        z.object({
          message: z.object({ content: z.string().nullish() }),
          finish_reason: finish,
          logprobs: chatLogprobs,
        }),
      ),
      usage,
    })
    .transform(({ choices, usage }) => ({ usage, choices: choices.map((c) => ({ ...c, text: c.message.content })) })),
  text: z.object({
    choices: z.array(z.object({ text: z.string().nullable(), finish_reason: finish, logprobs: textLogprobs })),
    usage,
  }),
} as const

/** The completion in a response's body, or a text that says what is wrong with the body. */
export const readCompletion = (method: CompletionRequest['method'], body: unknown): EndpointCompletion | string => {
  const parsed = responses[method].safeParse(body)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]
    const where = path.length ? `${path.join('.')}: ` : ''
    return `a malformed answer (${typeof body === 'string' ? 'not JSON' : where + message})`
  }
  const { choices, usage } = parsed.data
  if (choices.length !== 1) return `${choices.length} completions instead of 1`
  const [{ text, finish_reason, logprobs }] = choices
  const finishReason = finish_reason ?? 'stop'
  if (!text) return `an empty completion (finish_reason ${finishReason})`
  return { text, finishReason, usage: usage ?? undefined, ...(logprobs?.length && { tops: logprobs }) }
}

const counted = z.object({ usage })

/** The token counts in a response's body, whatever else is wrong with it. */
export const usageIn = (body: unknown): Usage | undefined => counted.safeParse(body).data?.usage ?? undefined
