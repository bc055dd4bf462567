/**
 * The batch that a scheduler decodes: it gives free rows to requests, reads their prompts, and generates one token of each
 * row at each step.
 *
 * Between two steps new prompts are read, up to a number of tokens. A prompt is read once: a further sample of it begins as a
 * copy of a row that has read it, and with what the model made of its end. The batch's rows are those of the key-value cache, in its order.
 *
 * What a row comes to is the same to the last bit whatever is decoded beside it.
 */
import type { Handle } from '../runtime/backend.ts'
import { badInput } from '../util/fault.ts'
import { closeDecoder, type Decoder, drop, prefill, prefillGroups, step } from './decode.ts'
import { cutRow, fits, forkRow, keepsAll, trim } from './kvCache.ts'
import type { PieceQueue } from './pieceQueue.ts'
import { sampleBatch } from './sampleBatch.ts'
import type { SampledToken } from './sampling.ts'
import { type CompletionOptions, makeSequence, type Sequence, type TextSource } from './sequence.ts'

/** Most tokens of prompts that one pass reads; a longer prompt has a pass of its own. */
const prefillTokens = 1024

export type OpenRequest = {
  prompt: readonly number[]
  options: CompletionOptions
  /** Index of the prompt, for its random numbers and its pieces; not a row of the batch. */
  row: number
  samples: number
  /** Most tokens of a completion: `maxNewTokens`, or what the prompt leaves of the context. */
  room: number
  /** How many samples have begun. */
  started: number
  /** [C] the normed hidden state at the end of the prompt, while there are samples to begin. */
  promptEnd?: Float32Array
  pieces: PieceQueue
  /** Completed, failed or given up. */
  isOver: boolean
}
/** A sample that is generated, in one row of the batch. `last`: the token that the next step reads. */
type BatchRow = { request: OpenRequest; sequence: Sequence; last: number; ended: boolean }

