/**
 * Beam search as transformers defines it: of all continuations of the beams, those with the largest summed log-probability
 * go on; finished ones are ranked by that sum over length^lengthPenalty. It is deterministic: temperature, top-k, top-p and
 * the like are ignored. Completions of a prompt come when its search has ended.
 */
import type { Model } from '../passes/model.ts'
import type { Handle } from '../runtime/backend.ts'
import { batchLogits, topWidth } from './batchLogits.ts'
import type { Completion } from './completions.ts'
import { closeDecoder, type Decoder, type DecoderOptions, drop, openDecoder, prefill, step } from './decode.ts'
import type { Prompts } from './generate.ts'
import { reorderRows } from './kvCache.ts'
import { hasLogitsProcessors, processLogits } from './sampling.ts'
import { checkPrompt } from './scheduler.ts'
import { type CompletionOptions, makeSequence, type TextSource } from './sequence.ts'

export type BeamOptions = Omit<CompletionOptions, 'stop' | 'seed'> &
  DecoderOptions & {
    /** Beams; the best `samples` of them are returned. */
    numBeams: number
    /** Above 0 favours long completions, below 0 short ones. */
    lengthPenalty: number
    /**
     * true ends with the first `numBeams` completions; false when the best beam, at its length, is no better than the
     * worst completion; 'never' when it could not become better at any length.
     */
    earlyStopping: boolean | 'never'
  }

type Beam = { ids: number[]; logps: number[]; score: number }
type Continuation = { parent: number; id: number; logp: number; score: number }

/** Completions of each prompt, best first. @param tokenizer without it they have no text. Faults as `generate`. */
export async function* beamSearch(
  model: Model,
  tokenizer: TextSource | undefined,
  prompts: Prompts,
  options: BeamOptions,
): AsyncGenerator<Completion> {
  let row = 0
  for await (const prompt of prompts) {
    checkPrompt(model, prompt, { row })
    const room = Math.min(options.maxNewTokens, model.config.max_position_embeddings - prompt.length)
    const found = room > 0 ? await searchPrompt(model, prompt, room, options) : [{ ids: [], logps: [], score: 0 }]
    for (const [sample, { ids, logps }] of found.slice(0, options.samples ?? 1).entries()) {
      const sequence = makeSequence(tokenizer, { row, sample, prompt, options: { ...options, seed: 0 } }, room)
      const pieces = ids.map((id, t) => sequence.accept({ id, logp: logps[t] }))
      const text = pieces.map((piece) => piece.text).join('')
      yield { row, sample, ids, logps, text, finishReason: pieces.at(-1)?.finishReason ?? 'length' }
    }
    row++
  }
}

const searchPrompt = async (model: Model, prompt: readonly number[], room: number, options: BeamOptions) => {
  const decoder = openDecoder(model, options)
  try {
    return await search(decoder, prompt, room, options)
  } finally {
    closeDecoder(decoder)
  }
}

const search = async (decoder: Decoder, prompt: readonly number[], room: number, options: BeamOptions) => {
  const { numBeams, lengthPenalty, earlyStopping, eosIds } = options
  let running: Beam[] = [{ ids: [], logps: [], score: 0 }]
  let finished: Beam[] = []
  let h = prefill(decoder, [{ ids: prompt, copies: numBeams }])
  for (let length = 1; ; length++) {
    const next = await continuations(decoder, h, prompt, running, options)
    const beams = running
    const grown = ({ parent, id, logp, score }: Continuation): Beam => ({
      ids: [...beams[parent].ids, id],
      logps: [...beams[parent].logps, logp],
      score,
    })
    const ends = ({ id }: Continuation) => length === room || eosIds.has(id)
    // Only what is among the best may end
    const ended = next.slice(0, numBeams).filter(ends).map(grown)
    for (const beam of ended) finished.push({ ...beam, score: beam.score / length ** lengthPenalty })
    finished = finished.sort((a, b) => b.score - a.score).slice(0, numBeams)
    const going = next.filter((each) => !ends(each)).slice(0, numBeams)
    running = going.map(grown)
    if (!running.length) return finished
    const full = finished.length === numBeams
    const best = running[0].score / (earlyStopping === 'never' && lengthPenalty > 0 ? room : length) ** lengthPenalty
    if (full && (earlyStopping === true || best <= finished[numBeams - 1].score)) return finished
    reorderBeams(decoder, length === 1 ? [] : going.map(({ parent }) => parent), running.length)
    h = step(
      decoder,
      running.map(({ ids }) => ids[length - 1]),
    )
  }
}

/** Makes each row of the cache that of its beam's parent. */
const reorderBeams = (decoder: Decoder, parents: readonly number[], count: number) => {
  const { cache } = decoder
  reorderRows(cache, parents)
  while (cache.lengths.length > count) drop(decoder, cache.lengths.length - 1)
}

/** The best continuations of all beams: so many that enough are left if all end tokens are among them. Frees `h`. */
const continuations = async (
  decoder: Decoder,
  h: Handle,
  prompt: readonly number[],
  beams: readonly Beam[],
  options: BeamOptions,
): Promise<Continuation[]> => {
  const { backend, config } = decoder.model
  const V = config.vocab_size
  const count = Math.max(2, 1 + options.eosIds.size) * options.numBeams
  const whole = hasLogitsProcessors(options) || count > topWidth(V)
  const { logits, ...made } = batchLogits(decoder, h, Array<number>(h.shape[0]).fill(1), !whole)
  const read = (name: string) => (made[name] ? backend.read(made[name]) : new Float32Array())
  const values = Promise.all([whole ? backend.read(logits) : read('top'), read('topIds'), read('most'), read('spread')])
  backend.free([h, logits, ...Object.values(made)])
  const [scores, ids, most, spread] = await values
  const width = whole ? V : topWidth(V)
  const all = beams.flatMap(({ ids: own, score }, parent) => {
    const logps = scores.subarray(parent * width, (parent + 1) * width).map((l) => l - most[parent] - spread[parent])
    const history = { seen: [...prompt, ...own], promptLength: prompt.length, eosIds: options.eosIds }
    const ranked = whole ? processLogits(logps, options, history) : logps
    const order = whole ? largestIndices(ranked, count) : Array.from(ranked.keys())
    return order.map((i) => ({
      parent,
      id: whole ? i : ids[parent * width + i],
      logp: logps[i],
      score: score + ranked[i],
    }))
  })
  return all
    .filter(({ score }) => score > Number.NEGATIVE_INFINITY)
    .sort((a, b) => b.score - a.score)
    .slice(0, count)
}

const largestIndices = (values: Float32Array | Float64Array, count: number): number[] =>
  Array.from(values.keys())
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count)
