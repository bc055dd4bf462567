/**
 * Continuous batching: sequences join the rows that are being decoded as others end. A completion depends on its prompt,
 * options, seed, row and sample alone, never on what is decoded beside it.
 *
 * Order: a free row goes to the request that has the fewest rows, and of equals to the one that came first. While others
 * wait, no request gets more than half of the rows.
 * Memory: pieces that a slow reader has not taken are joined; a request with `batchSize` completions that were not taken
 * starts no more. A waiting request holds its prompt only.
 */
import type { Model } from '../passes/model.ts'
import { badInput, runFailure, type Where } from '../util/fault.ts'
import { onAbort } from '../util/onAbort.ts'
import { type ContinuousBatch, endRequest, failRequests, type OpenRequest, startDecoding } from './continuousBatch.ts'
import { closeDecoder, type DecoderOptions, openDecoder } from './decode.ts'
import { makePieceQueue } from './pieceQueue.ts'
import { checkedOptions } from './sampling.ts'
import type { CompletionOptions, Piece, TextSource } from './sequence.ts'

export type GenerationRequest = {
  /** Token ids, one at least. */
  prompt: readonly number[]
  options: CompletionOptions
  /** Its rows leave the batch when it aborts; the reader gets its reason. */
  signal?: AbortSignal
  /** Which stream of random numbers; also stands in the pieces. 0 by default. */
  row?: number
}

export type Scheduler = {
  /**
   * Pieces of all samples, as they come. Ending the iteration frees the request's rows. Throws Faults at once: 'bad-row'
   * for a prompt that is empty, too long or not of this vocabulary, 'no-tokenizer' for stop strings without one.
   */
  submit(request: GenerationRequest): AsyncIterable<Piece>
  /** Ends what is under way (its readers get a Fault 'closed') and gives memory back; the model stays. */
  close(): Promise<void>
}

export const defaultBatchSize = 16

/** @param tokenizer without it pieces have no text */
export const openScheduler = (
  model: Model,
  tokenizer: TextSource | undefined,
  { batchSize = defaultBatchSize, ...options }: DecoderOptions & { batchSize?: number },
): Scheduler => {
  const decoder = openDecoder(model, options)
  const batch: ContinuousBatch = { decoder, tokenizer, size: batchSize, open: new Set(), rows: [], running: undefined }
  let closed = false
  return {
    submit(request) {
      if (closed) throw runFailure('closed', 'the scheduler is closed')
      request.signal?.throwIfAborted()
      if (request.options.stop?.length && !tokenizer)
        throw badInput('no-tokenizer', 'stop strings need a tokenizer, and the model has none', { flag: '--stop' })
      checkPrompt(model, request.prompt, { row: request.row ?? 0 })
      return submitTo(batch, { ...request, options: checkedOptions(request.options) })
    },
    async close() {
      closed = true
      failRequests(batch, runFailure('closed', 'the scheduler was closed'))
      await batch.running
      closeDecoder(decoder)
    },
  }
}

const submitTo = (batch: ContinuousBatch, { prompt, options, signal, row = 0 }: GenerationRequest) => {
  const { max_position_embeddings: context } = batch.decoder.model.config
  const pieces = makePieceQueue(() => {
    if (!request.isOver) startDecoding(batch)
  })
  const room = Math.min(options.maxNewTokens, context - prompt.length)
  const samples = options.samples ?? 1
  const request: OpenRequest = { prompt, options, row, samples, room, started: 0, pieces, isOver: false }
  const abort = () => endRequest(batch, request, { error: signal!.reason })
  const forget = signal && onAbort(signal, abort)
  if (room > 0) {
    batch.open.add(request)
    startDecoding(batch)
  } else {
    for (let sample = 0; sample < samples; sample++) pieces.put(emptyPiece(row, sample))
    endRequest(batch, request)
  }
  return reader(request, () => {
    forget?.()
    endRequest(batch, request)
  })
}

/** Not a generator, whose `return` would wait for the next piece, and do nothing before the first. */
const reader = ({ pieces }: OpenRequest, release: () => void): AsyncIterableIterator<Piece> => {
  const finished = { done: true, value: undefined } as const
  let done = false
  const finish = () => {
    done = true
    release()
    return finished
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      if (done) return finished
      try {
        const value = await pieces.take()
        return value && !done ? { done: false, value } : finish()
      } catch (error) {
        finish()
        throw error
      }
    },
    async return() {
      return finish()
    },
  }
}

const emptyPiece = (row: number, sample: number): Piece => ({
  row,
  sample,
  ids: [],
  logps: [],
  text: '',
  finishReason: 'length',
})

/** Throws the Fault 'bad-row' at the place. */
export const checkPrompt = ({ config }: Model, prompt: readonly number[], where: Where) => {
  const { vocab_size: V, max_position_embeddings: context } = config
  const bad = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= V)
  if (bad !== undefined) throw badInput('bad-row', `token id ${bad} is not below the vocabulary's ${V}`, where)
  if (prompt.length === 0) throw badInput('bad-row', 'the prompt is empty; it needs one token at least', where)
  if (prompt.length >= context)
    throw badInput('bad-row', `the prompt has ${prompt.length} tokens; the model's context is ${context}`, where)
}
