/**
 * Continuous batching: requests join the rows that are being decoded as others leave. Peculiar: between two steps of all
 * rows stands at most one pass over new prompts, of a bounded number of tokens; a further sample of a prompt begins as a
 * copy of a row that has read it. A sequence's text depends on its seed, row and sample alone, never on what is decoded
 * beside it.
 *
 * Order: a free row goes to the request that has the fewest, of equals to the one that came first; while others wait none
 * gets more than half of the rows.
 * Memory: a reader that lags behind finds its pieces joined; after `batchSize` completions that it has not taken a request
 * starts no more. What a request holds while it waits is its prompt.
 */
import type { Model } from '../passes/model.ts'
import { badInput, runFailure } from '../util/fault.ts'
import { cutRow, fits, forkRow, trim } from './cache.ts'
import { choose } from './choose.ts'
import { closeDecoder, type DecoderOptions, drop, openDecoder, prefill, step } from './decode.ts'
import { type Mailbox, makeMailbox } from './mailbox.ts'
import { type CompletionOptions, makeSequence, type Piece, type Sequence, type TextSource } from './sequence.ts'

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

/** Tokens of prompts that are read in one pass; a longer prompt is read alone. */
const prefillTokens = 1024

type Request = Required<Pick<GenerationRequest, 'prompt' | 'options' | 'row'>> & {
  samples: number
  /** Tokens that a completion may have. */
  room: number
  started: number
  mailbox: Mailbox
  /** Nothing more is to be done for it. */
  over: boolean
}
/** A row of the cache. */
type Active = { request: Request; sequence: Sequence; last: number; ended: boolean }

