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
 * Prompts are drawn as they are needed and results come in their order, so that neither is held in memory. Temperature 0 is
 * greedy. What is sampled depends on the seed, the prompt's number and the sample, not on what runs beside it.
 */
import { filesOf } from '../checkpoint/folder.node.ts'
import type { Message } from '../data/messages.ts'
import type { Endpoint, Spent } from '../endpoint/client.ts'
import type { RemoteSampling } from '../endpoint/completions.ts'
import { type EndpointOptions, isUrl, openEndpoint, splitUrl } from '../endpoint/open.node.ts'
import { type OpenModelOptions, openModel } from '../passes/open.node.ts'
import { badInput } from '../util/fault.ts'
import { kebab } from '../util/kebab.ts'
import { sha256Files } from '../util/sha256.node.ts'
import { localTextModel } from './localModel.ts'
import { remoteTextModel } from './remoteModel.ts'

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

export type TextModelSettings = Omit<OpenModelOptions, 'model' | 'head'> &
  Omit<EndpointOptions, 'url' | 'model'> & {
    /** Name of the model on the server; also after `#` in the address. By default its only one. */
    modelName?: string
    /** Sequences that a local model decodes at once. */
    batchSize?: number
  }

/** What only a local model has. */
const localOnly = ['adapter', 'quantize'] as const satisfies readonly (keyof TextModelSettings)[]

/**
 * @param spec a folder, a hub id, a run's name or folder; or an address `URL`, `URL#MODEL`
 * Faults: those of `openModel`, 'no-tokenizer'; those of `openEndpoint`; 'bad-flag' for a setting that the model cannot honour.
 */
export const openTextModel = async (spec: string, settings: TextModelSettings = {}): Promise<TextModel> => {
  if (isUrl(spec)) {
    const local = localOnly.find((key) => settings[key] !== undefined && settings[key] !== 'none')
    if (local)
      throw badInput('bad-flag', `works only with local models, and ${spec} is a server`, { flag: `--${kebab(local)}` })
    const { url, model } = splitUrl(spec)
    return remoteTextModel(await openEndpoint({ ...settings, url, model: settings.modelName ?? model }))
  }
  if (settings.modelName !== undefined)
    throw badInput('bad-flag', `names a model on a server, and ${spec} is a local one; leave it out`)
  const opened = await openModel({ ...settings, model: spec })
  const { model, tokenizer, generationConfig, dir, adapterDir, files, close } = opened
  try {
    if (!tokenizer)
      throw badInput('no-tokenizer', 'has no tokenizer, and is to read text; give another model', { file: dir })
    return {
      ...localTextModel({ name: spec, model, tokenizer, generationConfig, batchSize: settings.batchSize }),
      identity: async () => {
        const folders = { dir, adapter: adapterDir }
        const hashes = await sha256Files(await filesOf(folders, files))
        return [hashes.map(({ sha256 }) => sha256), settings.quantize ?? 'none']
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A server that is open already. Closing it closes nothing. */
export const textModelOf = (endpoint: Endpoint): TextModel => remoteTextModel(endpoint)
