/** A model behind an OpenAI-compatible server that answers texts and conversations, and tells probabilities of options. */
import type { Message } from '../../data/messages.ts'
import type { Endpoint, TokenLogp } from '../../endpoint/client.ts'
import {
  type RemoteCompletion,
  type RemoteFailure,
  type RemotePrompt,
  type RemoteSettings,
  remoteResults,
} from '../../endpoint/completions.ts'
import { goOn } from '../../endpoint/open.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { inOrder, makeGate } from '../../util/inOrder.ts'
import { normalize } from './optionLogps.ts'
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

export const remoteTextModel = (endpoint: Endpoint): TextModel => ({
  name: endpoint.name,
  chat: true,
  remote: true,
  spent: endpoint.spent,
  identity: async () => endpoint.name,
  files: async () => [],
  complete: (prompts, settings) => complete(endpoint, prompts, settings),
  options: (questions, settings) => options(endpoint, questions, settings ?? {}),
  close: async () => {},
})

/** Prompts that may be asked or wait for one before them. */
const maxUnfinished = 2048

/**
 * Whether a Fault is of its own prompt: the server refused it or answered with something useless, or it failed while others
 * were served. A server that serves nobody, a wrong key and a full disk end everything.
 */
const isOfOnePrompt = ({ code }: Fault, { served }: { served: boolean }): boolean =>
  code === 'bad-answer' || code === 'endpoint-refused' || (code === 'endpoint' && served)

/** In the order of prompts and samples. */
async function* results(
  endpoint: Endpoint,
  prompts: Iterable<RemotePrompt> | AsyncIterable<RemotePrompt>,
  settings: RemoteSettings,
): AsyncGenerator<RemoteCompletion | RemoteFailure> {
  const { samples = 1 } = settings
  const gate = makeGate(prompts, Math.max(maxUnfinished, 4 * endpoint.concurrency))
  try {
    const ended = remoteResults(endpoint, gate.items, { ...settings, onEnding: gate.close }, isOfOnePrompt)
    for await (const result of inOrder(ended, ({ row, sample }) => row * samples + sample, gate.close)) {
      yield result
      if (result.sample === samples - 1) gate.leave()
    }
  } catch (error) {
    throw error instanceof Fault ? new Fault(error.code, withoutRow(error), {}, error.exitCode) : error
  } finally {
    gate.close()
  }
}

/** Requests are no rows of the user's, so their numbers are not told. */
const withoutRow = ({ message, where: { row } }: Fault): string => message.replace(`row ${row}: `, '')

const failureOf = ({ row, sample, failure }: RemoteFailure): TextFailure => ({
  row,
  sample,
  failure: { code: failure.code, message: withoutRow(failure).replace(goOn, '') },
})

async function* remotePrompts(prompts: Iterable<TextPrompt> | AsyncIterable<TextPrompt>): AsyncGenerator<RemotePrompt> {
  for await (const prompt of prompts) yield remotePrompt(prompt)
}

const remotePrompt = (prompt: TextPrompt): RemotePrompt =>
  typeof prompt === 'string' ? { prompt } : { messages: prompt as readonly Message[] }

async function* complete(
  endpoint: Endpoint,
  prompts: Iterable<TextPrompt> | AsyncIterable<TextPrompt>,
  { from: _, ...settings }: CompletionSettings,
): AsyncGenerator<TextCompletion | TextFailure> {
  for await (const result of results(endpoint, remotePrompts(prompts), settings)) {
    if ('failure' in result) yield failureOf(result)
    else {
      const { row, sample, text, finishReason, cached } = result
      yield { row, sample, text, finishReason, cached }
    }
  }
}

// Options

/** The most that hosted servers tell. */
const topLogprobs = 20
/** An option may come after an opening bracket or a space. */
const maxNewTokens = 4

async function* options(
  endpoint: Endpoint,
  questions: Iterable<OptionQuestion> | AsyncIterable<OptionQuestion>,
  { signal }: OptionSettings,
): AsyncGenerator<OptionLogps | TextFailure> {
  /** Questions whose prompts are not all answered yet. */
  const open: { question: OptionQuestion; results: (RemoteCompletion | RemoteFailure)[] }[] = []
  const prompts = async function* () {
    for await (const question of questions) {
      open.push({ question, results: [] })
      for (const prompt of question.prompts) yield remotePrompt(prompt)
    }
  }
  const settings = { maxNewTokens, temperature: 0, topLogprobs, signal }
  let row = 0
  for await (const result of results(endpoint, prompts(), settings)) {
    const [{ question, results }] = open
    results.push(result)
    if (results.length < question.prompts.length) continue
    open.shift()
    yield readOptions(endpoint.name, question, results, row++)
  }
}

const readOptions = (
  name: string,
  { options }: OptionQuestion,
  results: readonly (RemoteCompletion | RemoteFailure)[],
  row: number,
): OptionLogps | TextFailure => {
  const logps: number[][] = []
  const mass: number[] = []
  for (const result of results) {
    if ('failure' in result) return { ...failureOf(result), row, sample: 0 }
    if (!result.tops?.length)
      throw badInput(
        'no-logprobs',
        `${name} tells no log-probabilities (top_logprobs); judge with generated text instead`,
      )
    const raw = optionsIn(result.tops, options)
    if (!raw)
      return {
        row,
        sample: 0,
        failure: { code: 'no-option', message: 'none of the options is among the likeliest tokens' },
      }
    const normalized = normalize(raw)
    logps.push(normalized.logps)
    mass.push(normalized.mass)
  }
  return { row, logps, mass }
}

/** Letters and digits of a token: 'A' of '(A', ' A' and 'A)'. */
const core = (token: string) => token.replace(/[^\p{L}\p{N}]/gu, '')

/**
 * Log-probabilities of the options at the first place where one of them is likely; only brackets, quotes and spaces may come
 * before it. Spellings of an option ('A', ' A') add up.
 */
const optionsIn = (places: readonly (readonly TokenLogp[])[], options: readonly string[]): number[] | undefined => {
  for (const tops of places) {
    const found = options.map((option) => tops.filter(({ token }) => core(token) === core(option)))
    if (found.some((each) => each.length)) {
      const least = tops.at(-1)!.logp
      return found.map((each) =>
        each.length ? Math.log(each.reduce((sum, { logp }) => sum + Math.exp(logp), 0)) : least,
      )
    }
    if (core(tops[0]?.token ?? 'x')) return undefined
  }
  return undefined
}
