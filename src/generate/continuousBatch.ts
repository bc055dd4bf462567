/**
 * The batch that a scheduler decodes: which request gets a free row, reading prompts, one token a row at each step. Between
 * two steps at most one pass reads new prompts, of a limited number of tokens; another sample of a prompt begins as a copy
 * of a row that has read it. Rows here are the rows of the key-value cache, in its order.
 */
import type { Handle } from '../runtime/backend.ts'
import { badInput } from '../util/fault.ts'
import { closeDecoder, type Decoder, drop, prefill, step } from './decode.ts'
import { cutRow, fits, forkRow, trim } from './kvCache.ts'
import type { PieceQueue } from './pieceQueue.ts'
import { sampleBatch } from './sampleBatch.ts'
import type { SampledToken } from './sampling.ts'
import { type CompletionOptions, makeSequence, type Sequence, type TextSource } from './sequence.ts'

/** Tokens of prompts that one pass reads; a longer prompt has a pass of its own. */
const prefillTokens = 1024

export type OpenRequest = {
  prompt: readonly number[]
  options: CompletionOptions
  row: number
  samples: number
  /** Tokens that a completion may have. */
  room: number
  /** Samples that have begun. */
  started: number
  pieces: PieceQueue
  /** Completed, failed or given up. */
  isOver: boolean
}
/** `last`: the token that the next step reads. */
type BatchRow = { request: OpenRequest; sequence: Sequence; last: number; ended: boolean }

export type ContinuousBatch = {
  readonly decoder: Decoder
  readonly tokenizer: TextSource | undefined
  /** Rows at most. */
  readonly size: number
  /** Requests that are not over, in order of arrival. */
  readonly open: Set<OpenRequest>
  rows: BatchRow[]
  running: Promise<void> | undefined
}

export const endRequest = ({ open }: ContinuousBatch, request: OpenRequest, failure?: { error: unknown }) => {
  request.isOver = true
  open.delete(request)
  request.pieces.close(failure)
}

export const failRequests = (batch: ContinuousBatch, error: unknown) => {
  for (const request of batch.open) endRequest(batch, request, { error })
}

/** Decodes until there is nothing to do, then gives the cache back. */
export const startDecoding = (batch: ContinuousBatch) => {
  batch.running ??= Promise.resolve()
    .then(() => decodeAll(batch))
    .catch((error) => failRequests(batch, error))
    .finally(() => {
      batch.rows = []
      closeDecoder(batch.decoder)
      batch.running = undefined
      // A reader may have taken pieces while the last step was ending
      if (assignFreeRows(batch).length) startDecoding(batch)
    })
}

const decodeAll = async (batch: ContinuousBatch) => {
  for (;;) {
    await prefillPrompts(batch, forkRows(batch, removeEnded(batch, assignFreeRows(batch))))
    // Rows that ended with their first token are filled again before the step
    if (batch.rows.some((row) => !isLive(row))) continue
    if (batch.rows.length === 0) return
    const h = step(
      batch.decoder,
      batch.rows.map(({ last }) => last),
    )
    await sampleRows(batch, h, batch.rows, [...batch.rows.keys()])
  }
}

const isLive = ({ ended, request }: BatchRow) => !ended && !request.isOver

const liveRows = ({ rows }: ContinuousBatch, request: OpenRequest) =>
  rows.filter((row) => row.request === request && isLive(row)).length

/** Which requests get the free rows, one entry a row. Ends a request that fits into no array. */
const assignFreeRows = (batch: ContinuousBatch): OpenRequest[] => {
  const { size, decoder } = batch
  const picked: OpenRequest[] = []
  const live = batch.rows.filter(isLive).map(({ request }) => request)
  if (live.length === size) return []
  const waiting = waitingOf(batch)
  let tokens = 0
  for (const { request, own } of waiting) {
    const share = waiting.length > 1 ? Math.ceil(size / 2) - own : size
    const count = Math.min(request.samples - request.started, share, size - live.length - picked.length)
    if (count <= 0) continue
    if (own === 0) tokens += request.prompt.length
    if (tokens > prefillTokens && tokens > request.prompt.length) break
    const beside = [...live, ...picked]
    const longest = Math.max(...[request, ...beside].map(({ prompt, room }) => prompt.length + room))
    if (fits(decoder.model, beside.length + count, longest)) picked.push(...Array<OpenRequest>(count).fill(request))
    else if (beside.length) break
    else if (count > 1 && fits(decoder.model, 1, longest)) picked.push(request)
    else
      endRequest(batch, request, {
        error: badInput('memory', 'prompt and completion are too long for one array; ask for less'),
      })
  }
  return picked
}

