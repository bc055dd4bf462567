/**
 * Those who help: a column of the data, a local model, or a server. Peculiar: a helper answers each row once, before the
 * first training, into `helpers/` of the run's folder; a local model is gone by then. Between models with tokenizers of
 * their own only text goes to and fro.
 */

import { join } from 'node:path'
import { filesOf } from '../../checkpoint/folder.node.ts'
import { encodePrompt } from '../../data/examples.ts'
import { type Completion, isIds, isMessages, type Text } from '../../data/rows.ts'
import { type Endpoint, type RemotePrompt, remoteCompletions } from '../../endpoint/completions.ts'
import { isUrl, openEndpoint } from '../../endpoint/open.node.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { openTokenization, readBy } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { openModel } from '../../passes/open.node.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import type { Resources } from '../../util/resources.ts'
import { type FileHash, sha256Files } from '../../util/sha256.node.ts'
import { requireKnownIds } from '../trainer/dataset.ts'
import { completeRows, openCompletions, type RowCompletion } from './completions.ts'
import type { HelperModel } from './makeLists.ts'
import type { GivenCompletion, SelfPlayRows } from './rows.ts'

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

const columnOf = (spec: string) => /^column:(.+)$/s.exec(spec)?.[1]

/** Columns of the data that helpers answered in. */
export const helperColumns = (specs: readonly string[]): string[] => specs.flatMap((spec) => columnOf(spec) ?? [])

/** Of each helper: as given, or 2, 3, ... in their order. */
const ranksOf = ({ helper, helperRanks }: HelperSettings): readonly number[] => {
  const ranks = helperRanks ?? helper.map((_, i) => i + 2)
  if (ranks.length === helper.length) return ranks
  throw badInput('bad-flag', `gives ${ranks.length} ranks to ${helper.length} helpers`, { flag: '--helper-ranks' })
}

export type HelperModels = {
  list: readonly HelperModel[]
  /** Weights that the answers depend on. */
  files: FileHash[]
  /** Makes the answers that are not there yet. After an abort some are missing, and it returns false. */
  prepare(sets: readonly SelfPlayRows[], signal: AbortSignal): AsyncGenerator<ProgressEvent, boolean>
}

type Opened = { own: Resources['own']; tokenization: Tokenization; runDir: string }

/** Checks that helpers can answer, without asking any. */
export const openHelperModels = async (settings: HelperSettings, opened: Opened): Promise<HelperModels> => {
  const ranks = ranksOf(settings)
  const made = await Promise.all(
    settings.helper.map(async (spec, k) => {
      const column = columnOf(spec)
      if (column !== undefined) return { helper: fromColumn(column, ranks[k]), files: [], prepare: undefined }
      return writer(spec, k, ranks[k], settings, opened)
    }),
  )
  return {
    list: made.map(({ helper }) => helper),
    files: made.flatMap(({ files }) => files),
    async *prepare(sets, signal) {
      for (const { prepare } of made) if (prepare && !(yield* prepare(sets, signal))) return false
      return true
    },
  }
}

const isEmpty = (text: Text | undefined) => text === undefined || text.length === 0

const fromColumn = (column: string, rank: number): HelperModel => ({
  rank,
  given: async (_, __, { beside }) => {
    const answer = beside?.[column]
    return isEmpty(answer) ? 'helper-empty' : { answer: answer! }
  },
})

type Writer = { helper: HelperModel; files: FileHash[]; prepare: HelperModels['prepare'] }

/** A helper whose answers are written down. */
const writer = async (
  spec: string,
  k: number,
  rank: number,
  settings: HelperSettings,
  { own, tokenization, runDir }: Opened,
): Promise<Writer> => {
  const known = new Map<string, Promise<LineFile<RowCompletion>>>()
  const fileOf = (rows: SelfPlayRows) => {
    const path = join(runDir, 'helpers', `${k + 1}-${rows.name}.jsonl`)
    if (!known.has(path)) known.set(path, openCompletions(path, rows, settings.maxNewTokens).then(own))
    return known.get(path)!
  }
  const given = async (rows: SelfPlayRows, i: number): Promise<GivenCompletion | string> => {
    const { ids, text, finish_reason } = await (await fileOf(rows)).read(i)
    const answer = text ?? ids
    return answer === undefined ? 'helper-empty' : { answer, cut: finish_reason === 'length' }
  }
  const ask = isUrl(spec) ? await byServer(spec, settings, tokenization) : await byModel(spec, settings, tokenization)
  const prepare: HelperModels['prepare'] = async function* (sets, signal) {
    const missing: SelfPlayRows[] = []
    for (const rows of sets) if ((await fileOf(rows)).length < rows.length) missing.push(rows)
    if (missing.length === 0) return true
    const answers = await ask.open()
    try {
      for (const rows of missing) {
        const file = await fileOf(rows)
        yield* answers.make(
          rows,
          file,
          samplingSeed('selfPlay', settings.seed, 0, 2 * k + Number(rows.name === 'held')),
          signal,
        )
        if (file.length < rows.length) return false
      }
    } finally {
      await answers.close()
    }
    return true
  }
  return { helper: { rank, given, requirePrompt: ask.requirePrompt }, files: ask.files, prepare }
}

