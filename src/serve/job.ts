/** From a checked body to what the scheduler is asked for. */
import { encodePrompt } from '../data/examples.ts'
import type { CompletionOptions } from '../generate/sequence.ts'
import type { Model } from '../passes/model.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { refusal } from './refusal.ts'
import type { ChatBody, CompletionBody, SamplingBody } from './requests.ts'

/** A model as it is served. */
export type Served = {
  /** What clients call it. */
  name: string
  model: Pick<Model, 'config'>
  tokenizer: Tokenizer | undefined
  eosIds: ReadonlySet<number>
}

/** One or several prompts with the same wishes. Choice number p * n + sample is of prompt p. */
export type Job = {
  prompts: readonly (readonly number[])[]
  /** What stands before a completion. */
  echo: readonly string[]
  options: CompletionOptions & { samples: number }
  stream: boolean
  includeUsage: boolean
  /** How many alternatives are wished beside each token's log-probability; undefined: not even that. */
  tops: number | undefined
}

/** Completions of one request, so that none holds everything up. */
const mostChoices = 128

export const chatJob = (served: Served, body: ChatBody): Job => {
  const { tokenizer } = served
  if (!tokenizer?.chat)
    throw refusal(400, `${served.name} has no chat template; use /v1/completions`, { param: 'messages' })
  if (body.top_logprobs != null && !body.logprobs)
    throw refusal(400, 'top_logprobs: needs logprobs to be true', { param: 'top_logprobs' })
  // What people write is never taken for a control token
  const { ids } = tokenizer.chat.encode(body.messages, { addGenerationPrompt: true, sanitize: true })
  const most = body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY
  const tops = body.logprobs ? (body.top_logprobs ?? 0) : undefined
  return job(served, body, [ids], { most, tops, param: 'messages' })
}

/** The protocol's own. */
const defaultTokens = 16

export const completionJob = (served: Served, body: CompletionBody): Job => {
  const prompts = promptsOf(body.prompt)
  const made = job(
    served,
    body,
    prompts.map((prompt) => (typeof prompt === 'string' ? encode(served, prompt) : prompt)),
    { most: body.max_tokens ?? defaultTokens, tops: body.logprobs ?? undefined, param: 'prompt' },
  )
  if (!body.echo) return made
  if (body.logprobs != null)
    throw refusal(400, 'echo: cannot be joined with logprobs; attune score gives those of a prompt', { param: 'echo' })
  const decode = (prompt: number[]) => served.tokenizer?.decode(prompt, { skipSpecialTokens: true }) ?? ''
  return { ...made, echo: prompts.map((prompt) => (typeof prompt === 'string' ? prompt : decode(prompt))) }
}

const promptsOf = (prompt: CompletionBody['prompt']): (string | number[])[] => {
  if (typeof prompt === 'string') return [prompt]
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[])
}

const encode = ({ tokenizer, name }: Served, text: string): number[] => {
  if (!tokenizer) throw refusal(400, `${name} has no tokenizer; give token ids`, { param: 'prompt' })
  return encodePrompt(tokenizer, text)
}

type Wishes = { most: number; tops: number | undefined; param: string }

const job = (served: Served, body: SamplingBody, prompts: readonly (readonly number[])[], wishes: Wishes): Job => {
  const { vocab_size: V, max_position_embeddings: context } = served.model.config
  const { most, tops, param } = wishes
  for (const prompt of prompts) {
    const stray = prompt.find((id) => id >= V)
    if (stray !== undefined) throw refusal(400, `${param}: token id ${stray} is not below ${V}`, { param })
    if (prompt.length === 0) throw refusal(400, `${param}: is empty; it needs one token at least`, { param })
    if (prompt.length >= context)
      throw refusal(400, `${param}: has ${prompt.length} tokens; the model's context is ${context}`, {
        param,
        code: 'context_length_exceeded',
      })
  }
  const samples = body.n ?? 1
  if (prompts.length * samples > mostChoices)
    throw refusal(400, `${param}: asks for ${prompts.length * samples} completions; ${mostChoices} at most`, { param })
  const options = {
    ...samplingOf(body, V),
    maxNewTokens: Math.min(most, context),
    samples,
    topLogprobs: tops,
    eosIds: served.eosIds,
  }
  const [stream, includeUsage] = [body.stream ?? false, body.stream_options?.include_usage ?? false]
  return { prompts, echo: prompts.map(() => ''), options, stream, includeUsage, tops }
}

const samplingOf = (body: SamplingBody, V: number) => {
  const bias = Object.entries(body.logit_bias ?? {}).map(([id, value]) => [Number(id), value] as const)
  const stray = bias.find(([id]) => id >= V)
  if (stray) throw refusal(400, `logit_bias: token id ${stray[0]} is not below ${V}`, { param: 'logit_bias' })
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? undefined,
    topK: body.top_k != null && body.top_k > 0 ? body.top_k : undefined,
    minP: body.min_p ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    logitBias: bias.length ? new Map(bias) : undefined,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? undefined),
    seed: body.seed ?? Math.floor(Math.random() * 2 ** 31),
  }
}