export type ContinuousBatch = {
  readonly decoder: Decoder
  readonly tokenizer: TextSource | undefined
  /** Most rows. */
  readonly size: number
  /** Requests that are not over, in order of arrival. */
  readonly open: Set<OpenRequest>
  rows: BatchRow[]
  /** Settles when there is nothing left to decode; undefined while nothing is decoded. */
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

/** Starts decoding, if it does not run yet. It ends when there is nothing to do, and then frees the cache. */
export const startDecoding = (batch: ContinuousBatch) => {
  batch.running ??= Promise.resolve()
    .then(() => decodeAll(batch))
    .catch((error) => failRequests(batch, error))
    .finally(() => {
      batch.rows = []
      closeDecoder(batch.decoder)
      batch.running = undefined
      // A reader that was too slow may have taken pieces meanwhile, so that its request may start samples again
      if (assignFreeRows(batch).length) startDecoding(batch)
    })
}

const decodeAll = async (batch: ContinuousBatch) => {
  for (;;) {
    const copies: BatchRow[] = []
    const unread = forkRows(batch, removeEnded(batch, assignFreeRows(batch), copies), copies)
    await sampleFirst(batch, copies)
    await prefillPrompts(batch, unread)
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

const countLiveRows = ({ rows }: ContinuousBatch, request: OpenRequest) =>
  rows.filter((row) => row.request === request && isLive(row)).length

/**
 * Which requests get the free rows: one entry for each row, so a request with several samples may stand there several times.
 * A request that does not fit into the cache even alone is ended with a Fault.
 */
const assignFreeRows = (batch: ContinuousBatch): OpenRequest[] => {
  const { size, decoder } = batch
  const live = batch.rows.filter(isLive).map(({ request }) => request)
  if (live.length === size) return []
  const picked: OpenRequest[] = []
  const waiting = waitingRequests(batch)
  // While others wait, no request gets more than half of the rows
  const maxRows = waiting.length > 1 ? Math.ceil(size / 2) : size
  let promptTokens = 0
  for (const { request, liveRows } of waiting) {
    const inUse = [...live, ...picked]
    const count = Math.min(request.samples - request.started, maxRows - liveRows, size - inUse.length)
    if (count <= 0) continue
    // A prompt that a live row has read is copied, not read again
    if (liveRows === 0) promptTokens += request.prompt.length
    const isOnlyPrompt = promptTokens <= request.prompt.length
    if (promptTokens > prefillTokens && !isOnlyPrompt) break
    const longest = Math.max(...[request, ...inUse].map(({ prompt, room }) => prompt.length + room))
    if (fits(decoder.model, inUse.length + count, longest)) picked.push(...Array<OpenRequest>(count).fill(request))
    else if (inUse.length > 0) break
    else if (fits(decoder.model, 1, longest)) picked.push(request)
    else
      endRequest(batch, request, {
        error: badInput('memory', 'prompt and completion are too long for one array; ask for less'),
      })
  }
  return picked
}

/** Requests with samples to start whose readers keep up: those with the fewest rows first, then in order of arrival. */
const waitingRequests = (batch: ContinuousBatch) =>
  [...batch.open]
    .filter(({ started, samples, pieces }) => started < samples && pieces.ended() < batch.size)
    .map((request) => ({ request, liveRows: countLiveRows(batch, request) }))
    .sort((a, b) => a.liveRows - b.liveRows)

/** A row whose first token is sampled next. */
const startRow = ({ tokenizer }: ContinuousBatch, request: OpenRequest): BatchRow => {
  const { row, prompt, options } = request
  const sequence = makeSequence(tokenizer, { row, sample: request.started++, prompt, options }, request.room)
  return { request, sequence, last: 0, ended: false }
}

/**
 * Removes rows that ended. Where the request of such a row was picked again, the row is reused: its cache is cut back to the
 * prompt.
 * @param copies gets the rows whose first tokens are to be sampled   @returns the picked requests that still need a row
 */
const removeEnded = (batch: ContinuousBatch, picked: readonly OpenRequest[], copies: BatchRow[]): OpenRequest[] => {
  const { rows, decoder } = batch
  const left = picked.filter((request) => {
    const at = rows.findIndex((row) => row.request === request && row.ended)
    if (at < 0 || !request.promptEnd) return true
    cutRow(decoder.cache, at, request.prompt.length)
    rows[at] = startRow(batch, request)
    copies.push(rows[at])
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

/**
 * Starts samples as copies of rows that have read the same prompt.
 * @param copies gets the rows whose first tokens are to be sampled   @returns the picked requests whose prompt no row has read
 */
const forkRows = (batch: ContinuousBatch, picked: readonly OpenRequest[], copies: BatchRow[]): OpenRequest[] =>
  picked.filter((request) => {
    const from = batch.rows.findIndex((row) => row.request === request)
    if (from < 0 || !request.promptEnd) return true
    forkRow(batch.decoder.cache, from, request.prompt.length)
    const row = startRow(batch, request)
    batch.rows.push(row)
    copies.push(row)
    return false
  })

/** Samples the first tokens of rows that are copies of what has read their prompts. */
const sampleFirst = async (batch: ContinuousBatch, copies: readonly BatchRow[]) => {
  if (copies.length === 0) return
  const { backend } = batch.decoder.model
  const requests = [...new Set(copies.map(({ request }) => request))]
  const ends = requests.map(({ promptEnd }) => promptEnd!)
  const width = ends[0].length
  const h = new Float32Array(requests.length * width)
  for (const [i, end] of ends.entries()) h.set(end, i * width)
  for (const request of requests) if (request.started === request.samples) request.promptEnd = undefined
  await sampleRows(
    batch,
    backend.put(h, [requests.length, width]),
    copies,
    copies.map(({ request }) => requests.indexOf(request)),
  )
}

/** Reads new prompts, each once for all the rows that its request gets, and samples the first token of each row. */
const prefillPrompts = async (batch: ContinuousBatch, picked: readonly OpenRequest[]) => {
  if (picked.length === 0) return
  const prompts = [...new Set(picked)].map((request) => ({
    request,
    ids: request.prompt,
    copies: picked.filter((other) => other === request).length,
  }))
  for (const together of prefillGroups(prompts)) {
    const h = prefill(batch.decoder, together)
    const promptOfRow = together.flatMap(({ copies }, p) => Array<number>(copies).fill(p))
    const newRows = promptOfRow.map((p) => startRow(batch, together[p].request))
    batch.rows.push(...newRows)
    await keepEnds(
      batch,
      h,
      together.map(({ request }) => request),
    )
    await sampleRows(batch, h, newRows, promptOfRow)
  }
}

/** Keeps the ends of the prompts of which further samples will begin. @param h [prompts, C] */
const keepEnds = async ({ decoder: { model } }: ContinuousBatch, h: Handle, requests: readonly OpenRequest[]) => {
  // Layers without attention have read on, and cannot be cut back
  if (!keepsAll(model)) return
  const [, width] = h.shape
  for (const [p, request] of requests.entries())
    if (request.started < request.samples) request.promptEnd = await model.backend.read(h, p * width, width)
}

/**
 * Samples the next token of each row.
 * @param h  [N, C] hidden states   @param index  [rows] which of them each row's token is sampled from
 */
const sampleRows = async (batch: ContinuousBatch, h: Handle, rows: readonly BatchRow[], index: readonly number[]) => {
  const sequences = rows.map(({ sequence }) => sequence)
  const tokens = await sampleBatch(batch.decoder, h, sequences, index)
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
  if (row.ended && request.started === request.samples && countLiveRows(batch, request) === 0)
    endRequest(batch, request)
}
