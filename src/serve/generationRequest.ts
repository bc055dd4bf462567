/** Turns the checked body of a request into prompts as token ids and the options of their completions. */
import { setImmediate } from 'node:timers/promises'
import { type PromptToken, promptLogps } from '../generate/promptLogps.ts'
import type { CompletionOptions } from '../generate/sequence.ts'
import { httpError } from '../http/errors.ts'
import type { Model } from '../passes/model.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { directEncoder, type PromptEncoder, type PromptInput } from './promptEncoder.ts'
import type { ChatBody, CompletionBody, SamplingBody } from './schemas.ts'

/** The model that a server offers. */
export type ServedModel = {
  /** Its name in requests. */
  name: string
  model: Model
  tokenizer: Tokenizer | undefined
  eosIds: ReadonlySet<number>
  /** By default all prompts are encoded at once. */
  encoder?: PromptEncoder
}

/** The prompt that a response repeats before the completion: its text and, if log-probs were requested, its tokens. */
export type Echo = { text: string; tokens: readonly PromptToken[] }

/** One or several prompts with the same options. With n samples each, choice p * n + sample is of prompt p. */
export type GenerationRequest = {
  prompts: readonly (readonly number[])[]
  /** Of each prompt, if it was requested. */
  echo: readonly Echo[] | undefined
  options: CompletionOptions & { samples: number }
  stream: boolean
  includeUsage: boolean
  /** How many alternatives to give with the log-prob of each token; undefined for no log-probs. */
  topLogprobs: number | undefined
  /** Tokens are named by their ids, `token_id:17`, not by their texts. */
  tokensAsIds: boolean
}

/** Completions of one request, at most. */
const maxChoices = 128

export const chatRequest = async (
  served: ServedModel,
  body: ChatBody,
  signal?: AbortSignal,
): Promise<GenerationRequest> => {
  const { tokenizer } = served
  if (!tokenizer?.chat)
    throw httpError(400, `${served.name} has no chat template; use /v1/completions`, { param: 'messages' })
  if (body.top_logprobs != null && !body.logprobs)
    throw httpError(400, 'top_logprobs: needs logprobs to be true', { param: 'top_logprobs' })
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY
  const topLogprobs = body.logprobs ? (body.top_logprobs ?? 0) : undefined
  const limits = { maxTokens, topLogprobs, param: 'messages' }
  const options = optionsOf(served, body, 1, limits)
  const ids = await encode(served, { messages: body.messages, options: templateOptions(body) }, signal)
  return checkedRequest(served, body, [ids], options, limits)
}

/** Variables of chat templates that the server sets. */
const reservedVariables = new Set(['messages', 'tools', 'documents', 'add_generation_prompt'])

const templateOptions = (body: ChatBody) => {
  const continueFinalMessage = body.continue_final_message ?? false
  const addGenerationPrompt = body.add_generation_prompt ?? !continueFinalMessage
  if (continueFinalMessage && addGenerationPrompt)
    throw httpError(400, 'continue_final_message: and add_generation_prompt exclude each other', {
      param: 'continue_final_message',
    })
  const variables = body.chat_template_kwargs ?? {}
  const reserved = Object.keys(variables).find((name) => reservedVariables.has(name))
  if (reserved)
    throw httpError(400, `chat_template_kwargs.${reserved}: is what this server gives the template`, {
      param: `chat_template_kwargs.${reserved}`,
    })
  // `sanitize`: no text of a message is read as a control token
  return { addGenerationPrompt, continueFinalMessage, variables, sanitize: true }
}

/** The protocol's default of max_tokens. */
const defaultMaxTokens = 16

export const completionRequest = async (
  served: ServedModel,
  body: CompletionBody,
  signal?: AbortSignal,
): Promise<GenerationRequest> => {
  const texts = promptsOf(body.prompt)
  const limits = {
    maxTokens: body.max_tokens ?? defaultMaxTokens,
    topLogprobs: body.logprobs ?? undefined,
    param: 'prompt',
  }
  const options = optionsOf(served, body, texts.length, limits)
  const prompts: number[][] = []
  for (const text of texts) {
    // Other requests get a turn between two texts
    if (prompts.length) await setImmediate()
    prompts.push(typeof text === 'string' ? await encode(served, { text }, signal) : text)
  }
  const tokensAsIds = body.return_tokens_as_token_ids ?? false
  const request = { ...checkedRequest(served, body, prompts, options, limits), tokensAsIds }
  return body.echo ? { ...request, echo: await echoOf(served, request, texts) } : request
}

