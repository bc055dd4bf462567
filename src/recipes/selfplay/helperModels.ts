/**
 * The helper models of aSFT: a column of the data, a local model or a server. A model completes each row once, before the first
 * training, into `helpers/` of the run's folder, so that a local one is out of memory while the policy trains. Models with
 * different tokenizers exchange text alone.
 */

import { join } from 'node:path'
import { filesOf } from '../../checkpoint/folder.node.ts'
import { encodePrompt } from '../../data/examples.ts'
import { type Completion, isIds, isMessages, type Text } from '../../data/rows.ts'
import type { Endpoint } from '../../endpoint/client.ts'
import { type RemotePrompt, remoteCompletions } from '../../endpoint/completions.ts'
import { isUrl, openEndpoint, splitUrl } from '../../endpoint/open.node.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { shareModel } from '../../generate/sharedModel.node.ts'
import { openTokenization, readBy, type Tokenization } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { openModel } from '../../passes/open.node.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import type { Resources } from '../../util/resources.ts'
import { type FileHash, sha256Files } from '../../util/sha256.node.ts'
import type { Sharing } from '../../util/sharing.ts'
import { requireKnownIds } from '../trainer/dataset.ts'
import {
  completeRows,
  type ExternalCompletion,
  openCompletions,
  type RowCompletion,
  type SelfPlayRows,
} from './completions.ts'

export type HelperSettings = {
  helper: readonly string[]
  helperRanks?: readonly number[]
  maxNewTokens: number
  temperature: number
  topP: number
  seed: number
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  threads?: number
}

export type HelperModel = {
  rank: number
  /** Its completion of a row, or why there is none. */
  completion(rows: SelfPlayRows, i: number, row: Completion): Promise<ExternalCompletion | string>
  /** Throws a Fault where it cannot read the row's prompt. */
  requirePrompt?(row: Completion): void
}

export type HelperModels = {
  list: readonly HelperModel[]
  /** Weights that the completions depend on. */
  files: FileHash[]
  /** Makes the completions that are not there yet. After an abort some are missing, and it returns false. */
  prepare(sets: readonly SelfPlayRows[], signal: AbortSignal): AsyncGenerator<ProgressEvent, boolean>
}

/** Of SPIN. */
export const noHelperModels: HelperModels = {
  list: [],
  files: [],
  // biome-ignore lint/correctness/useYield: there is nothing to prepare
  async *prepare() {
    return true
  },
}

type HelperContext = {
  own: Resources['own']
  tokenization: Tokenization
  runDir: string
  /** Workers that may complete for a local helper model. */
  sharing?: Sharing
}

const columnOf = (spec: string) => /^column:(.+)$/s.exec(spec)?.[1]

/** The columns of the data that hold completions of helper models. */
export const helperColumns = (specs: readonly string[]): string[] => specs.flatMap((spec) => columnOf(spec) ?? [])

/** The rank of each helper model: as given, or 2, 3, ... in their order. */
const ranksOf = ({ helper, helperRanks }: HelperSettings): readonly number[] => {
  const ranks = helperRanks ?? helper.map((_, i) => i + 2)
  if (ranks.length === helper.length) return ranks
  throw badInput('bad-flag', `gives ${ranks.length} ranks to ${helper.length} helpers`, { flag: '--helper-ranks' })
}

/** Checks that the helper models can complete the rows, without asking any of them. */
export const openHelperModels = async (settings: HelperSettings, context: HelperContext): Promise<HelperModels> => {
  const ranks = ranksOf(settings)
  const opened = await Promise.all(
    settings.helper.map(async (spec, k): Promise<OpenedHelper> => {
      const column = columnOf(spec)
      return column === undefined
        ? openGenerating(spec, k, ranks[k], settings, context)
        : { helper: columnHelper(column, ranks[k]), files: [] }
    }),
  )
  return {
    list: opened.map(({ helper }) => helper),
    files: opened.flatMap(({ files }) => files),
    async *prepare(sets, signal) {
      for (const { prepare } of opened) if (prepare && !(yield* prepare(sets, signal))) return false
      return true
    },
  }
}

type OpenedHelper = { helper: HelperModel; files: FileHash[]; prepare?: HelperModels['prepare'] }