/** @param tokenizer without it pieces have no text */
export const openScheduler = (
  model: Model,
  tokenizer: TextSource | undefined,
  { batchSize = defaultBatchSize, ...options }: DecoderOptions & { batchSize?: number },
): Scheduler => {
  const decoder = openDecoder(model, options)
  const { cache } = decoder
  const open = new Set<Request>()
  let rows: Active[] = []
  let running: Promise<void> | undefined
  let closed = false

  const end = (request: Request, failure?: { error: unknown }) => {
    request.over = true
    open.delete(request)
    request.mailbox.close(failure)
  }
  const failAll = (error: unknown) => {
    for (const request of open) end(request, { error })
  }
  const isLive = ({ ended, request }: Active) => !ended && !request.over
  const rowsOf = (request: Request) => rows.filter((row) => row.request === request && isLive(row)).length
  const begin = (request: Request, last: number): Active => {
    const { row, prompt, options } = request
    const sequence = makeSequence(tokenizer, { row, sample: request.started++, prompt, options }, request.room)
    return { request, sequence, last, ended: false }
  }

  /** Which requests get the free rows, one entry a row. */
  const picks = (): Request[] => {
    const chosen: Request[] = []
    const live = rows.filter(isLive)
    let tokens = 0
    const waits = [...open]
      .filter(({ started, samples, mailbox }) => started < samples && mailbox.ended() < batchSize)
      .map((request) => ({ request, own: rowsOf(request) }))
      .sort((a, b) => a.own - b.own)
    for (const { request, own } of waits) {
      const share = waits.length > 1 ? Math.ceil(batchSize / 2) - own : batchSize
      const count = Math.min(request.samples - request.started, share, batchSize - live.length - chosen.length)
      if (count <= 0) continue
      if (own === 0) tokens += request.prompt.length
      if (tokens > prefillTokens && tokens > request.prompt.length) break
      const others = [...live.map((row) => row.request), ...chosen]
      const longest = Math.max(...[request, ...others].map(({ prompt, room }) => prompt.length + room))
      if (!fits(model, others.length + count, longest)) {
        if (others.length) break
        end(request, { error: badInput('memory', 'the prompt and its completions are too much at once; ask for less') })
        continue
      }
      for (let i = 0; i < count; i++) chosen.push(request)
    }
    return chosen
  }

  /** Takes out rows that ended; those whose prompt is asked for again begin anew, one token before its end. */
  const sweep = (picked: Request[]): Request[] => {
    const left: Request[] = []
    for (const request of picked) {
      const at = rows.findIndex((row) => row.request === request && row.ended)
      if (at < 0) {
        left.push(request)
        continue
      }
      cutRow(cache, at, request.prompt.length - 1)
      rows[at] = begin(request, request.prompt.at(-1)!)
    }
    for (let at = rows.length - 1; at >= 0; at--) {
      if (isLive(rows[at])) continue
      drop(decoder, at)
      rows[at] = rows.at(-1)!
      rows.pop()
    }
    if (rows.length) trim(cache)
    return left
  }

  /** @returns those whose prompt no row has read */
  const fork = (picked: Request[]): Request[] =>
    picked.filter((request) => {
      const from = rows.findIndex((row) => row.request === request)
      if (from < 0) return true
      forkRow(cache, from, request.prompt.length - 1)
      rows.push(begin(request, request.prompt.at(-1)!))
      return false
    })

  const accept = async (h: Parameters<typeof choose>[1], active: readonly Active[], from: readonly number[]) => {
    const asking = active.map(({ sequence }) => sequence)
    const choices = await choose(decoder, h, asking, from)
    for (const [i, row] of active.entries()) {
      if (row.request.over) continue
      try {
        take(row, choices[i])
      } catch (error) {
        end(row.request, { error })
      }
    }
  }
  const take = (row: Active, choice: Awaited<ReturnType<typeof choose>>[number]) => {
    const { request, sequence } = row
    if (choice instanceof Error) throw choice
    const piece = sequence.accept(choice)
    row.last = choice.id
    row.ended = piece.finishReason !== undefined
    request.mailbox.put(piece)
    if (row.ended && request.started === request.samples && rowsOf(request) === 0) end(request)
  }

  /** Reads new prompts, each once for as many rows as it gets. */
  const read = async (picked: readonly Request[]) => {
    if (picked.length === 0) return
    const prompts = [...new Set(picked)]
    const copies = prompts.map((request) => picked.filter((other) => other === request).length)
    const h = prefill(
      decoder,
      prompts.map(({ prompt }, p) => ({ ids: prompt, copies: copies[p] })),
    )
    const from = prompts.flatMap((_, p) => Array<number>(copies[p]).fill(p))
    const fresh = from.map((p) => begin(prompts[p], 0))
    rows.push(...fresh)
    await accept(h, fresh, from)
  }

  const loop = async () => {
    for (;;) {
      await read(fork(sweep(picks())))
      // What ended with its first token leaves before the step, and what it leaves is filled again
      if (rows.some((row) => !isLive(row))) continue
      if (rows.length === 0) return
      const h = step(
        decoder,
        rows.map(({ last }) => last),
      )
      await accept(h, rows, [...rows.keys()])
    }
  }
  const kick = () => {
    running ??= Promise.resolve()
      .then(loop)
      .catch(failAll)
      .finally(() => {
        rows = []
        closeDecoder(decoder)
        running = undefined
        // A reader may have made room while the loop was ending
        if (picks().length) kick()
      })
  }

  const submit = ({ prompt, options, signal, row = 0 }: GenerationRequest) => {
    if (closed) throw runFailure('closed', 'the scheduler is closed')
    signal?.throwIfAborted()
    if (options.stop?.length && !tokenizer)
      throw badInput('no-tokenizer', 'stop strings need a tokenizer, and the model has none', { flag: '--stop' })
    checkPrompt(model, prompt, row)
    const samples = options.samples ?? 1
    const room = Math.min(options.maxNewTokens, model.config.max_position_embeddings - prompt.length)
    const mailbox = makeMailbox(() => {
      if (!request.over) kick()
    })
    const request: Request = { prompt, options, row, samples, room, started: 0, mailbox, over: false }
    const aborted = () => end(request, { error: signal!.reason })
    signal?.addEventListener('abort', aborted, { once: true })
    if (room > 0) {
      open.add(request)
      kick()
    } else {
      for (let sample = 0; sample < samples; sample++) mailbox.put(emptyPiece(row, sample))
      end(request)
    }
    return reader(request, () => {
      signal?.removeEventListener('abort', aborted)
      end(request)
    })
  }

  return {
    submit,
    async close() {
      closed = true
      failAll(runFailure('closed', 'the scheduler was closed'))
      await running
      closeDecoder(decoder)
    },
  }
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

/** Throws the Fault 'bad-row'. */
export const checkPrompt = ({ config }: Model, prompt: readonly number[], row: number) => {
  const { vocab_size: V, max_position_embeddings: context } = config
  const bad = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= V)
  if (bad !== undefined) throw badInput('bad-row', `token id ${bad} is not below the vocabulary's ${V}`, { row })
  if (prompt.length === 0) throw badInput('bad-row', 'the prompt is empty; it needs one token at least', { row })
  if (prompt.length >= context)
    throw badInput('bad-row', `the prompt has ${prompt.length} tokens; the model's context is ${context}`, { row })
}
