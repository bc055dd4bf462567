/**
 * Generates completions of a stream of prompts. Prompts are taken from their source only as rows become free, so there may
 * be any number of them.
 */
import type { Model } from '../passes/model.ts'
import type { DecoderOptions } from './decode.ts'
import { makePieceQueue } from './pieceQueue.ts'
import { defaultBatchSize, openScheduler } from './scheduler.ts'
import type { CompletionOptions, Piece, TextSource } from './sequence.ts'
import type { ShareSampling } from './sharedSampling.ts'
import { sharedScheduler } from './sharedScheduler.ts'

/** How completions are sampled, and how they are decoded. */
export type GenerateOptions = CompletionOptions &
  DecoderOptions & {
    /** Sequences decoded at once. */
    batchSize?: number
    /** Has workers decode. */
    share?: ShareSampling
  }

/** Batches that are shared out at once: each worker then gets one of four or so, and waits seldom. */
const batchesForWorkers = 4

/** Prompts as token ids. */
export type Prompts = Iterable<readonly number[]> | AsyncIterable<readonly number[]>
/** Prompts with numbers of their own, on which what is sampled depends; others are counted from 0. */
export type NumberedPrompts = AsyncIterable<{ row: number; ids: readonly number[] }>

/**
 * Completes prompts, several at a time, and gives their pieces as they are made.
 * @param model a language model
 * @param tokenizer without it pieces have no text
 * @param prompts token ids, of which there is at least one
 * @param options length, sampling, and how many are decoded at once
 * @throws Fault 'bad-row' for a prompt that is empty, too long or not of this vocabulary.
 */
export async function* generate(
  model: Model,
  tokenizer: TextSource | undefined,
  prompts: Prompts | NumberedPrompts,
  options: GenerateOptions,
): AsyncGenerator<Piece> {
  const { batchSize = defaultBatchSize, share, ...settings } = options
  const own = openScheduler(model, tokenizer, { ...settings, batchSize })
  const scheduler = share ? sharedScheduler(own, share) : own
  // Twice the batch, so that the next ones can join at once
  const most = 2 * batchSize * (share ? batchesForWorkers : 1)
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
      // Completions that nobody has taken count too
      await until(() => inFlight + shared.ended() < most)
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

/** Ids that end a completion: those of generation_config.json, else of config.json, and the tokenizer's own. */
export const endIds = (
  config: Readonly<Record<string, unknown>>,
  generationConfig: Readonly<Record<string, unknown>> | undefined,
  eosId: number | undefined,
): Set<number> => {
  const listed = [generationConfig?.eos_token_id ?? config.eos_token_id, eosId].flat()
  return new Set(listed.filter((id) => typeof id === 'number'))
}
