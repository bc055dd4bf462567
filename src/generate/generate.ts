/**
 * Prompts in, completions out, as they come. Peculiar: a sequence's text depends on the seed, its row and its sample
 * alone, never on what else is decoded beside it; rows that end leave the batch at once.
 */

import type { Model } from '../passes/model.ts'
import { badInput } from '../util/fault.ts'
import { type Choice, choose } from './choose.ts'
import { closeDecoder, type Decoder, type DecoderOptions, drop, openDecoder, prefill, step } from './decode.ts'
import type { SamplingOptions } from './sampling.ts'
import { stopFilter } from './stopping.ts'

export type GenerateOptions = SamplingOptions &
  DecoderOptions & {
    maxNewTokens: number
    /** Completions of each prompt. */
    samples?: number
    seed: number
    /** Ids that end a completion. */
    eosIds: ReadonlySet<number>
    /** Texts that end a completion and are no part of it; they need a tokenizer. */
    stop?: readonly string[]
    /** Sequences decoded at once. */
    batchSize?: number
  }

export type FinishReason = 'eos' | 'stop' | 'length'

/** What a sequence gained: tokens, and text that they completed, often none. The last piece says why it ended. */
export type Piece = {
  /** Number of the prompt. */
  row: number
  sample: number
  /** Generated tokens, an end token included. */
  ids: number[]
  /** Of each token, by the model's own distribution (temperature 1, nothing removed), in nats. */
  logps: number[]
  text: string
  finishReason?: FinishReason
}

/** Text of tokens that come one by one; text/tokenizer.ts has it. */
export type TextSource = {
  stream(options: { skipSpecialTokens: boolean }): { push(id: number): string; flush(): string }
}

type Job = { row: number; sample: number; prompt: readonly number[] }
type Sequence = Job & { seen: number[]; position: number; accept(choice: Choice): Piece }

/**
 * @param tokenizer without it pieces have no text
 * @param prompts token ids, of which there is at least one
 * Faults: 'bad-row' for a prompt that is empty, too long or not of this vocabulary.
 */
export async function* generate(
  model: Model,
  tokenizer: TextSource | undefined,
  prompts: Iterable<readonly number[]> | AsyncIterable<readonly number[]>,
  options: GenerateOptions,
): AsyncGenerator<Piece> {
  if (options.stop?.length && !tokenizer)
    throw badInput('no-tokenizer', 'stop strings need a tokenizer, and the model has none', { flag: '--stop' })
  const decoder = openDecoder(model, options)
  try {
    for await (const batch of batches(model, prompts, options))
      yield* decodeBatch(
        decoder,
        batch.map((job) => sequence(model, tokenizer, job, options)),
        options,
      )
  } finally {
    closeDecoder(decoder)
  }
}

/** Sequences to decode together, samples of one prompt side by side. */
async function* batches(
  model: Model,
  prompts: Iterable<readonly number[]> | AsyncIterable<readonly number[]>,
  { samples = 1, batchSize = 16 }: GenerateOptions,
): AsyncGenerator<Job[]> {
  let batch: Job[] = []
  let row = 0
  for await (const prompt of prompts) {
    checkPrompt(model, prompt, row)
    for (let sample = 0; sample < samples; sample++) {
      if (batch.push({ row, sample, prompt }) < batchSize) continue
      yield batch
      batch = []
    }
    row++
  }
  if (batch.length) yield batch
}

const checkPrompt = ({ config }: Model, prompt: readonly number[], row: number) => {
  const { vocab_size: V, max_position_embeddings: context } = config
  const bad = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= V)
  if (bad !== undefined) throw badInput('bad-row', `token id ${bad} is not below the vocabulary's ${V}`, { row })
  if (prompt.length === 0) throw badInput('bad-row', 'the prompt is empty; it needs one token at least', { row })
  if (prompt.length >= context)
    throw badInput('bad-row', `the prompt has ${prompt.length} tokens; the model's context is ${context}`, { row })
}

/** Tokens of prompts that are read in one pass. */
const prefillTokens = 4096

async function* decodeBatch(
  decoder: Decoder,
  sequences: readonly Sequence[],
  options: GenerateOptions,
): AsyncGenerator<Piece> {
  if (options.maxNewTokens === 0) return yield* sequences.map(emptyPiece)
  const active: { sequence: Sequence; last: number }[] = []
  for (const prompts of prefillGroups(sequences)) {
    const h = prefill(
      decoder,
      prompts.map(({ ids, members }) => ({ ids, copies: members.length })),
    )
    const members = prompts.flatMap((prompt) => prompt.members)
    const from = prompts.flatMap((prompt, p) => prompt.members.map(() => p))
    const choices = await choose(decoder, h, members, from, options)
    active.push(...members.map((sequence) => ({ sequence, last: 0 })))
    yield* accept(decoder, active, choices, active.length - members.length)
  }
  while (active.length) {
    const h = step(
      decoder,
      active.map(({ last }) => last),
    )
    const asking = active.map(({ sequence }) => sequence)
    const choices = await choose(decoder, h, asking, [...asking.keys()], options)
    yield* accept(decoder, active, choices, 0)
  }
}

