/**
 * Calls of models, each kept in the folder as soon as it ends, by a hash of all that its result depends on. A run that was
 * killed goes on with what is missing, one with more rounds or more prompts asks only for what is new, and nothing is kept
 * of a call that failed, so that the same command asks again.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { replyText, stopsOf } from '../../feedback/constitution/dialogue.ts'
import { type Comparison, comparisonOf } from '../../feedback/constitution/preference.ts'
import type { FailedCall, Written } from '../../feedback/constitution/transcript.ts'
import type { OptionQuestion, TextPrompt } from '../../feedback/textModel/textModel.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { contentKey } from '../../store/content.node.ts'
import { openValues, type Values } from '../../store/values.node.ts'
import { diskFault } from '../../util/files.node.ts'
import { rng } from '../../util/rng.ts'
import type { AskedModel } from './models.ts'
import type { CritiqueSettings } from './settings.ts'

/** `of` says what is asked for: responses, critiques, ... */
export type CallProgress = ProgressEvent & { of: string }

const writtenSchema = z.object({ text: z.string(), cut: z.boolean() })
const comparisonSchema = z.object({ asA: z.number(), asB: z.number(), mass: z.number() })
type Result = Written | Comparison

export type Calls = {
  settings: CritiqueSettings
  path: string
  results: Values<Result>
  signal: AbortSignal
}

export const openCalls = async (root: string, settings: CritiqueSettings, signal: AbortSignal): Promise<Calls> => {
  const path = join(root, 'calls.jsonl')
  return { settings, path, signal, results: await openValues<Result>(path, z.union([writtenSchema, comparisonSchema])) }
}

type TextStage = {
  /** What is asked for, as in 'critiques, round 2'. */
  of: string
  /** Seed of the stage: the random numbers of a text depend on it, on its number among the prompts and on its sample. */
  seed: number
  prompts: readonly TextPrompt[]
  /** Texts of each prompt. */
  samples?: number
}

/** @returns [prompts][samples] what was written, or why nothing was; undefined after an abort */
export async function* askTexts(
  calls: Calls,
  { form, identity, open }: AskedModel,
  { of, seed, prompts, samples = 1 }: TextStage,
): AsyncGenerator<CallProgress, (Written | FailedCall)[][] | undefined> {
  const { maxNewTokens, temperature, topP } = calls.settings
  const sampling = { maxNewTokens, temperature, topP, seed, stop: stopsOf(form) }
  const keys = prompts.map((prompt, i) =>
    Array.from({ length: samples }, (_, sample) => contentKey(['text', identity, sampling, i, sample, prompt])),
  )
  const found = yield* fill<Written>(calls, keys, of, async function* (from, to) {
    const model = await open()
    const settings = { ...sampling, samples, from, signal: calls.signal }
    for await (const result of model.complete(prompts.slice(from, to), settings)) {
      if ('failure' in result) yield { place: result, result: result.failure }
      else yield { place: result, result: writtenOf(result) }
    }
  })
  return found
}

/** What ends neither by itself nor at the limit ('content_filter') is no text to learn from. */
const writtenOf = ({ text, finishReason }: { text: string; finishReason: string }): Written | FailedCall =>
  ['eos', 'stop', 'length'].includes(finishReason)
    ? { text: replyText(text), cut: finishReason === 'length' }
    : { code: finishReason, message: `the server ended with ${finishReason}` }

/** @returns of each question what the model prefers, or why it said nothing; undefined after an abort */
export async function* askComparisons(
  calls: Calls,
  { identity, open }: AskedModel,
  { of, questions }: { of: string; questions: readonly OptionQuestion[] },
): AsyncGenerator<CallProgress, (Comparison | FailedCall)[] | undefined> {
  const keys = questions.map((question) => [contentKey(['comparison', identity, question])])
  const found = yield* fill<Comparison>(calls, keys, of, async function* (from, to) {
    const model = await open()
    for await (const result of model.options(questions.slice(from, to), { signal: calls.signal })) {
      const place = { row: result.row, sample: 0 }
      if ('failure' in result) yield { place, result: result.failure }
      else yield { place, result: comparisonOf(result.logps, result.mass) }
    }
  })
  return found?.map(([each]) => each)
}

type Place = { row: number; sample: number }

/** Asks for the results that are missing, in runs of neighbours. @param ask rows are counted from `from` */
async function* fill<R extends Result>(
  { results, path, signal }: Calls,
  keys: readonly (readonly string[])[],
  of: string,
  ask: (from: number, to: number) => AsyncGenerator<{ place: Place; result: R | FailedCall }>,
): AsyncGenerator<CallProgress, (R | FailedCall)[][] | undefined> {
  const total = keys.flat().length
  const failed = new Map<string, FailedCall>()
  let done = keys.flat().filter((key) => results.get(key)).length
  try {
    for (const [from, to] of missingRuns(keys.map((row) => row.some((key) => !results.get(key))))) {
      signal.throwIfAborted()
      for await (const { place, result } of ask(from, to)) {
        const key = keys[from + place.row][place.sample]
        if (results.get(key)) continue
        if ('code' in result) failed.set(key, result)
        else await results.set(key, result)
        const failure = results.failure()
        if (failure) throw diskFault(failure, path)
        yield { event: 'progress', phase: 'generate', of, done: ++done, total }
      }
    }
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
  return keys.map((row) => row.map((key) => (results.get(key) as R | undefined) ?? failed.get(key)!))
}

/** The runs of neighbours that are missing, each from its first to before the next that is there. */
const missingRuns = (missing: readonly boolean[]): [number, number][] => {
  const runs: [number, number][] = []
  for (const [i, isMissing] of missing.entries()) {
    if (!isMissing) continue
    const last = runs.at(-1)
    if (last?.[1] === i) last[1] = i + 1
    else runs.push([i, i + 1])
  }
  return runs
}

/** Random streams of their own for what is asked in one run ("crit" in ASCII). */
const stageStream = 0x63726974

/** The seed of a stage: 0 of responses, then critiques and revisions in turn. Below 2^31, which every server takes. */
export const stageSeed = (seed: number, stage: number): number =>
  Math.floor(rng(seed, stageStream).uniform(stage) * 2 ** 31)
