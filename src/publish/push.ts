/**
 * A run's result goes to the hub: at the end of a run, or later from its folder, which says all that the card needs.
 * Peculiar: the upload reports by callbacks and recipes by events, so progress is looked at from time to time.
 */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HubTarget, type Upload, uploadFiles } from '../checkpoint/hubUpload.node.ts'
import type { EndEvent, ProgressEvent, WarningEvent } from '../runs/events.ts'
import { readRun, runEvents } from '../runs/find.node.ts'
import { badInput, runFailure } from '../util/fault.ts'
import type { CardFacts } from './modelCard.ts'

/** Milliseconds. */
const between = 200

/**
 * Uploads a run's model or adapter with a card.
 * @returns the page of the repository. Throws Faults 'no-file' (no result yet), and those of `uploadFiles`.
 */
export async function* pushRun(
  target: HubTarget,
  dir: string,
  signal = new AbortController().signal,
): AsyncGenerator<ProgressEvent, string> {
  const { files, title } = await uploadsOf(target.name, dir)
  const left = new AbortController()
  let [done, total] = [0, 0]
  const onBytes = (...now: [number, number]) => {
    ;[done, total] = now
  }
  const stop = AbortSignal.any([signal, left.signal])
  const work = uploadFiles(target, files, { title, signal: stop, onBytes })
  try {
    for (;;) {
      const page = await Promise.race([work, sleep(between)])
      yield { event: 'progress', phase: 'upload', done, total }
      if (page !== undefined) return page
    }
  } finally {
    left.abort()
  }
}

const uploadsOf = async (name: string, dir: string): Promise<{ files: Upload[]; title: string }> => {
  const { info, result } = await readRun(dir)
  if (!result)
    throw badInput('no-file', 'has not made a model yet; let it end, or resume it with attune runs resume', {
      file: dir,
    })
  const { step, ...facts } = await measuresOf(dir, info.config.patience !== undefined)
  const { modelCard } = await import('./modelCard.ts')
  const card = modelCard({ name, kind: result.kind, info, step, ...facts })
  const entries = await readdir(result.path, { withFileTypes: true })
  const own = entries.filter((entry) => entry.isFile() && entry.name !== 'README.md')
  return {
    files: [
      { path: 'README.md', content: new Blob([card]) },
      ...own.map((entry) => ({ path: entry.name, content: join(result.path, entry.name) })),
    ],
    title: `attune ${info.method}: ${step} steps`,
  }
}

/** Of the step whose weights the result has: the last, or the best where training stops for want of a better one. */
const measuresOf = async (
  dir: string,
  returnsToBest: boolean,
): Promise<Pick<CardFacts, 'step' | 'measures' | 'evaluation'>> => {
  const measured = { step: new Map<number, object>(), eval: new Map<number, object>() }
  let last = 0
  for await (const { event, step, ...fields } of runEvents(dir)) {
    if (event === 'step' || event === 'eval') measured[event].set(step as number, fields)
    if (event === 'end') last = (returnsToBest && (fields.best_step as number)) || (fields.steps as number)
  }
  const numbers = (fields: object = {}) =>
    Object.fromEntries(
      Object.entries(fields).filter(([name, value]) => typeof value === 'number' && !ofMachine.has(name)),
    )
  return { step: last, measures: numbers(measured.step.get(last)), evaluation: numbers(measured.eval.get(last)) }
}

const ofMachine: ReadonlySet<string> = new Set(['total_steps', 'seconds', 'tokens_per_second'])

/** The last events of a run whose result is to be uploaded. The run has ended well even where the upload fails. */
export async function* endWithPush(
  target: HubTarget,
  dir: string,
  end: EndEvent,
  signal: AbortSignal,
): AsyncGenerator<EndEvent | ProgressEvent | WarningEvent> {
  if (end.stopped === 'interrupted') return yield end
  let outcome: { hub: string } | { error: unknown }
  try {
    outcome = { hub: yield* pushRun(target, dir, signal) }
  } catch (error) {
    outcome = { error }
  }
  if ('hub' in outcome) return yield { ...end, hub: outcome.hub }
  const message = notPushed(target.name, end.output, dir, signal.aborted ? 'was stopped' : reasonOf(outcome.error))
  if (signal.aborted) {
    yield { event: 'warning', code: 'not-pushed', message }
    return yield { ...end, stopped: 'interrupted' }
  }
  yield end
  throw runFailure('not-pushed', message)
}

const reasonOf = (error: unknown) => `failed (${error instanceof Error ? error.message : String(error)})`

const notPushed = (name: string, output: string, dir: string, why: string) =>
  `the upload to ${name} ${why}; the result is safe in ${output}, and this uploads it: attune runs push ${quoted(dir)} --to ${name}`

const quoted = (path: string) => (/^[\w./:\\-]+$/.test(path) ? path : `"${path}"`)