const isEmpty = (text: Text | undefined) => text === undefined || text.length === 0

const columnHelper = (column: string, rank: number): HelperModel => ({
  rank,
  completion: async (_, __, { beside }) => {
    const completion = beside?.[column]
    return isEmpty(completion) ? 'helper-empty' : { completion: completion! }
  },
})

/** A model that completes rows: a local one or one behind a server. */
type Generator = {
  files: FileHash[]
  requirePrompt?: HelperModel['requirePrompt']
  open(): Promise<OpenedGenerator>
}
type OpenedGenerator = {
  /** Makes the completions that the file lacks. */
  complete(
    rows: SelfPlayRows,
    file: LineFile<RowCompletion>,
    seed: number,
    signal: AbortSignal,
  ): AsyncGenerator<ProgressEvent>
  close(): Promise<void>
}

/** A helper model whose completions are written to the run's folder. @param k its number, from 0 */
const openGenerating = async (
  spec: string,
  k: number,
  rank: number,
  settings: HelperSettings,
  { own, tokenization, runDir, sharing }: HelperContext,
): Promise<OpenedHelper> => {
  const files = new Map<string, Promise<LineFile<RowCompletion>>>()
  const fileOf = (rows: SelfPlayRows) => {
    const path = join(runDir, 'helpers', `${k + 1}-${rows.name}.jsonl`)
    if (!files.has(path)) files.set(path, openCompletions(path, rows, settings.maxNewTokens).then(own))
    return files.get(path)!
  }
  const generator = isUrl(spec)
    ? openServer(spec, settings, tokenization)
    : await openLocal(spec, settings, tokenization, sharing)
  const helper: HelperModel = {
    rank,
    requirePrompt: generator.requirePrompt,
    completion: async (rows, i) => {
      const { ids, text, finish_reason } = await (await fileOf(rows)).read(i)
      const completion = text ?? ids
      return completion === undefined ? 'helper-empty' : { completion, cut: finish_reason === 'length' }
    },
  }
  const prepare: HelperModels['prepare'] = async function* (sets, signal) {
    const missing: SelfPlayRows[] = []
    for (const rows of sets) if ((await fileOf(rows)).length < rows.length) missing.push(rows)
    if (missing.length === 0) return true
    const { complete, close } = await generator.open()
    try {
      for (const rows of missing) {
        const file = await fileOf(rows)
        const seed = samplingSeed('selfPlay', settings.seed, 0, 2 * k + Number(rows.name === 'held'))
        yield* complete(rows, file, seed, signal)
        if (file.length < rows.length) return false
      }
    } finally {
      await close()
    }
    return true
  }
  return { helper, files: generator.files, prepare }
}

// A local model

const openLocal = async (
  name: string,
  settings: HelperSettings,
  own: Tokenization,
  sharing: Sharing | undefined,
): Promise<Generator> => {
  const { device, threads } = settings
  const folders = await resolveModel({ model: name })
  const { files: weights, config, generationConfig } = await loadPretrained(folders.dir)
  const files = await sha256Files(await filesOf(folders, weights))
  const tokenization = await openTokenization(folders, { config, generationConfig })
  const { tokenizer, encoder, vocabulary } = tokenization
  requireSharedText(name, tokenizer !== undefined, vocabulary, own)
  return {
    files,
    requirePrompt: (row) =>
      readBy(name, () => {
        const read = readableRow(row, own, tokenizer !== undefined)
        requireKnownIds(
          { kind: 'prompt', prompt: read.prompt },
          [encodePrompt(encoder, read.prompt, read.template)],
          tokenization,
        )
      }),
    async open() {
      const opened = await openModel({ model: name, device, threads })
      const share = sharing && shareModel(opened, { quantize: 'none', compute: 'fp32' }, sharing).sampling
      const readable = (rows: SelfPlayRows): SelfPlayRows => ({
        ...rows,
        row: async (i) => readableRow(await rows.row(i), own, tokenizer !== undefined),
      })
      return {
        complete: (rows, file, seed, signal) =>
          completeRows(
            { model: opened.model, share },
            tokenization,
            readable(rows),
            file,
            { ...settings, seed },
            signal,
          ),
        close: opened.close,
      }
    },
  }
}

