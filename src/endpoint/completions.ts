/**
 * Completions of many prompts by any server that speaks OpenAI's protocol, hosted or one's own.
 *
 * Every sample is a request of its own, because many servers ignore `n`. So each completion is cached by itself: eight
 * samples after four pay for four, and a prompt that stands in two rows is sent once.
 */
import type { Message } from '../data/messages.ts'
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
}

export type RemoteSettings = RemoteSampling & {
  /** Completions of each prompt. */
  samples?: number
  /** Ends all requests at once; the iteration throws its reason. */
  signal?: AbortSignal
}

export type RemoteCompletion = EndpointCompletion & {
  /** Number of the prompt. */
  row: number
  sample: number
  /** Found in the cache, not requested. */
  cached: boolean
}

/**
 * Requests completions of each prompt and yields them as they come, keyed by row and sample. When a request fails for
 * good, those under way are still yielded and then the Fault is thrown; another run pays only for what is missing.
 *
 * Faults name endpoint and row: 'endpoint' (down, slow, rate-limited for too long, an error), 'endpoint-key',
 * 'endpoint-refused' (the request itself), 'bad-answer' (an empty or malformed response, or a wrong number of
 * completions), 'disk' (the cache).
 */
export async function* remoteCompletions(
  endpoint: Endpoint,
  prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>,
  settings: RemoteSettings,
): AsyncGenerator<RemoteCompletion> {
  const { signal, samples = 1 } = settings
  const controller = new AbortController()
  const abort = () => controller.abort(signal?.reason)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  let isEnding = false
  const underWay = new Map<string, ReturnType<Endpoint['complete']>>()
  const complete = async ({ row, sample, prompt }: Job): Promise<RemoteCompletion> => {
    const request = requestOf(endpoint.model, prompt, settings, sample)
    const key = JSON.stringify(request)
    // An equal request under way is waited for; later ones find its completion in the cache
    const same = underWay.get(key)
    if (same) return { row, sample, ...(await same), cached: true }
    const completion = endpoint.complete(request, { row, signal: controller.signal, isEnding: () => isEnding })
    underWay.set(key, completion)
    return { row, sample, ...(await completion.finally(() => underWay.delete(key))) }
  }
  try {
    yield* inParallel(jobs(prompts, samples), endpoint.concurrency, complete, () => {
      isEnding = true
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
  }
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
  return { method: 'messages' in prompt ? 'chat' : 'text', body: given, nth: sampling.seed === undefined ? sample : 0 }
}

/** Below 2^31, which every server takes. */
const sampleSeed = (seed: number, sample: number) => Math.floor(rng(seed, sample).uniform(0) * 2 ** 31)