const emptyPiece = ({ row, sample }: Job): Piece => ({
  row,
  sample,
  ids: [],
  logps: [],
  text: '',
  finishReason: 'length',
})

/** Samples of one prompt share its pass; passes hold a bounded number of tokens. */
const prefillGroups = (sequences: readonly Sequence[]) => {
  const groups: { ids: readonly number[]; members: Sequence[] }[][] = []
  let tokens = Number.POSITIVE_INFINITY
  let row: number | undefined
  for (const sequence of sequences) {
    if (sequence.row === row) {
      groups.at(-1)!.at(-1)!.members.push(sequence)
      continue
    }
    row = sequence.row
    tokens += sequence.prompt.length
    if (tokens > prefillTokens) {
      groups.push([])
      tokens = sequence.prompt.length
    }
    groups.at(-1)!.push({ ids: sequence.prompt, members: [sequence] })
  }
  return groups
}

/** Gives the choices to the sequences from number `start` on, and takes those that ended out of the batch. */
const accept = (
  decoder: Decoder,
  active: { sequence: Sequence; last: number }[],
  choices: readonly Choice[],
  start: number,
): Piece[] => {
  const pieces = choices.map((choice, i) => {
    active[start + i].last = choice.id
    return active[start + i].sequence.accept(choice)
  })
  for (let row = active.length - 1; row >= start; row--) {
    if (pieces[row - start].finishReason === undefined) continue
    drop(decoder, row)
    active[row] = active.at(-1)!
    active.pop()
  }
  return pieces
}

/** A sequence under way: its tokens, its text, and when it ends. */
const sequence = (model: Model, tokenizer: TextSource | undefined, job: Job, options: GenerateOptions): Sequence => {
  const text = shownText(tokenizer, job.prompt, options.stop ?? [])
  const room = Math.min(options.maxNewTokens, model.config.max_position_embeddings - job.prompt.length)
  const made: Sequence = {
    ...job,
    seen: [...job.prompt],
    position: 0,
    accept({ id, logp }) {
      made.seen.push(id)
      made.position++
      const piece = { row: job.row, sample: job.sample, ids: [id], logps: [logp] }
      if (options.eosIds.has(id)) return { ...piece, text: text.rest(), finishReason: 'eos' }
      const shown = text.push(id)
      if (shown.stopped) return { ...piece, text: shown.text, finishReason: 'stop' }
      if (made.position < room) return { ...piece, text: shown.text }
      return { ...piece, text: shown.text + text.rest(), finishReason: 'length' }
    },
  }
  return made
}

/** Text of a sequence's tokens up to a stop string; `rest` is what was still held back. */
const shownText = (tokenizer: TextSource | undefined, prompt: readonly number[], stop: readonly string[]) => {
  const stream = tokenizer?.stream({ skipSpecialTokens: true })
  // Some decoders drop the space before the first word, which a completion's first word is not
  for (const id of prompt.slice(-64)) stream?.push(id)
  const stops = stopFilter(stop)
  return {
    push: (id: number) => stops.push(stream?.push(id) ?? ''),
    rest() {
      const { text, stopped } = stops.push(stream?.flush() ?? '')
      return stopped ? text : text + stops.flush()
    },
  }
}

export type Completion = Piece & { finishReason: FinishReason }

/** Pieces joined to whole completions, each as soon as it has ended. */
export async function* completions(pieces: AsyncIterable<Piece>): AsyncGenerator<Completion> {
  const open = new Map<string, Piece>()
  for await (const { row, sample, ids, logps, text, finishReason } of pieces) {
    const key = `${row} ${sample}`
    const whole = open.get(key) ?? { row, sample, ids: [], logps: [], text: '' }
    open.set(key, whole)
    whole.ids.push(...ids)
    whole.logps.push(...logps)
    whole.text += text
    if (finishReason === undefined) continue
    open.delete(key)
    yield { ...whole, finishReason }
  }
}

/** Ids that end a completion: those of generation_config.json, else of config.json, and the tokenizer's own. */
export const endIds = (
  config: Readonly<Record<string, unknown>>,
  generationConfig: Readonly<Record<string, unknown>> | undefined,
  eosId: number | undefined,
): Set<number> => {
  const listed = [generationConfig?.eos_token_id ?? config.eos_token_id, eosId].flat()
  return new Set(listed.filter((id) => typeof id === 'number'))
}
