/**
 * From the hidden states of a batch to each row's next token and its log-probability under the model's own
 * distribution, whatever sampling makes of it. Peculiar: of a whole vocabulary as little as possible crosses to
 * JavaScript. The graph finds the likeliest tokens and sums the probabilities of blocks of ids; most cuts need no more
 * than the former, and a free draw finds its block by the latter. Only what they cannot settle reads its row.
 */
import type { Handle } from '../runtime/backend.ts'
import { runFailure } from '../util/fault.ts'
import { batchLogits, blockSize, topWidth } from './batchLogits.ts'
import type { Decoder } from './decode.ts'
import { candidatesFromTop, drawBlock, drawWithin, logitsNeeded, sum } from './partialLogits.ts'
import { candidates, chosen, uniformOf } from './sampling.ts'
import type { Sequence } from './sequence.ts'

export type ScoredToken = { id: number; logp: number }
/** `tops`: the likeliest tokens by the model's own distribution, likeliest first, where they are asked for. */
export type SampledToken = ScoredToken & { tops?: ScoredToken[] }

/** What is known of a row of logits; `part` reads a stretch of it. */
type Known = {
  first: number
  most: number
  spread: number
  blocks: Float32Array
  topIds?: Float32Array
  top?: Float32Array
  part(start: number, end: number): Promise<Float32Array>
}

/**
 * One token for each that asks, or why there is none. Frees `h`.
 * @param h [R, C] normed   @param from row of `h` that each reads; those that read one row have the same options
 */
export const sampleBatch = async (
  decoder: Decoder,
  h: Handle,
  asking: readonly Sequence[],
  from: readonly number[],
): Promise<(SampledToken | Error)[]> => {
  const { backend, config } = decoder.model
  const V = config.vocab_size
  const temperatures = Array<number>(h.shape[0]).fill(1)
  for (const [i, { options }] of asking.entries()) temperatures[from[i]] = options.temperature || 1
  const withTop = asking.some(({ options }) => options.topLogprobs || logitsNeeded(options, topWidth(V)) === 'top')
  const { logits, ...made } = batchLogits(decoder, h, temperatures, withTop)
  const names = Object.keys(made)
  const values = await Promise.all(names.map((name) => backend.read(made[name])))
  const part = (start: number, length: number) => backend.read(logits, start, length)
  const rows = knownRows(Object.fromEntries(names.map((name, i) => [name, values[i]])), h.shape[0], V, part)
  // Reads are asked for before the arrays are given back
  const choices = Promise.all(asking.map((each, i) => chooseOne(rows[from[i]], each, V)))
  backend.free([h, logits, ...Object.values(made)])
  return choices
}

const knownRows = (
  read: Record<string, Float32Array>,
  R: number,
  V: number,
  part: (start: number, length: number) => Promise<Float32Array>,
): Known[] =>
  Array.from({ length: R }, (_, r) => {
    const row = (values: Float32Array | undefined) =>
      values?.subarray((r * values.length) / R, ((r + 1) * values.length) / R)
    const { first, most, spread, blocks, topIds, top } = read
    return {
      first: first[r],
      most: most[r],
      spread: spread[r],
      blocks: row(blocks)!,
      topIds: row(topIds),
      top: row(top),
      part: (start, end) => part(r * V + start, Math.min(end, V) - start),
    }
  })

const chooseOne = async (known: Known, asking: Sequence, V: number): Promise<SampledToken | Error> => {
  const { most, spread, topIds, top, blocks, part } = known
  const { options } = asking
  if (!Number.isFinite(most) || !Number.isFinite(spread))
    return runFailure('not-finite', "the model's scores are not finite; its weights may be damaged")
  const scored = (id: number, logit: number): ScoredToken => ({ id, logp: logit - most - spread })
  const told =
    options.topLogprobs && Array.from(topIds!.subarray(0, options.topLogprobs), (id, i) => scored(id, top![i]))
  const made = (id: number, logit: number): SampledToken => ({ ...scored(id, logit), ...(told && { tops: told }) })
  const draw = drawOf(asking)
  const need = logitsNeeded(options, topWidth(V))
  if (need === 'first') return made(known.first, most)
  if (need === 'blocks') {
    const { block, rest } = drawBlock(blocks, uniformOf(draw))
    const start = block * blockSize
    const within = await part(start, start + blockSize)
    const at = drawWithin(within, rest, most, options.temperature)
    return made(start + at, within[at])
  }
  const narrowed = need === 'top' ? candidatesFromTop(topIds!, top!, sum(blocks), options) : undefined
  if (narrowed) {
    const id = chosen(narrowed, options, draw)!
    return made(id, top![topIds!.indexOf(id)])
  }
  const row = await part(0, V)
  const id = chosen(candidates(row, options, { ...asking, eosIds: options.eosIds }), options, draw)
  return id === undefined ? runFailure('no-token', 'every token is banned; ban fewer') : made(id, row[id])
}

const drawOf = ({ row, sample, seen, promptLength, options: { seed } }: Sequence) => ({
  seed,
  row,
  sample,
  position: seen.length - promptLength,
})
