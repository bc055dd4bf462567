/**
 * Completions of many prompts by any server that speaks OpenAI's protocol, hosted or one's own.
 *
 * Every sample is a request of its own, because many servers ignore `n`. So each completion is cached by itself: eight
 * samples after four pay for four, and a prompt that stands in two rows is sent once.
 */
import type { Message } from '../data/messages.ts'
import { Fault } from '../util/fault.ts'
import { inParallel } from '../util/inParallel.ts'
import { rng } from '../util/rng.ts'
import type { CompletionRequest, Endpoint, EndpointCompletion } from './client.ts'

/** A text to continue, or a conversation to reply to. */
export type RemotePrompt = { prompt: string } | { messages: readonly Message[] }

/** Only what is given is sent; hosted servers refuse some of it, and say so. */
export type RemoteSampling = {
  maxNewTokens: number
  temperature?: number
  topK?: number
  topP?: number
  minP?: number
  repetitionPenalty?: number
  presencePenalty?: number
  frequencyPenalty?: number
  stop?: readonly string[]
  seed?: number
  /** A JSON schema, or another `response_format`, that the completion must follow. */
  responseFormat?: Readonly<Record<string, unknown>>
  /** How many of the likeliest tokens to tell at each place (`tops` of the completion). */
  topLogprobs?: number
}

export type RemoteSettings = RemoteSampling & {
  /** Completions of each prompt. */
  samples?: number
  /** Ends all requests at once; the iteration throws its reason. */
  signal?: AbortSignal
  /** Called as soon as one request has failed for good: nothing new begins. */
  onEnding?: () => void
}

export type RemoteCompletion = EndpointCompletion & {
  /** Number of the prompt. */
  row: number
  sample: number
  /** Found in the cache, not requested. */
  cached: boolean
}

/** A prompt that the endpoint could not complete. */
export type RemoteFailure = { row: number; sample: number; failure: Fault }

/**
 * Requests completions of each prompt and yields them as they come, keyed by row and sample. When a request fails for
 * good, those under way are still yielded and then the Fault is thrown; another run pays only for what is missing.
 *
 * Faults name endpoint and row: 'endpoint' (down, slow, rate-limited for too long, an error), 'endpoint-key',
 * 'endpoint-refused' (the request itself), 'bad-answer' (an empty or malformed response, or a wrong number of
 * completions), 'disk' (the cache).
 */
export const remoteCompletions = (
  endpoint: Endpoint,
  prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>,
  settings: RemoteSettings,
): AsyncGenerator<RemoteCompletion> =>
  remoteResults(endpoint, prompts, settings, () => false) as AsyncGenerator<RemoteCompletion>

/**
 * As `remoteCompletions`, but a prompt may fail alone.
 * @param isTolerated whether a Fault is of its own prompt only: it is yielded, and the others go on. `served` says whether the
 * endpoint has answered another request since this one began
 */
export async function* remoteResults(
  endpoint: Endpoint,
  prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>,
  settings: RemoteSettings,
  isTolerated: (fault: Fault, context: { served: boolean }) => boolean,
): AsyncGenerator<RemoteCompletion | RemoteFailure> {
  const { signal, samples = 1, onEnding = () => {} } = settings
  const controller = new AbortController()
  const abort = () => controller.abort(signal?.reason)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  let isEnding = false
  const underWay = new Map<string, ReturnType<Endpoint['complete']>>()
  let served = 0
  const complete = async ({ row, sample, prompt }: Job): Promise<RemoteCompletion> => {
    const request = requestOf(endpoint.model, prompt, settings, sample)
    const key = JSON.stringify(request)
    // An equal request under way is waited for; later ones find its completion in the cache
    const same = underWay.get(key)
    if (same) return { row, sample, ...(await same), cached: true }
    const completion = endpoint.complete(request, { row, signal: controller.signal, isEnding: () => isEnding })
    underWay.set(key, completion)
    const completed = await completion.finally(() => underWay.delete(key))
    if (!completed.cached) served++
    return { row, sample, ...completed }
  }
  const completeOrFail = async (job: Job): Promise<RemoteCompletion | RemoteFailure> => {
    const before = served
    try {
      return await complete(job)
    } catch (error) {
      if (!(error instanceof Fault) || !isTolerated(error, { served: served > before })) throw error
      return { row: job.row, sample: job.sample, failure: error }
    }
  }
  try {
    yield* inParallel(jobs(prompts, samples), endpoint.concurrency, completeOrFail, () => {
      isEnding = true
      onEnding()
    })
  } finally {
    controller.abort()
    signal?.removeEventListener('abort', abort)
  }
}

type Job = { row: number; sample: number; prompt: RemotePrompt }

async function* jobs(prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>, samples: number) {
  let row = 0
  for await (const prompt of prompts) {
    for (let sample = 0; sample < samples; sample++) yield { row, sample, prompt }
    row++
  }
}

const requestOf = (
  model: string,
  prompt: RemotePrompt,
  sampling: RemoteSampling,
  sample: number,
): CompletionRequest => {
  const method = 'messages' in prompt ? 'chat' : 'text'
  const body = {
    model,
    ...('messages' in prompt ? { messages: prompt.messages } : { prompt: prompt.prompt }),
    max_tokens: sampling.maxNewTokens,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    repetition_penalty: sampling.repetitionPenalty,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    stop: sampling.stop?.length ? sampling.stop : undefined,
    seed: sampling.seed === undefined ? undefined : sampleSeed(sampling.seed, sample),
    response_format: sampling.responseFormat,
    ...(sampling.topLogprobs !== undefined && logprobFields(method, sampling.topLogprobs)),
  }
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
  return { method, body: given, nth: sampling.seed === undefined ? sample : 0 }
}

const logprobFields = (method: CompletionRequest['method'], tops: number) =>
  method === 'chat' ? { logprobs: true, top_logprobs: tops } : { logprobs: tops }

/** Below 2^31, which every server takes. */
const sampleSeed = (seed: number, sample: number) => Math.floor(rng(seed, sample).uniform(0) * 2 ** 31)