/** Two models exchange text where both have a tokenizer, and token ids where neither has. */
const requireSharedText = (name: string, hasTokenizer: boolean, vocabulary: number, own: Tokenization) => {
  const refuse = (why: string) => badInput('helper-tokenizer', `${quoted(name)}: ${why}`, { flag: '--helper' })
  if (hasTokenizer !== (own.tokenizer !== undefined))
    throw refuse('one of the two models has a tokenizer and the other has none, so they share neither text nor ids')
  if (!hasTokenizer && vocabulary !== own.vocabulary)
    throw refuse(
      `it has ${vocabulary} token ids and this model ${own.vocabulary}; without tokenizers ids must mean the same`,
    )
}

/** A prompt of token ids is decoded for a model with a tokenizer of its own. */
const readableRow = (row: Completion, { tokenizer }: Tokenization, asText: boolean): Completion =>
  asText && isIds(row.prompt) ? { ...row, prompt: tokenizer!.decode(row.prompt, { skipSpecialTokens: true }) } : row

// A server

/** @param spec `URL` or `URL#MODEL` */
const openServer = (spec: string, settings: HelperSettings, { tokenizer }: Tokenization): Generator => {
  if (!tokenizer)
    throw badInput('helper-tokenizer', 'a server sends text, and this model has no tokenizer', { flag: '--helper' })
  return {
    files: [],
    requirePrompt: (row) => void remotePrompt(row, tokenizer),
    async open() {
      const endpoint = await openEndpoint(splitUrl(spec)).catch(rethrowWithAdvice)
      return {
        complete: (rows, file, seed, signal) =>
          completeByServer(endpoint, rows, file, { ...settings, seed, signal }, tokenizer),
        close: async () => {},
      }
    },
  }
}

/** Completions that are requested together; each is kept in the cache as soon as it comes. */
const requestCount = 64

async function* completeByServer(
  endpoint: Endpoint,
  rows: SelfPlayRows,
  file: LineFile<RowCompletion>,
  { maxNewTokens, temperature, topP, seed, signal }: HelperSettings & { signal: AbortSignal },
  tokenizer: NonNullable<Tokenization['tokenizer']>,
): AsyncGenerator<ProgressEvent> {
  const settings = { maxNewTokens, temperature, ...(topP < 1 && { topP }), seed, signal }
  while (file.length < rows.length && !signal.aborted) {
    const start = file.length
    const count = Math.min(file.group, rows.length - start)
    const made: RowCompletion[] = []
    for (let from = 0; from < count && !signal.aborted; from += requestCount) {
      const numbers = Array.from({ length: Math.min(requestCount, count - from) }, (_, i) => start + from + i)
      const prompts = await Promise.all(
        numbers.map(async (i): Promise<RemotePrompt> => remotePrompt(await rows.row(i), tokenizer)),
      )
      try {
        for await (const { row, text, finishReason } of remoteCompletions(endpoint, prompts, settings))
          made[from + row] = { row: numbers[row], text, finish_reason: finishReason === 'length' ? 'length' : 'stop' }
      } catch (error) {
        if (signal.aborted) return
        rethrowWithAdvice(error)
      }
    }
    if (signal.aborted) return
    await file.append(made)
    yield { event: 'progress', phase: 'generate', done: file.length, total: rows.length }
  }
}

const remotePrompt = (
  { prompt, template }: Completion,
  { decode }: NonNullable<Tokenization['tokenizer']>,
): RemotePrompt => {
  if (template && isMessages(prompt))
    throw badInput('bad-row', 'has tools or variables for a chat template, which a server (--helper) is not sent')
  if (isMessages(prompt)) return { messages: prompt }
  return { prompt: isIds(prompt) ? decode(prompt, { skipSpecialTokens: true }) : prompt }
}

/** A fault of a server pauses the run: the message says how to go on. */
const rethrowWithAdvice = (error: unknown): never => {
  if (!(error instanceof Fault)) throw error
  const advice = error.code === 'no-model' ? 'write its name behind the address: URL#NAME' : 'go on with --resume'
  throw new Fault(error.code, `${error.message}; ${advice}`, { flag: '--helper' }, error.exitCode)
}
