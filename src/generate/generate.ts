/**
 * Generates completions of a stream of prompts. Prompts are taken from their source only as rows become free, so there may
 * be any number of them.
 */
import type { Model } from '../passes/model.ts'
import type { DecoderOptions } from './decode.ts'
import { makePieceQueue } from './pieceQueue.ts'
import { defaultBatchSize, openScheduler } from './scheduler.ts'
import type { CompletionOptions, FinishReason, Piece, TextSource } from './sequence.ts'

export type GenerateOptions = CompletionOptions &
  DecoderOptions & {
    /** Sequences decoded at once. */
    batchSize?: number
  }

export type Prompts = Iterable<readonly number[]> | AsyncIterable<readonly number[]>
/** Prompts with numbers of their own, on which what is sampled depends; others are counted from 0. */
export type NumberedPrompts = AsyncIterable<{ row: number; ids: readonly number[] }>

/**
 * @param tokenizer without it pieces have no text
 * @param prompts token ids, of which there is at least one
 * Faults: 'bad-row' for a prompt that is empty, too long or not of this vocabulary.
 */
export async function* generate(
  model: Model,
  tokenizer: TextSource | undefined,
  prompts: Prompts | NumberedPrompts,
  options: GenerateOptions,
): AsyncGenerator<Piece> {
  const { batchSize = defaultBatchSize } = options
  const scheduler = openScheduler(model, tokenizer, { ...options, batchSize })
  let inFlight = 0
  let stopped = false
  let wake = () => {}
  const shared = makePieceQueue(() => wake())
  const until = async (ready: () => boolean) => {
    while (!stopped && !ready())
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }
  const relay = async (pieces: AsyncIterable<Piece>) => {
    for await (const piece of pieces) shared.put(piece)
    inFlight--
    wake()
  }
  const fail = (error: unknown) => shared.close({ error })
  const feed = async () => {
    let count = 0
    for await (const each of prompts) {
      // Twice the batch, so that the next ones can join at once; completions that nobody has taken count too
      await until(() => inFlight + shared.ended() < 2 * batchSize)
      if (stopped) return
      inFlight++
      const { row, ids } = 'ids' in each ? each : { row: count, ids: each }
      count++
      relay(scheduler.submit({ prompt: ids, options, row })).catch(fail)
    }
    await until(() => inFlight === 0)
    shared.close()
  }
  feed().catch(fail)
  try {
    for (let piece = await shared.take(); piece; piece = await shared.take()) yield piece
  } finally {
    stopped = true
    wake()
    await scheduler.close()
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
