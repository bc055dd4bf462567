/** A local model that answers texts and conversations: completions by continuous batching, and probabilities of options. */
import { type Encoder, encodePrompt, turnsFor } from '../../data/examples.ts'
import type { Message } from '../../data/messages.ts'
import type { Spent } from '../../endpoint/client.ts'
import { completions } from '../../generate/completions.ts'
import { endIds, generate } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { checkPrompt } from '../../generate/scheduler.ts'
import type { ShareSampling } from '../../generate/sharedSampling.ts'
import type { Model } from '../../passes/model.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { inOrder, makeGate } from '../../util/inOrder.ts'
import { optionLogps, type TokenizedQuestion } from './optionLogps.ts'
import type {
  CompletionSettings,
  OptionLogps,
  OptionQuestion,
  OptionSettings,
  TextCompletion,
  TextFailure,
  TextModel,
  TextPrompt,
} from './textModel.ts'

export type LocalModel = {
  name: string
  model: Model
  tokenizer: Tokenizer
  generationConfig?: Readonly<Record<string, unknown>>
  /** Sequences decoded at once; 16 by default. */
  batchSize?: number
  /** Has workers decode. */
  share?: ShareSampling
}

/** Prompts that may be in work or wait for one before them. */
const maxUnfinished = 2048

/** A model that is open already, such as the policy of a training run. Closing it closes nothing; it has no identity. */
export const localTextModel = (local: LocalModel): TextModel => {
  const spent: Spent = { asked: 0, cached: 0, retries: 0, promptTokens: 0, completionTokens: 0, uncounted: 0 }
  return {
    name: local.name,
    chat: local.tokenizer.chat !== undefined,
    remote: false,
    spent,
    identity: async () => local.name,
    files: async () => [],
    complete: (prompts, settings) => complete(local, prompts, settings, spent),
    options: (questions, settings) => options(local, questions, settings ?? {}, spent),
    close: async () => {},
  }
}

async function* complete(
  { model, tokenizer, generationConfig, batchSize = 16, share }: LocalModel,
  prompts: Iterable<TextPrompt> | AsyncIterable<TextPrompt>,
  { from = 0, samples = 1, seed = 0, signal, responseFormat, ...sampling }: CompletionSettings,
  spent: Spent,
): AsyncGenerator<TextCompletion | TextFailure> {
  if (responseFormat)
    throw badInput('bad-flag', 'a local model cannot be held to a JSON schema; leave it out, or take a server')
  const eosIds = endIds(model.config.raw, generationConfig, tokenizer.eosId)
  const packed = worthPacking(model, sampling.maxNewTokens)
  /** Of prompts that cannot be begun; each joins the others with the next completion. */
  const failures: TextFailure[] = []
  const gate = makeGate(prompts, maxUnfinished)
  const encoded = async function* () {
    let row = 0
    for await (const prompt of gate.items) {
      const ids = failureOr(() => {
        const ids = encodeText(tokenizer, prompt)
        checkPrompt(model, ids, {})
        return ids
      })
      if ('code' in ids) {
        for (let sample = 0; sample < samples; sample++) failures.push({ row, sample, failure: ids })
        gate.leave()
      } else {
        spent.promptTokens += ids.length
        yield { row: from + row, ids }
      }
      row++
    }
  }
  const options = { ...sampling, samples, seed, batchSize, eosIds, packed, share }
  const ended = async function* (): AsyncGenerator<TextCompletion | TextFailure> {
    for await (const { row, sample, ids, text, finishReason } of completions(
      generate(model, tokenizer, encoded(), options),
    )) {
      spent.asked++
      spent.completionTokens += ids.length
      yield* failures.splice(0)
      yield { row: row - from, sample, text, finishReason, cached: false }
    }
    yield* failures
  }
  try {
    for await (const result of inOrder(ended(), ({ row, sample }) => row * samples + sample, gate.close)) {
      signal?.throwIfAborted()
      yield result
      if (!('failure' in result) && result.sample === samples - 1) gate.leave()
    }
  } finally {
    gate.close()
  }
}

async function* options(
  { model, tokenizer }: LocalModel,
  questions: Iterable<OptionQuestion> | AsyncIterable<OptionQuestion>,
  { signal }: OptionSettings,
  spent: Spent,
): AsyncGenerator<OptionLogps | TextFailure> {
  const tokenized = async function* () {
    for await (const question of questions) {
      signal?.throwIfAborted()
      const made = failureOr(() => tokenizeQuestion(model, tokenizer, question))
      if (!('code' in made)) {
        spent.asked += made.prompts.length
        for (const { ids } of made.prompts) spent.promptTokens += ids.length
      }
      yield made
    }
  }
  let row = 0
  for await (const result of optionLogps(model, tokenized())) {
    if ('code' in result) yield { row, sample: 0, failure: result }
    else yield { row, ...result }
    row++
  }
}

/** The result of `work`, or what its Fault says of this prompt. */
const failureOr = <T>(work: () => T): T | TextFailure['failure'] => {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { code: error.code === 'bad-row' ? 'prompt-too-long' : error.code, message: error.message }
  }
}

/**
 * Token ids of a prompt. Control tokens that stand in messages are read as plain text, so that no message can end its turn. A
 * model without a chat template reads the messages as one text.
 */
export const encodeText = (tokenizer: Tokenizer, prompt: TextPrompt): number[] => {
  if (typeof prompt === 'string') return encodePrompt(tokenizer, prompt)
  return tokenizer.chat
    ? encodeChat(tokenizer.chat, prompt, true)
    : encodePrompt(tokenizer, prompt.map((message) => `${message.content}\n\n`).join(''))
}

const encodeChat = (
  chat: NonNullable<Tokenizer['chat']>,
  messages: readonly Message[],
  addGenerationPrompt: boolean,
): number[] => {
  const turns = turnsFor(chat as NonNullable<Encoder['chat']>, [...messages])
  return chat.encode(turns, { addGenerationPrompt, sanitize: true }).ids
}

/** The prompt with an option after it: the reply of a conversation, or more of its last turn where that is the assistant's. */
const withOption = (tokenizer: Tokenizer, prompt: TextPrompt, option: string): number[] => {
  if (typeof prompt === 'string') return encodePrompt(tokenizer, prompt + option)
  const last = prompt.at(-1)
  const [before, begun] = last?.role === 'assistant' ? [prompt.slice(0, -1), `${last.content}`] : [prompt, '']
  const said: Message = { role: 'assistant', content: begun + option }
  if (tokenizer.chat) return encodeChat(tokenizer.chat, [...before, said], false)
  return encodePrompt(tokenizer, `${before.map(({ content }) => `${content}\n\n`).join('')}${said.content}`)
}

/** Everything that the options share is prompt; each option is its first token after that. */
const tokenizeQuestion = (
  model: Model,
  tokenizer: Tokenizer,
  { prompts, options }: OptionQuestion,
): TokenizedQuestion => ({
  prompts: prompts.map((prompt) => {
    const wholes = options.map((option) => withOption(tokenizer, prompt, option))
    const at = wholes[0].findIndex((id, i) => wholes.some((whole) => whole[i] !== id))
    const labels = wholes.map((whole) => whole[at])
    if (at < 1 || labels.includes(undefined as never) || new Set(labels).size < labels.length)
      throw badInput('bad-options', `the options ${options.join(', ')} do not begin with different tokens`)
    const ids = wholes[0].slice(0, at)
    checkPrompt(model, ids, {})
    return { ids, labels }
  }),
})
