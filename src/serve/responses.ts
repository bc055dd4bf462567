/**
 * A job done, whole or as a stream of events. Peculiar: a reader who is slow holds back only what is written to him; the
 * scheduler joins what waits, and whoever hangs up frees his rows.
 */
import { randomUUID } from 'node:crypto'
import type { Scheduler } from '../generate/scheduler.ts'
import type { FinishReason, Piece } from '../generate/sequence.ts'
import type { Echo, GenerationRequest, ServedModel } from './generationRequest.ts'
import { chatLogprobs, completionLogprobs, logprobReader, pieceLogprobs, type TokenLogprob } from './logprobs.ts'

/** What one completion gained. */
type ChoiceDelta = { index: number; text: string; tokens: TokenLogprob[]; finish: 'stop' | 'length' | null }

type ResponseFormat = {
  prefix: string
  object: string
  chunk: string
  whole(gain: ChoiceDelta, logprobs: boolean): object
  part(gain: ChoiceDelta, logprobs: boolean): object
  /** What each choice's stream begins with. */
  first?(index: number): object
}

export const chatFormat: ResponseFormat = {
  prefix: 'chatcmpl-',
  object: 'chat.completion',
  chunk: 'chat.completion.chunk',
  whole: ({ index, text, tokens, finish }, logprobs) => ({
    index,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs ? chatLogprobs(tokens) : null,
    finish_reason: finish,
  }),
  part: ({ index, text, tokens, finish }, logprobs) => ({
    index,
    delta: text || !finish ? { content: text } : {},
    logprobs: logprobs ? chatLogprobs(tokens) : null,
    finish_reason: finish,
  }),
  first: (index) => ({ index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }),
}

const completionChoice: ResponseFormat['whole'] = ({ index, text, tokens, finish }, logprobs) => ({
  index,
  text,
  logprobs: logprobs ? completionLogprobs(tokens) : null,
  finish_reason: finish,
})

export const completionFormat: ResponseFormat = {
  prefix: 'cmpl-',
  object: 'text_completion',
  chunk: 'text_completion',
  whole: completionChoice,
  part: completionChoice,
}

const finishes: Record<FinishReason, 'stop' | 'length'> = { eos: 'stop', stop: 'stop', length: 'length' }

type Usage = { prompt_tokens: number; completion_tokens: number; total_tokens: number }

/** All prompts at once; `onGain` may hold them back. Rejects with the signal's reason where the client has left. */
const generateChoices = async (
  scheduler: Scheduler,
  { tokenizer }: ServedModel,
  job: GenerationRequest,
  signal: AbortSignal,
  onGain: (gain: ChoiceDelta) => Promise<void> | void,
): Promise<Usage> => {
  const ended = new AbortController()
  const stop = () => ended.abort(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  let completionTokens = 0
  const { samples } = job.options
  const one = async (prompt: readonly number[], p: number) => {
    const readers = Array.from({ length: job.tops === undefined ? 0 : samples }, () =>
      logprobReader(tokenizer, prompt, job.echo?.[p].text.length ?? 0),
    )
    const gain = (piece: Piece): ChoiceDelta => ({
      index: p * samples + piece.sample,
      text: piece.text,
      tokens: readers.length ? pieceLogprobs(piece, readers[piece.sample]) : [],
      finish: piece.finishReason ? finishes[piece.finishReason] : null,
    })
    const pieces = scheduler.submit({ prompt, options: job.options, signal: ended.signal, row: p })
    for await (const piece of pieces) {
      completionTokens += piece.ids.length
      await onGain(gain(piece))
    }
  }
  try {
    await Promise.all(job.prompts.map(one))
  } finally {
    // One that failed takes the others with it
    ended.abort()
    signal.removeEventListener('abort', stop)
  }
  const promptTokens = job.prompts.reduce((sum, { length }) => sum + length, 0)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  }
}

/** What a choice begins with. */
const echoChoice = ({ tokenizer }: ServedModel, echo: Echo | undefined, index: number): ChoiceDelta => {
  const read = logprobReader(tokenizer, [], 0)
  return { index, text: echo?.text ?? '', tokens: echo?.tokens.map(read) ?? [], finish: null }
}

const commonFields = ({ name }: ServedModel, { prefix }: ResponseFormat) => ({
  id: prefix + randomUUID(),
  created: Math.floor(Date.now() / 1000),
  model: name,
})

export const wholeResponse = async (
  scheduler: Scheduler,
  served: ServedModel,
  job: GenerationRequest,
  dialect: ResponseFormat,
  signal: AbortSignal,
) => {
  const { samples } = job.options
  const gains = job.prompts.flatMap((_, p) =>
    Array.from({ length: samples }, (_, sample) => echoChoice(served, job.echo?.[p], p * samples + sample)),
  )
  const usage = await generateChoices(scheduler, served, job, signal, ({ index, text, tokens, finish }) => {
    const whole = gains[index]
    whole.text += text
    for (const token of tokens) whole.tokens.push(token)
    whole.finish = finish
  })
  const choices = gains.map((gain) => dialect.whole(gain, job.tops !== undefined))
  return { ...commonFields(served, dialect), object: dialect.object, choices, usage }
}

/** @param write takes the data of one event */
export const streamResponse = async (
  scheduler: Scheduler,
  served: ServedModel,
  job: GenerationRequest,
  dialect: ResponseFormat,
  signal: AbortSignal,
  write: (data: string) => Promise<unknown>,
) => {
  const about = { ...commonFields(served, dialect), object: dialect.chunk }
  const counts = job.includeUsage ? { usage: null } : {}
  const send = (choices: object[], more: object = counts) => write(JSON.stringify({ ...about, choices, ...more }))
  const { samples } = job.options
  for (let index = 0; index < job.prompts.length * samples; index++) {
    if (dialect.first) await send([dialect.first(index)])
    if (job.echo)
      await send([
        dialect.part(echoChoice(served, job.echo[Math.floor(index / samples)], index), job.tops !== undefined),
      ])
  }
  const usage = await generateChoices(scheduler, served, job, signal, async (gain) => {
    if (gain.text || gain.tokens.length || gain.finish) await send([dialect.part(gain, job.tops !== undefined)])
  })
  if (job.includeUsage) await send([], { usage })
  await write('[DONE]')
}