/** Requests with samples to start whose readers keep up: those with the fewest rows first, then in order of arrival. */
const waitingOf = (batch: ContinuousBatch) =>
  [...batch.open]
    .filter(({ started, samples, pieces }) => started < samples && pieces.ended() < batch.size)
    .map((request) => ({ request, own: liveRows(batch, request) }))
    .sort((a, b) => a.own - b.own)

const startRow = ({ tokenizer }: ContinuousBatch, request: OpenRequest, last: number): BatchRow => {
  const { row, prompt, options } = request
  const sequence = makeSequence(tokenizer, { row, sample: request.started++, prompt, options }, request.room)
  return { request, sequence, last, ended: false }
}

/**
 * Removes rows that ended. A row whose request was picked again is cut back to its prompt but for the last token, and reused.
 * @returns the picked requests that still need a row
 */
const removeEnded = (batch: ContinuousBatch, picked: readonly OpenRequest[]): OpenRequest[] => {
  const { rows, decoder } = batch
  const left = picked.filter((request) => {
    const at = rows.findIndex((row) => row.request === request && row.ended)
    if (at < 0) return true
    cutRow(decoder.cache, at, request.prompt.length - 1)
    rows[at] = startRow(batch, request, request.prompt.at(-1)!)
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

/** Copies rows that have read a picked request's prompt. @returns the picked requests whose prompt no row has read */
const forkRows = (batch: ContinuousBatch, picked: readonly OpenRequest[]): OpenRequest[] =>
  picked.filter((request) => {
    const from = batch.rows.findIndex((row) => row.request === request)
    if (from < 0) return true
    forkRow(batch.decoder.cache, from, request.prompt.length - 1)
    batch.rows.push(startRow(batch, request, request.prompt.at(-1)!))
    return false
  })

/** Reads new prompts, each once for all the rows it gets, and samples their first tokens. */
const prefillPrompts = async (batch: ContinuousBatch, picked: readonly OpenRequest[]) => {
  if (picked.length === 0) return
  const prompts = [...new Set(picked)].map((request) => ({
    request,
    ids: request.prompt,
    copies: picked.filter((other) => other === request).length,
  }))
  const h = prefill(batch.decoder, prompts)
  const from = prompts.flatMap(({ copies }, p) => Array<number>(copies).fill(p))
  const fresh = from.map((p) => startRow(batch, prompts[p].request, 0))
  batch.rows.push(...fresh)
  await sampleRows(batch, h, fresh, from)
}

/** The next token of each row. @param from row of `h` that each reads */
const sampleRows = async (batch: ContinuousBatch, h: Handle, rows: readonly BatchRow[], from: readonly number[]) => {
  const sequences = rows.map(({ sequence }) => sequence)
  const tokens = await sampleBatch(batch.decoder, h, sequences, from)
  for (const [i, row] of rows.entries()) {
    if (row.request.isOver) continue
    try {
      acceptToken(batch, row, tokens[i])
    } catch (error) {
      endRequest(batch, row.request, { error })
    }
  }
}

const acceptToken = (batch: ContinuousBatch, row: BatchRow, token: SampledToken | Error) => {
  if (token instanceof Error) throw token
  const { request, sequence } = row
  const piece = sequence.accept(token)
  row.last = token.id
  row.ended = piece.finishReason !== undefined
  request.pieces.put(piece)
  if (row.ended && request.started === request.samples && liveRows(batch, request) === 0) endRequest(batch, request)
}
