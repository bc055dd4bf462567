/**
 * Uploads the result of a run to the hub with a model card: at the end of the run, or later from its folder. The upload reports
 * its progress by a callback; it becomes events at regular intervals.
 */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HubTarget, type Upload, uploadFiles } from '../checkpoint/hubUpload.node.ts'
import type { EndEvent, ProgressEvent, WarningEvent } from '../runs/events.ts'
import { readRun, runEvents } from '../runs/find.node.ts'
import { resultStep, resultStepText } from '../runs/resultStep.ts'
import { badInput, runFailure } from '../util/fault.ts'
import type { CardFacts } from './modelCard.ts'

/** Milliseconds between two progress events. */
const progressInterval = 200

/**
 * Uploads a run's model or adapter with a card.
 * @returns the page of the repository. Throws Faults 'no-file' (no result yet), and those of `uploadFiles`.
 */
export async function* pushRun(
  target: HubTarget,
  dir: string,
  signal = new AbortController().signal,
): AsyncGenerator<ProgressEvent, string> {
  const { files, title } = await filesToUpload(target.name, dir)
  const abandoned = new AbortController()
  let done = 0
  let total = 0
  const upload = uploadFiles(target, files, {
    title,
    signal: AbortSignal.any([signal, abandoned.signal]),
    onBytes: (...now) => {
      ;[done, total] = now
    },
  })
  try {
    for (;;) {
      const page = await Promise.race([upload, sleep(progressInterval)])
      yield { event: 'progress', phase: 'upload', done, total }
      if (page !== undefined) return page
    }
  } finally {
    abandoned.abort()
  }
}

const filesToUpload = async (name: string, dir: string): Promise<{ files: Upload[]; title: string }> => {
  const { info, result } = await readRun(dir)
  if (!result)
    throw badInput('no-file', 'has not made a model yet; let it end, or resume it with attune runs resume', {
      file: dir,
    })
  const { step, best, metrics, evalMetrics } = await metricsOfResult(dir, info.config)
  const { modelCard } = await import('./modelCard.ts')
  const card = modelCard({ name, kind: result.kind, info, step, best, metrics, evalMetrics })
  const entries = await readdir(result.path, { withFileTypes: true })
  const resultFiles = entries.filter((entry) => entry.isFile() && entry.name !== 'README.md')
  return {
    files: [
      { path: 'README.md', content: new Blob([card]) },
      ...resultFiles.map((entry) => ({ path: entry.name, content: join(result.path, entry.name) })),
    ],
    title: `attune ${info.method}: ${step} steps`,
  }
}

/** The metrics of the step whose weights the result has: the best one by held-out rows, else the last. */
const metricsOfResult = async (
  dir: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Pick<CardFacts, 'step' | 'best' | 'metrics' | 'evalMetrics'>> => {
  const events = { step: new Map<number, object>(), eval: new Map<number, object>() }
  let end: Readonly<Record<string, unknown>> = { steps: 0 }
  for await (const { event, step, ...fields } of runEvents(dir)) {
    if (event === 'step' || event === 'eval') events[event].set(step as number, fields)
    if (event === 'end') end = fields
  }
  const numbers = (fields: object = {}) =>
    Object.fromEntries(
      Object.entries(fields).filter(([name, value]) => typeof value === 'number' && !machineMetrics.has(name)),
    )
  const step = resultStep(end, config)
  return {
    step,
    best: resultStepText(end, config),
    metrics: numbers(events.step.get(step)),
    evalMetrics: numbers(events.eval.get(step)),
  }
}

/** Numbers of a step event that say nothing about the model. */
const machineMetrics: ReadonlySet<string> = new Set(['total_steps', 'seconds', 'tokens_per_second'])

/** The last events of a run with --push-to-hub. The run itself is done even where the upload fails. */
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
  const message = notPushedMessage(
    target.name,
    end.output,
    dir,
    signal.aborted ? 'was stopped' : reasonOf(outcome.error),
  )
  if (signal.aborted) {
    yield { event: 'warning', code: 'not-pushed', message }
    return yield { ...end, stopped: 'interrupted' }
  }
  yield end
  throw runFailure('not-pushed', message)
}

const reasonOf = (error: unknown) => `failed (${error instanceof Error ? error.message : String(error)})`

const notPushedMessage = (name: string, output: string, dir: string, why: string) =>
  `the upload to ${name} ${why}; the result is safe in ${output}, and this uploads it: attune runs push ${quoted(dir)} --to ${name}`

const quoted = (path: string) => (/^[\w./:\\-]+$/.test(path) ? path : `"${path}"`)
