/**
 * Continuous batching: requests join the rows that are being decoded as others leave. Peculiar: a sequence's text depends
 * on its seed, row and sample alone, never on what is decoded beside it.
 *
 * Order: a free row goes to the request that has the fewest, of equals to the one that came first; while others wait none
 * gets more than half of the rows.
 * Memory: a reader that lags behind finds its pieces joined; after `batchSize` completions that it has not taken a request
 * starts no more. What a request holds while it waits is its prompt.
 */
import type { Model } from '../passes/model.ts'
import { badInput, runFailure, type Where } from '../util/fault.ts'
import { type Batch, end, failAll, type Request, run } from './batch.ts'
import { closeDecoder, type DecoderOptions, openDecoder } from './decode.ts'
import { makePieceQueue } from './pieceQueue.ts'
import { settled } from './sampling.ts'
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
  const batch: Batch = { decoder, tokenizer, size: batchSize, open: new Set(), rows: [], running: undefined }
  let closed = false
  return {
    submit(asked) {
      if (closed) throw runFailure('closed', 'the scheduler is closed')
      asked.signal?.throwIfAborted()
      if (asked.options.stop?.length && !tokenizer)
        throw badInput('no-tokenizer', 'stop strings need a tokenizer, and the model has none', { flag: '--stop' })
      checkPrompt(model, asked.prompt, { row: asked.row ?? 0 })
      return submitTo(batch, { ...asked, options: settled(asked.options) })
    },
    async close() {
      closed = true
      failAll(batch, runFailure('closed', 'the scheduler was closed'))
      await batch.running
      closeDecoder(decoder)
    },
  }
}

const submitTo = (batch: Batch, { prompt, options, signal, row = 0 }: GenerationRequest) => {
  const { max_position_embeddings: context } = batch.decoder.model.config
  const mailbox = makePieceQueue(() => {
    if (!request.over) run(batch)
  })
  const room = Math.min(options.maxNewTokens, context - prompt.length)
  const samples = options.samples ?? 1
  const request: Request = { prompt, options, row, samples, room, started: 0, mailbox, over: false }
  const aborted = () => end(batch, request, { error: signal!.reason })
  signal?.addEventListener('abort', aborted, { once: true })
  if (room > 0) {
    batch.open.add(request)
    run(batch)
  } else {
    for (let sample = 0; sample < samples; sample++) mailbox.put(emptyPiece(row, sample))
    end(batch, request)
  }
  return reader(request, () => {
    signal?.removeEventListener('abort', aborted)
    end(batch, request)
  })
}

/** Not a generator, whose `return` would wait for the next piece, and do nothing before the first. */
const reader = ({ mailbox }: Request, release: () => void): AsyncIterableIterator<Piece> => {
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
        const value = await mailbox.take()
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