const echoOf = async (
  { model, tokenizer }: ServedModel,
  { prompts, topLogprobs }: GenerationRequest,
  texts: (string | number[])[],
) => {
  const decode = (prompt: number[]) => tokenizer?.decode(prompt, { skipSpecialTokens: true }) ?? ''
  const echo: Echo[] = []
  for (const [p, text] of texts.entries())
    echo.push({
      text: typeof text === 'string' ? text : decode(text),
      tokens: topLogprobs === undefined ? [] : await promptLogps(model, prompts[p], topLogprobs),
    })
  return echo
}

const promptsOf = (prompt: CompletionBody['prompt']): (string | number[])[] => {
  if (typeof prompt === 'string') return [prompt]
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[])
}

const encode = (
  { tokenizer, encoder, name }: ServedModel,
  input: PromptInput,
  signal?: AbortSignal,
): Promise<number[]> => {
  if (!tokenizer) throw httpError(400, `${name} has no tokenizer; give token ids`, { param: 'prompt' })
  return (encoder ?? directEncoder(tokenizer)).encode(input, signal)
}

type RequestLimits = { maxTokens: number; topLogprobs: number | undefined; param: string }

/** The options of a request, checked as far as that is possible before its prompts are encoded. */
const optionsOf = (
  served: ServedModel,
  body: SamplingBody,
  prompts: number,
  { maxTokens, topLogprobs, param }: RequestLimits,
): GenerationRequest['options'] => {
  const { vocab_size: V, max_position_embeddings: context } = served.model.config
  const samples = body.n ?? 1
  if (prompts * samples > maxChoices)
    throw httpError(400, `${param}: asks for ${prompts * samples} completions; ${maxChoices} at most`, { param })
  const stopIds = body.stop_token_ids ?? []
  const strayStopId = stopIds.find((id) => id >= V)
  if (strayStopId !== undefined)
    throw httpError(400, `stop_token_ids: token id ${strayStopId} is not below ${V}`, { param: 'stop_token_ids' })
  return {
    ...samplingOf(body, V),
    maxNewTokens: Math.min(maxTokens, context),
    samples,
    topLogprobs,
    eosIds: new Set([...(body.ignore_eos ? [] : served.eosIds), ...stopIds]),
  }
}

const checkedRequest = (
  served: ServedModel,
  body: SamplingBody,
  prompts: readonly (readonly number[])[],
  options: GenerationRequest['options'],
  { topLogprobs, param }: RequestLimits,
): GenerationRequest => {
  const { vocab_size: V, max_position_embeddings: context } = served.model.config
  for (const prompt of prompts) {
    const stray = prompt.find((id) => id >= V)
    if (stray !== undefined) throw httpError(400, `${param}: token id ${stray} is not below ${V}`, { param })
    if (prompt.length === 0) throw httpError(400, `${param}: is empty; it needs one token at least`, { param })
    if (prompt.length >= context)
      throw httpError(400, `${param}: has ${prompt.length} tokens; the model's context is ${context}`, {
        param,
        code: 'context_length_exceeded',
      })
  }
  return {
    prompts,
    echo: undefined,
    options,
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    topLogprobs,
    tokensAsIds: false,
  }
}

const samplingOf = (body: SamplingBody, V: number) => {
  const bias = Object.entries(body.logit_bias ?? {}).map(([id, value]) => [Number(id), value] as const)
  const stray = bias.find(([id]) => id >= V)
  if (stray) throw httpError(400, `logit_bias: token id ${stray[0]} is not below ${V}`, { param: 'logit_bias' })
  const stop = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? [])
  // vLLM ignores stop strings in the first min_tokens tokens; here they would end the completion
  if (stop.length && body.min_tokens)
    throw httpError(400, 'min_tokens: cannot be joined with stop; use stop_token_ids', { param: 'min_tokens' })
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? undefined,
    topK: body.top_k != null && body.top_k > 0 ? body.top_k : undefined,
    minP: body.min_p ?? undefined,
    typicalP: body.typical_p ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    minNewTokens: body.min_tokens ?? undefined,
    logitBias: bias.length ? new Map(bias) : undefined,
    stop: stop.length ? stop : undefined,
    seed: body.seed ?? Math.floor(Math.random() * 2 ** 31),
  }
}