type Answers = {
  make(
    rows: SelfPlayRows,
    file: LineFile<RowCompletion>,
    seed: number,
    signal: AbortSignal,
  ): AsyncGenerator<ProgressEvent>
  close(): Promise<void>
}
type Source = { files: FileHash[]; open(): Promise<Answers>; requirePrompt?: HelperModel['requirePrompt'] }

const byModel = async (name: string, settings: HelperSettings, own: Tokenization): Promise<Source> => {
  const { device, threads } = settings
  const folders = await resolveModel({ model: name })
  const { files: weights, config, generationConfig } = await loadPretrained(folders.dir)
  const files = await sha256Files(await filesOf(folders, weights))
  const tokenization = await openTokenization(folders, { config, generationConfig })
  const { tokenizer, encoder, vocabulary } = tokenization
  requireCommonTongue(name, tokenizer !== undefined, vocabulary, own)
  return {
    files,
    requirePrompt: (row) =>
      readBy(name, () => {
        const read = asText(row, own, tokenizer !== undefined)
        requireKnownIds(
          { kind: 'prompt', prompt: read.prompt },
          [encodePrompt(encoder, read.prompt, read.template)],
          tokenization,
        )
      }),
    async open() {
      const opened = await openModel({ model: name, device, threads })
      const { model } = opened
      const asked = (rows: SelfPlayRows): SelfPlayRows => ({
        ...rows,
        row: async (i) => asText(await rows.row(i), own, tokenizer !== undefined),
      })
      return {
        make: (rows, file, seed, signal) =>
          completeRows(model, tokenization, asked(rows), file, { ...settings, seed }, signal),
        close: opened.close,
      }
    },
  }
}

const requireCommonTongue = (name: string, speaks: boolean, size: number, own: Tokenization) => {
  const refuse = (why: string) => badInput('helper-tokenizer', `${quoted(name)}: ${why}`, { flag: '--helper' })
  if (speaks !== (own.tokenizer !== undefined))
    throw refuse('one of the two models has a tokenizer and the other has none, so they share neither text nor ids')
  if (!speaks && size !== own.vocabulary)
    throw refuse(`it has ${size} token ids and this model ${own.vocabulary}; without tokenizers ids must mean the same`)
}

/** Rows of ids are read out to a model with another tokenizer. */
const asText = (row: Completion, { tokenizer }: Tokenization, texts: boolean): Completion =>
  texts && isIds(row.prompt) ? { ...row, prompt: tokenizer!.decode(row.prompt, { skipSpecialTokens: true }) } : row

/** `URL` or `URL#MODEL`. */
const byServer = async (spec: string, settings: HelperSettings, { tokenizer }: Tokenization): Promise<Source> => {
  const at = spec.indexOf('#')
  const [url, model] = at < 0 ? [spec] : [spec.slice(0, at), spec.slice(at + 1)]
  if (!tokenizer)
    throw badInput('helper-tokenizer', 'a server answers in text, and this model has no tokenizer', {
      flag: '--helper',
    })
  return {
    files: [],
    requirePrompt: (row) => void remotePrompt(row, tokenizer),
    async open() {
      const endpoint = await openEndpoint({ url, model }).catch(resumable)
      return {
        make: (rows, file, seed, signal) => askServer(endpoint, rows, file, { ...settings, seed, signal }, tokenizer),
        close: async () => {},
      }
    },
  }
}

/** Answers that are asked for together; each is kept in the cache as soon as it comes. */
const asked = 64

async function* askServer(
  endpoint: Endpoint,
  rows: SelfPlayRows,
  file: LineFile<RowCompletion>,
  { maxNewTokens, temperature, topP, seed, signal }: HelperSettings & { signal: AbortSignal },
  tokenizer: NonNullable<Tokenization['tokenizer']>,
): AsyncGenerator<ProgressEvent> {
  while (file.length < rows.length && !signal.aborted) {
    const start = file.length
    const count = Math.min(file.group, rows.length - start)
    const found: RowCompletion[] = []
    for (let from = 0; from < count && !signal.aborted; from += asked) {
      const numbers = Array.from({ length: Math.min(asked, count - from) }, (_, i) => start + from + i)
      const prompts = await Promise.all(
        numbers.map(async (i): Promise<RemotePrompt> => remotePrompt(await rows.row(i), tokenizer)),
      )
      const settings = { maxNewTokens, temperature, ...(topP < 1 && { topP }), seed, signal }
      try {
        for await (const { row, text, finishReason } of remoteCompletions(endpoint, prompts, settings))
          found[from + row] = { row: numbers[row], text, finish_reason: finishReason === 'length' ? 'length' : 'stop' }
      } catch (error) {
        if (signal.aborted) return
        resumable(error)
      }
    }
    if (signal.aborted) return
    await file.append(found)
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

/** The run is paused, not over. */
const resumable = (error: unknown): never => {
  if (!(error instanceof Fault)) throw error
  const advice = error.code === 'no-model' ? 'write its name behind the address: URL#NAME' : 'go on with --resume'
  throw new Fault(error.code, `${error.message}; ${advice}`, { flag: '--helper' }, error.exitCode)
}
