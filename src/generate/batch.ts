/**
 * The rows that a scheduler decodes, and who gets them. Peculiar: between two steps of all rows stands at most one pass
 * over new prompts, of a bounded number of tokens; a further sample of a prompt begins as a copy of a row that has read
 * it. Rows here are the rows of the decoder's cache, in its order.
 */
import type { Handle } from '../runtime/backend.ts'
import { badInput } from '../util/fault.ts'
import { cutRow, fits, forkRow, trim } from './cache.ts'
import { closeDecoder, type Decoder, drop, prefill, step } from './decode.ts'
import type { PieceQueue } from './pieceQueue.ts'
import { type SampledToken, sampleBatch } from './sampleBatch.ts'
import { type CompletionOptions, makeSequence, type Sequence, type TextSource } from './sequence.ts'

/** Tokens of prompts that are read in one pass; a longer prompt is read alone. */
const prefillTokens = 1024

export type Request = {
  prompt: readonly number[]
  options: CompletionOptions
  row: number
  samples: number
  /** Tokens that a completion may have. */
  room: number
  started: number
  mailbox: PieceQueue
  /** Nothing more is to be done for it. */
  over: boolean
}
type Active = { request: Request; sequence: Sequence; last: number; ended: boolean }

export type Batch = {
  readonly decoder: Decoder
  readonly tokenizer: TextSource | undefined
  /** Rows at most. */
  readonly size: number
  /** Requests that are not over, as they came. */
  readonly open: Set<Request>
  rows: Active[]
  running: Promise<void> | undefined
}

export const end = ({ open }: Batch, request: Request, failure?: { error: unknown }) => {
  request.over = true
  open.delete(request)
  request.mailbox.close(failure)
}

export const failAll = (batch: Batch, error: unknown) => {
  for (const request of batch.open) end(batch, request, { error })
}

/** Decodes until there is nothing to do, then gives the cache back. */
export const run = (batch: Batch) => {
  batch.running ??= Promise.resolve()
    .then(() => decodeAll(batch))
    .catch((error) => failAll(batch, error))
    .finally(() => {
      batch.rows = []
      closeDecoder(batch.decoder)
      batch.running = undefined
      // A reader may have made room while the last step was ending
      if (picks(batch).length) run(batch)
    })
}

const decodeAll = async (batch: Batch) => {
  for (;;) {
    await read(batch, fork(batch, sweep(batch, picks(batch))))
    // What ended with its first token leaves before the step, and what it leaves is filled again
    if (batch.rows.some((row) => !isLive(row))) continue
    if (batch.rows.length === 0) return
    const h = step(
      batch.decoder,
      batch.rows.map(({ last }) => last),
    )
    await accept(batch, h, batch.rows, [...batch.rows.keys()])
  }
}

const isLive = ({ ended, request }: Active) => !ended && !request.over

const liveRows = ({ rows }: Batch, request: Request) =>
  rows.filter((row) => row.request === request && isLive(row)).length

/** Which requests get the free rows, one entry a row. */
const picks = (batch: Batch): Request[] => {
  const { size, decoder } = batch
  const chosen: Request[] = []
  const live = batch.rows.filter(isLive).map(({ request }) => request)
  if (live.length === size) return []
  const waiting = waitingOf(batch)
  let tokens = 0
  for (const { request, own } of waiting) {
    const share = waiting.length > 1 ? Math.ceil(size / 2) - own : size
    const count = Math.min(request.samples - request.started, share, size - live.length - chosen.length)
    if (count <= 0) continue
    if (own === 0) tokens += request.prompt.length
    if (tokens > prefillTokens && tokens > request.prompt.length) break
    const beside = [...live, ...chosen]
    const longest = Math.max(...[request, ...beside].map(({ prompt, room }) => prompt.length + room))
    if (fits(decoder.model, beside.length + count, longest)) chosen.push(...Array<Request>(count).fill(request))
    else if (beside.length) break
    else if (count > 1 && fits(decoder.model, 1, longest)) chosen.push(request)
    else
      end(batch, request, {
        error: badInput('memory', 'prompt and completion are too long for one array; ask for less'),
      })
  }
  return chosen
}

/** Those with samples to start whose reader keeps up: the ones with the fewest rows first, then as they came. */
const waitingOf = (batch: Batch) =>
  [...batch.open]
    .filter(({ started, samples, mailbox }) => started < samples && mailbox.ended() < batch.size)
    .map((request) => ({ request, own: liveRows(batch, request) }))
    .sort((a, b) => a.own - b.own)

const begin = ({ tokenizer }: Batch, request: Request, last: number): Active => {
  const { row, prompt, options } = request
  const sequence = makeSequence(tokenizer, { row, sample: request.started++, prompt, options }, request.room)
  return { request, sequence, last, ended: false }
}

/**
 * Takes out rows that ended; those whose prompt is asked for again begin anew, one token before its end.
 * @returns those picked that got no row
 */
const sweep = (batch: Batch, picked: readonly Request[]): Request[] => {
  const { rows, decoder } = batch
  const left = picked.filter((request) => {
    const at = rows.findIndex((row) => row.request === request && row.ended)
    if (at < 0) return true
    cutRow(decoder.cache, at, request.prompt.length - 1)
    rows[at] = begin(batch, request, request.prompt.at(-1)!)
    return false
  })
  for (let at = rows.length - 1; at >= 0; at--) {
    if (isLive(rows[at])) continue
    drop(decoder, at)
    rows[at] = rows.at(-1)!
    rows.pop()
  }
  if (rows.length) trim(decoder.cache)
  return left
}

/** @returns those whose prompt no row has read */
const fork = (batch: Batch, picked: readonly Request[]): Request[] =>
  picked.filter((request) => {
    const from = batch.rows.findIndex((row) => row.request === request)
    if (from < 0) return true
    forkRow(batch.decoder.cache, from, request.prompt.length - 1)
    batch.rows.push(begin(batch, request, request.prompt.at(-1)!))
    return false
  })

/** Reads new prompts, each once for as many rows as it gets. */
const read = async (batch: Batch, picked: readonly Request[]) => {
  if (picked.length === 0) return
  const prompts = [...new Set(picked)].map((request) => ({
    request,
    ids: request.prompt,
    copies: picked.filter((other) => other === request).length,
  }))
  const h = prefill(batch.decoder, prompts)
  const from = prompts.flatMap(({ copies }, p) => Array<number>(copies).fill(p))
  const fresh = from.map((p) => begin(batch, prompts[p].request, 0))
  batch.rows.push(...fresh)
  await accept(batch, h, fresh, from)
}

const accept = async (batch: Batch, h: Handle, rows: readonly Active[], from: readonly number[]) => {
  const asking = rows.map(({ sequence }) => sequence)
  const choices = await sampleBatch(batch.decoder, h, asking, from)
  for (const [i, row] of rows.entries()) {
    if (row.request.over) continue
    try {
      take(batch, row, choices[i])
    } catch (error) {
      end(batch, row.request, { error })
    }
  }
}

const take = (batch: Batch, row: Active, choice: SampledToken | Error) => {
  if (choice instanceof Error) throw choice
  const { request, sequence } = row
  const piece = sequence.accept(choice)
  row.last = choice.id
  row.ended = piece.finishReason !== undefined
  request.mailbox.put(piece)
  if (row.ended && request.started === request.samples && liveRows(batch, request) === 0) end(batch, request)
}
