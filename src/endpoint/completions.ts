/**
 * Completions from elsewhere: any server that speaks OpenAI's protocol, hosted or one's own. Peculiar: every sample is a
 * request of its own, because many servers ignore `n`; so each answer is kept by itself, eight samples after four pay for
 * four, and a prompt that stands in two rows is asked once.
 */
import type { Message } from '../data/messages.ts'
import { inParallel } from '../util/inParallel.ts'
import { rng } from '../util/rng.ts'

/** A text to go on with, or a conversation to answer. */
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
  /** Gives up at once; rejects with its reason. */
  signal?: AbortSignal
}

export type Usage = { promptTokens: number; completionTokens: number }

export type Answer = {
  text: string
  /** What the server says: 'stop' (end token or stop string), 'length', 'content_filter', ... */
  finishReason: string
  /** Undefined where the server does not count. */
  usage?: Usage
}

export type RemoteCompletion = Answer & {
  /** Number of the prompt. */
  row: number
  sample: number
  /** Found on disk, not asked for. */
  cached: boolean
}

/** What goes over the wire, and by which of the protocol's two ways. */
export type Question = {
  way: 'chat' | 'text'
  body: Readonly<Record<string, unknown>>
  /** Which of several answers, where no seed tells them apart. */
  nth: number
}

export type Asking = {
  row: number
  signal?: AbortSignal
  /** Whether another request has failed for good: no further try then. */
  isEnding(): boolean
}

/** What was asked for and what it cost; counts grow as answers come. */
export type Spent = {
  /** Answers that were asked for, and that were found on disk. */
  asked: number
  cached: number
  retries: number
  promptTokens: number
  completionTokens: number
  /** Answers whose tokens the server did not count. */
  uncounted: number
  /** Dollars, where prices are known. */
  cost?: number
}

/** A server and a model of it; generate/remote.node.ts opens one. */
export type Endpoint = {
  /** As messages call it: model and address, without secrets. */
  readonly name: string
  readonly model: string
  /** Requests under way at most. */
  readonly concurrency: number
  readonly spent: Readonly<Spent>
  ask(question: Question, asking: Asking): Promise<Answer & { cached: boolean }>
}

/**
 * Asks for completions of each prompt and yields them as they come, keyed by row and sample. When a request fails for
 * good, those under way are still yielded, then the fault is thrown; asking again pays only for what is missing.
 *
 * Faults name endpoint and row: 'endpoint' (down, slow, rate-limited for too long, an error), 'endpoint-key',
 * 'endpoint-refused' (the request itself), 'bad-answer' (empty, malformed, a wrong count), 'disk' (the cache).
 */
export async function* remoteCompletions(
  endpoint: Endpoint,
  prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>,
  settings: RemoteSettings,
): AsyncGenerator<RemoteCompletion> {
  const { signal, samples = 1 } = settings
  const left = new AbortController()
  const leave = () => left.abort(signal?.reason)
  if (signal?.aborted) leave()
  signal?.addEventListener('abort', leave)
  let isEnding = false
  const asked = new Map<string, Promise<Answer & { cached: boolean }>>()
  const work = async ({ row, sample, prompt }: Job): Promise<RemoteCompletion> => {
    const question = questionOf(endpoint.model, prompt, settings, sample)
    const same = JSON.stringify(question)
    const twin = asked.get(same)
    // Who asks the same at the same time waits; later the cache answers
    if (twin) return { row, sample, ...(await twin), cached: true }
    const answer = endpoint.ask(question, { row, signal: left.signal, isEnding: () => isEnding })
    asked.set(same, answer)
    return { row, sample, ...(await answer.finally(() => asked.delete(same))) }
  }
  try {
    yield* inParallel(jobs(prompts, samples), endpoint.concurrency, work, () => {
      isEnding = true
    })
  } finally {
    left.abort()
    signal?.removeEventListener('abort', leave)
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

/** A request for one completion. */
const questionOf = (model: string, prompt: RemotePrompt, sampling: RemoteSampling, sample: number): Question => {
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
  return { way: 'messages' in prompt ? 'chat' : 'text', body: given, nth: sampling.seed === undefined ? sample : 0 }
}

/** Below 2^31, which every server takes. */
const sampleSeed = (seed: number, sample: number) => Math.floor(rng(seed, sample).uniform(0) * 2 ** 31)
