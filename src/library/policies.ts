/** Best-of-N and comparisons as functions of a program. */
import { type CompareEvent, compare as compareEvents } from '../labs/compare/compare.ts'
import type { ReportFiles } from '../labs/compare/output.ts'
import { compareSchema } from '../labs/compare/settings.ts'
import { type BestOfN, bestOfN } from '../recipes/bestOfN.ts'
import { bestOfNSchema } from '../recipes/rl/schema.ts'
import type { ProgressEvent, WarningEvent } from '../runs/events.ts'
import { assert } from '../util/fault.ts'
import { openSharing } from '../workers/sharing.ts'
import { checked, faultInSettings, plainSettings } from './given.ts'
import type { Run } from './run.ts'

type Options = { signal?: AbortSignal }

/** Iterate over progress and warnings, or await the completions. */
export type BestOfNRun = Run<ProgressEvent | WarningEvent, BestOfN>

export async function* bestOfNEvents(
  given: object,
  { signal }: Options,
): AsyncGenerator<ProgressEvent | WarningEvent, BestOfN> {
  try {
    const { settings, functions } = await plainSettings({ ...given })
    const config = checked(bestOfNSchema, settings, 'bestOfN()')
    const { settings: own, sharing, close } = await openSharing(config, { name: config.model, note: () => {} })
    try {
      const result = yield* bestOfN(own, { signal, functions, sharing })
      signal?.throwIfAborted()
      assert(result, 'best-of-N ended without a result')
      return result
    } finally {
      await close()
    }
  } catch (error) {
    throw faultInSettings(error)
  }
}

/** The result of `compare`. */
export type Comparison = {
  /** What the numbers allow to conclude, in sentences. */
  words: string[]
  /** Paths of the report and its data. */
  files: ReportFiles
}

/** Iterate over the events, or await the conclusions. */
export type ComparisonRun = Run<CompareEvent, Comparison>

export async function* comparisonEvents(given: object, { signal }: Options): AsyncGenerator<CompareEvent, Comparison> {
  try {
    const { settings, functions } = await plainSettings({ ...given })
    let result: Comparison | undefined
    const config = checked(compareSchema, settings, 'compare()')
    const { settings: own, sharing, close } = await openSharing(config, { name: config.output, note: () => {} })
    try {
      for await (const event of compareEvents(own, { signal, functions, sharing })) {
        if (event.event === 'result') result = { words: event.words, files: event.files }
        yield event
      }
    } finally {
      await close()
    }
    signal?.throwIfAborted()
    assert(result, 'a comparison ended without a result')
    return result
  } catch (error) {
    throw faultInSettings(error)
  }
}
