/**
 * Samples the next token of each row of a batch, and its log-probability under the model's own distribution (temperature 1,
 * nothing removed).
 *
 * As little as possible of the vocabulary's logits is copied to JavaScript. The graph finds the likeliest tokens and sums
 * the probabilities of blocks of ids. Most settings need only the likeliest tokens; sampling from the whole distribution
 * finds its block by the sums and reads that block. A whole row of logits is read only where neither decides.
 */
import type { Backend, Handle } from '../runtime/backend.ts'
import { runFailure } from '../util/fault.ts'
import { batchLogits, blockSize, topWidth } from './batchLogits.ts'
import { type Decoder, needsCompany } from './decode.ts'
import { candidatesFromTop, drawBlock, drawWithin, logitsNeeded, sum } from './partialLogits.ts'
import { candidatesOf, type DrawKey, type SampledToken, type ScoredToken, sampleToken, uniformOf } from './sampling.ts'
import type { Sequence } from './sequence.ts'

/** What the graph computed of a row of logits; fields as in `batchLogits`. */
type RowLogits = {
  first: number
  most: number
  spread: number
  blocks: Float32Array
  topIds?: Float32Array
  top?: Float32Array
  /** Reads the logits of the ids from `start` to `end`, as far as the vocabulary goes. */
  read(start: number, end: number): Promise<Float32Array>
}

/**
 * One token for each sequence, or the Fault that says why it gets none. Frees the hidden states.
 * @param given normed hidden states [R, C]
 * @param rows which row of `h` each sequence reads; sequences that read the same row have the same options
 */
export const sampleBatch = async (
  decoder: Decoder,
  given: Handle,
  sequences: readonly Sequence[],
  rows: readonly number[],
): Promise<(SampledToken | Error)[]> => {
  const { backend, config } = decoder.model
  const h = given.shape[0] === 1 && needsCompany(decoder) ? twice(backend, given) : given
  const [R] = h.shape
  const V = config.vocab_size
  const temperatures = Array<number>(R).fill(1)
  for (const [i, { options }] of sequences.entries()) temperatures[rows[i]] = options.temperature || 1
  const withTop = sequences.some(({ options }) => options.topLogprobs || logitsNeeded(options, topWidth(V)) === 'top')
  const { logits, ...outputs } = batchLogits(decoder, h, temperatures, withTop)
  const names = Object.keys(outputs)
  const values = await Promise.all(names.map((name) => backend.read(outputs[name])))
  const byRow = splitRows(Object.fromEntries(names.map((name, i) => [name, values[i]])), R, V, (start, length) =>
    backend.read(logits, start, length),
  )
  // Reads are asked for before the arrays are given back
  const sampled = Promise.all(sequences.map((sequence, i) => sampleRow(byRow[rows[i]], sequence, V)))
  backend.free([h, logits, ...Object.values(outputs)])
  return sampled
}

/** A row two times, in place of the row. */
const twice = (backend: Backend, row: Handle): Handle => {
  const [, width] = row.shape
  const both = backend.zeros([2, width])
  backend.copy([[row, both]], { from: Uint32Array.of(0, 0), to: Uint32Array.of(0, width), width })
  backend.free([row])
  return both
}

const splitRows = (
  values: Record<string, Float32Array>,
  R: number,
  V: number,
  read: (start: number, length: number) => Promise<Float32Array>,
): RowLogits[] =>
  Array.from({ length: R }, (_, r) => {
    const row = (all: Float32Array | undefined) => all?.subarray((r * all.length) / R, ((r + 1) * all.length) / R)
    const { first, most, spread, blocks, topIds, top } = values
    return {
      first: first[r],
      most: most[r],
      spread: spread[r],
      blocks: row(blocks)!,
      topIds: row(topIds),
      top: row(top),
      read: (start, end) => read(r * V + start, Math.min(end, V) - start),
    }
  })

const sampleRow = async (row: RowLogits, sequence: Sequence, V: number): Promise<SampledToken | Error> => {
  const { most, spread, topIds, top, blocks } = row
  const { options } = sequence
  if (!Number.isFinite(most) || !Number.isFinite(spread))
    return runFailure('not-finite', "the model's scores are not finite; its weights may be damaged")
  const scored = (id: number, logit: number): ScoredToken => ({ id, logp: logit - most - spread })
  const tops =
    options.topLogprobs && Array.from(topIds!.subarray(0, options.topLogprobs), (id, i) => scored(id, top![i]))
  const sampled = (id: number, logit: number): SampledToken => ({ ...scored(id, logit), ...(tops && { tops }) })
  const key = drawKey(sequence)
  const needed = logitsNeeded(options, topWidth(V))
  if (needed === 'first') return sampled(row.first, most)
  if (needed === 'blocks') {
    const { block, rest } = drawBlock(blocks, uniformOf(key))
    const start = block * blockSize
    const logits = await row.read(start, start + blockSize)
    const at = drawWithin(logits, rest, most, options.temperature)
    return sampled(start + at, logits[at])
  }
  const narrowed = needed === 'top' ? candidatesFromTop(topIds!, top!, sum(blocks), options) : undefined
  if (narrowed) {
    const id = sampleToken(narrowed, options, key)!
    return sampled(id, top![topIds!.indexOf(id)])
  }
  const logits = await row.read(0, V)
  const history = { ...sequence, eosIds: options.eosIds }
  const id = sampleToken(candidatesOf(logits, options, history), options, key)
  return id === undefined ? runFailure('no-token', 'every token is banned; ban fewer') : sampled(id, logits[id])
}

const drawKey = ({ row, sample, seen, promptLength, options: { seed } }: Sequence): DrawKey => ({
  seed,
  row,
  sample,
  position: seen.length - promptLength,
})
