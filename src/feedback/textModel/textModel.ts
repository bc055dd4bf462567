/**
 * One way to ask a text model, be it a local checkpoint or behind an OpenAI-compatible server.
 *
 * ```ts
 * const model = await openTextModel('HuggingFaceTB/SmolLM2-135M-Instruct', { threads: 2 })
 * const model = await openTextModel('http://127.0.0.1:8000/v1#NAME', { concurrency: 64, price: { prompt: 1, completion: 2 } })
 * for await (const completion of model.complete(prompts, { maxNewTokens: 512, temperature: 0 })) {
 *   if ('failure' in completion) ...                 // this prompt alone failed: code and message
 *   else completion.text, completion.finishReason    // 'length' where a limit cut it
 * }
 * for await (const probs of model.options([{ prompts: [first, second], options: ['(A', '(B'] }])) ...  // [prompts][options]
 * await model.close()
 * ```
 *
 * `openTextModel.ts` opens one; `localTextModel` takes a model that is open already, such as the policy of a training run.
 * Prompts are drawn as they are needed and results come in their order, so that neither is held in memory. Temperature 0 is
 * greedy. What is sampled depends on the seed, the prompt's number and the sample, not on what runs beside it.
 */
import type { Message } from '../../data/messages.ts'
import type { Spent } from '../../endpoint/client.ts'
import type { RemoteSampling } from '../../endpoint/completions.ts'
import type { FileHash } from '../../util/sha256.node.ts'

/** A text to continue, or a conversation to reply to. */
export type TextPrompt = string | readonly Message[]

export type CompletionSettings = Pick<RemoteSampling, 'maxNewTokens' | 'topP' | 'topK' | 'minP' | 'stop' | 'seed'> & {
  /** 0 is greedy. */
  temperature: number
  /** Completions of each prompt; 1 by default. */
  samples?: number
  /** Number of the first prompt, 0 by default: work that goes on in the middle samples what it would have sampled. */
  from?: number
  /** A `response_format` that a server holds the completion to; a local model has no such thing. */
  responseFormat?: RemoteSampling['responseFormat']
  /** The iteration throws its reason. */
  signal?: AbortSignal
}

/** A prompt that could not be completed, while others can. `code` is a Fault's: 'prompt-too-long', 'endpoint', 'bad-answer', ... */
export type TextFailure = { row: number; sample: number; failure: { code: string; message: string } }

export type TextCompletion = {
  /** Number of the prompt, from 0. */
  row: number
  sample: number
  text: string
  /** 'stop' or 'eos' where it ended by itself, 'length' where a limit cut it; servers have others ('content_filter'). */
  finishReason: string
  /** Found in the disk cache of a server's completions. */
  cached: boolean
}

/** Prompts that differ in their middle only (both orders of two answers, say), and the texts that may follow them. */
export type OptionQuestion = {
  prompts: readonly TextPrompt[]
  /** They must begin with different tokens, after what they share: '(A' and '(B', or 'A' and 'B'. */
  options: readonly string[]
}

/** [prompts][options] */
export type OptionLogps = {
  /** Number of the question, from 0. */
  row: number
  /** Log-probability of each option after each prompt, in nats, normalised over the options: its exponentials sum to 1. */
  logps: number[][]
  /** The share of all probability that the options have after each prompt: near 0 where the model would say something else. */
  mass: number[]
}

export type OptionSettings = { signal?: AbortSignal }

export type TextModel = {
  /** For messages and reports. */
  readonly name: string
  /** Whether it reads conversations by a chat template. One without reads the messages as plain text, blank lines between. */
  readonly chat: boolean
  /** A server's model, which costs and can fail. */
  readonly remote: boolean
  /** Completions asked, and their tokens and cost; counts grow. */
  readonly spent: Readonly<Spent>
  /** What its completions depend on, for the settings of a run: its address and name, or hashes of its files. */
  identity(): Promise<unknown>
  /** Hashes of its files; none of a server's model. */
  files(): Promise<FileHash[]>
  /**
   * In the order of prompts and samples. Faults that end everything: 'endpoint' (the server is down), 'endpoint-key', 'disk';
   * what is wrong with one prompt is yielded as its failure. What a server answered stays in the disk cache.
   */
  complete(
    prompts: Iterable<TextPrompt> | AsyncIterable<TextPrompt>,
    settings: CompletionSettings,
  ): AsyncGenerator<TextCompletion | TextFailure>
  /**
   * Generates nothing with a local model: one pass over each question, what its prompts share passing once. A server is asked
   * for one token with its likeliest rivals; an option that is not among them gets the probability of the last of them, the
   * most that it can have. Faults: 'no-logprobs' where the server tells none.
   */
  options(
    questions: Iterable<OptionQuestion> | AsyncIterable<OptionQuestion>,
    settings?: OptionSettings,
  ): AsyncGenerator<OptionLogps | TextFailure>
  close(): Promise<void>
}
