/**
 * Responses of the completion endpoints, whole or as server-sent events. A slow client holds back only its own events, since
 * the scheduler joins the pieces that wait for it. A client that disconnects frees its rows of the batch.
 */
import { randomUUID } from 'node:crypto'
import type { Scheduler } from '../generate/scheduler.ts'
import type { FinishReason, Piece } from '../generate/sequence.ts'
import type { Echo, GenerationRequest, ServedModel } from './generationRequest.ts'
import { chatLogprobs, completionLogprobs, logprobReader, pieceLogprobs, type TokenLogprob } from './logprobs.ts'

/** What is new of one choice, or all of it. */
type ChoiceDelta = { index: number; text: string; tokens: TokenLogprob[]; finishReason: 'stop' | 'length' | null }

/** How the chat and the completions endpoint write their responses. */
type ResponseFormat = {
  idPrefix: string
  /** The `object` of a whole response, and of a chunk of a stream. */
  object: string
  chunkObject: string
  choice(choice: ChoiceDelta, logprobs: boolean, tokensAsIds: boolean): object
  chunkChoice(delta: ChoiceDelta, logprobs: boolean, tokensAsIds: boolean): object
  /** The first chunk of each choice. */
  first?(index: number): object
}

export const chatFormat: ResponseFormat = {
  idPrefix: 'chatcmpl-',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  choice: ({ index, text, tokens, finishReason }, logprobs) => ({
    index,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs ? chatLogprobs(tokens) : null,
    finish_reason: finishReason,
  }),
  chunkChoice: ({ index, text, tokens, finishReason }, logprobs) => ({
    index,
    delta: text || !finishReason ? { content: text } : {},
    logprobs: logprobs ? chatLogprobs(tokens) : null,
    finish_reason: finishReason,
  }),
  first: (index) => ({ index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }),
}

const completionChoice: ResponseFormat['choice'] = ({ index, text, tokens, finishReason }, logprobs, tokensAsIds) => ({
  index,
  text,
  logprobs: logprobs ? completionLogprobs(tokens, tokensAsIds) : null,
  finish_reason: finishReason,
})

export const completionFormat: ResponseFormat = {
  idPrefix: 'cmpl-',
  object: 'text_completion',
  chunkObject: 'text_completion',
  choice: completionChoice,
  chunkChoice: completionChoice,
}

const finishReasons: Record<FinishReason, 'stop' | 'length'> = { eos: 'stop', stop: 'stop', length: 'length' }

type Usage = { prompt_tokens: number; completion_tokens: number; total_tokens: number }

/**
 * Generates the completions of all prompts at once. `onDelta` may hold them back by its promise. Rejects with the signal's
 * reason when the client disconnects.
 */
const generateChoices = async (
  scheduler: Scheduler,
  { tokenizer }: ServedModel,
  request: GenerationRequest,
  signal: AbortSignal,
  onDelta: (delta: ChoiceDelta) => Promise<void> | void,
): Promise<Usage> => {
  const stopped = new AbortController()
  const stop = () => stopped.abort(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  let completionTokens = 0
  const { samples } = request.options
  const generateOne = async (prompt: readonly number[], p: number) => {
    const readers = Array.from({ length: request.topLogprobs === undefined ? 0 : samples }, () =>
      logprobReader(tokenizer, prompt, request.echo?.[p].text.length ?? 0),
    )
    const deltaOf = (piece: Piece): ChoiceDelta => ({
      index: p * samples + piece.sample,
      text: piece.text,
      tokens: readers.length ? pieceLogprobs(piece, readers[piece.sample]) : [],
      finishReason: piece.finishReason ? finishReasons[piece.finishReason] : null,
    })
    const pieces = scheduler.submit({ prompt, options: request.options, signal: stopped.signal, row: p })
    for await (const piece of pieces) {
      completionTokens += piece.ids.length
      await onDelta(deltaOf(piece))
    }
  }
  try {
    await Promise.all(request.prompts.map(generateOne))
  } finally {
    // After a failure of one prompt the others stop too
    stopped.abort()
    signal.removeEventListener('abort', stop)
  }
  const promptTokens = request.prompts.reduce((sum, { length }) => sum + length, 0)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  }
}

/** What a choice begins with: the prompt, if `echo` was requested. */
const echoChoice = ({ tokenizer }: ServedModel, echo: Echo | undefined, index: number): ChoiceDelta => {
  const readLogprob = logprobReader(tokenizer, [], 0)
  return { index, text: echo?.text ?? '', tokens: echo?.tokens.map(readLogprob) ?? [], finishReason: null }
}

const commonFields = ({ name }: ServedModel, { idPrefix }: ResponseFormat) => ({
  id: idPrefix + randomUUID(),
  created: Math.floor(Date.now() / 1000),
  model: name,
})

export const wholeResponse = async (
  scheduler: Scheduler,
  served: ServedModel,
  request: GenerationRequest,
  format: ResponseFormat,
  signal: AbortSignal,
) => {
  const { samples } = request.options
  const completed = request.prompts.flatMap((_, p) =>
    Array.from({ length: samples }, (_, sample) => echoChoice(served, request.echo?.[p], p * samples + sample)),
  )
  const usage = await generateChoices(scheduler, served, request, signal, ({ index, text, tokens, finishReason }) => {
    const choice = completed[index]
    choice.text += text
    for (const token of tokens) choice.tokens.push(token)
    choice.finishReason = finishReason
  })
  const choices = completed.map((choice) =>
    format.choice(choice, request.topLogprobs !== undefined, request.tokensAsIds),
  )
  return { ...commonFields(served, format), object: format.object, choices, usage }
}

/** @param write sends the data of one server-sent event */
export const streamResponse = async (
  scheduler: Scheduler,
  served: ServedModel,
  request: GenerationRequest,
  format: ResponseFormat,
  signal: AbortSignal,
  write: (data: string) => Promise<unknown>,
) => {
  const common = { ...commonFields(served, format), object: format.chunkObject }
  const noUsage = request.includeUsage ? { usage: null } : {}
  const send = (choices: object[], more: object = noUsage) => write(JSON.stringify({ ...common, choices, ...more }))
  const { samples } = request.options
  for (let index = 0; index < request.prompts.length * samples; index++) {
    if (format.first) await send([format.first(index)])
    if (request.echo)
      await send([
        format.chunkChoice(
          echoChoice(served, request.echo[Math.floor(index / samples)], index),
          request.topLogprobs !== undefined,
          request.tokensAsIds,
        ),
      ])
  }
  const usage = await generateChoices(scheduler, served, request, signal, async (delta) => {
    if (delta.text || delta.tokens.length || delta.finishReason)
      await send([format.chunkChoice(delta, request.topLogprobs !== undefined, request.tokensAsIds)])
  })
  if (request.includeUsage) await send([], { usage })
  await write('[DONE]')
}
