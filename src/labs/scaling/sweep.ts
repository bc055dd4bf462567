/**
 * A sweep: trains the cells of a study, several at once. A finished cell is a file, and a cell under way
 * is a run with checkpoints, so the same command resumes a stopped sweep and never repeats a finished cell.
 */

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { claimFolder, foreignFault, writeJson } from '../../report/files.node.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { makeEventStream } from '../../util/eventStream.ts'
import { badInput } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'
import type { Sharing } from '../../util/sharing.ts'
import { type Cell, type CellResult, cellsOf, readResults, writeResult } from './cells.ts'
import type { SweepContext } from './context.ts'
import { modelCounts } from './flops.ts'
import { modelConfig, openSweepTokenizer } from './model.ts'
import { type ReportFiles, writeScalingReport } from './output.ts'
import {
  type Extent,
  flagOf,
  type Plan,
  type Preset,
  plannedBy,
  presets,
  requireSteps,
  type ScalingSettings,
} from './settings.ts'
import { shareCell } from './sharedCell.ts'
import { rowFlops, sumData, writeSumData } from './task.ts'
import { trainCell } from './trainCell.ts'

export type SweepEvent =
  | { event: 'plan'; cells: number; finished: number; jobs: number; output: string }
  | {
      event: 'progress'
      /** Finished cells, all cells, and the share of all work that is done. */
      finished: number
      cells: number
      share: number
      /** Seconds left at the pace so far. */
      eta?: number
      running: { id: string; share: number }[]
    }
  | ({ event: 'cell' } & Pick<CellResult, 'id' | 'seconds'> & { loss: number; exact: number })
  | { event: 'stopped'; finished: number; cells: number }
  | { event: 'result'; words: string[]; files: ReportFiles }

type SweepOptions = {
  signal?: AbortSignal
  command?: readonly string[]
  preset?: Preset
  /** Workers that may train cells. */
  sharing?: Sharing
}

const format = 'attune-scaling'

/** Trains the cells that have no result yet, then writes the report. After an abort the last event is `stopped`. */
export async function* sweep(
  settings: ScalingSettings,
  {
    signal = new AbortController().signal,
    command = [],
    preset = presets[settings.preset],
    sharing,
  }: SweepOptions = {},
): AsyncGenerator<SweepEvent> {
  const { plan, extent } = plannedBy(settings, preset)
  const root = resolve(settings.output)
  if (sharing && settings.tokenizer !== undefined)
    throw badInput('bad-flag', 'is for the embedded tokenizer, which every worker has; leave --tokenizer out', {
      flag: '--workers',
    })
  const tokenizer = await openSweepTokenizer(settings.tokenizer, plan.vocabulary)
  requireMethods(extent)
  const { taught } = sumData(root, 1, plan)
  requireSteps(plan, (hidden) => {
    const { architecture, config } = modelConfig({ hidden, layers: plan.layers }, plan.vocabulary, tokenizer.eosId)
    return plan.batchSize * rowFlops(taught, tokenizer, modelCounts(architecture, config))
  })
  const unlock = await claimSweepFolder(root, { format, preset: settings.preset, tokenizer: settings.tokenizer, plan })
  try {
    const cells = cellsOf(plan, extent)
    const context: SweepContext = { root, plan, tokenizer, device: settings.device, signal, command }
    const jobs = settings.jobs ?? availableParallelism()
    yield* trainMissing(cells, context, { jobs, sharing })
    const results = await readResults(root)
    const finished = cells.flatMap(({ id }) => results.get(id) ?? [])
    if (signal.aborted) return yield { event: 'stopped', finished: finished.length, cells: cells.length }
    yield { event: 'result', ...(await writeScalingReport(root, { results: finished, plan, settings, command })) }
  } finally {
    await unlock()
  }
}

/** sweep.json: what all cells of the folder have in common. */
type Stamp = { format: string; preset: string; tokenizer?: string; plan: Plan }

/** Throws Faults 'taken' for a folder that holds no sweep or another one, 'locked' while a sweep runs in it. */
const claimSweepFolder = (root: string, stamp: Stamp): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const file = join(root, 'sweep.json')
    await mkdir(join(root, 'cells'), { recursive: true })
    const before = await readFile(file, 'utf8').catch(() => undefined)
    const names = (await readdir(root)).filter(
      (name) => name !== 'cells' && !name.startsWith('run.lock') && !isTemporary(name),
    )
    if (before === undefined && names.length) throw foreignFault(root, names[0], 'no sweep')
    if (before !== undefined && before !== text(stamp))
      throw badInput('taken', `holds a sweep with ${otherThan(before, stamp)}; choose another --output`, { file: root })
    const unlock = await takeLock(root)
    if (before === undefined) await writeJson(file, stamp)
    return unlock
  })

/** What an older stamp has otherwise, in words. */
const otherThan = (before: string, { plan, ...stamp }: Stamp): string => {
  const was = parsed(before)
  if (!was || was.format !== stamp.format) return 'another version'
  if (was.tokenizer !== stamp.tokenizer) return 'another --tokenizer'
  const keys = Object.keys(plan) as (keyof Plan)[]
  const differing = keys.filter((key) => JSON.stringify(was.plan[key]) !== JSON.stringify(plan[key]))
  const flags = differing.flatMap((key) => flagOf[key] ?? [])
  if (was.preset !== stamp.preset || !flags.length) return `another --preset (${was.preset})`
  return `other ${flags.join(', ')} (${differing.map((key) => JSON.stringify(was.plan[key])).join(', ')})`
}

const parsed = (text: string): Stamp | undefined => {
  try {
    const stamp = JSON.parse(text) as Stamp
    return stamp.plan ? stamp : undefined
  } catch {
    return undefined
  }
}

/** Throws a Fault for a method whose learning rate is that of another one that is left out. */
const requireMethods = ({ methods }: Extent): void => {
  if (methods.includes('sft-slow') && !methods.includes('spin'))
    throw badInput('bad-flag', 'sft-slow trains at the learning rate of spin: name spin too', { flag: '--methods' })
}

const text = (stamp: Stamp) => `${JSON.stringify(stamp, null, 2)}\n`

/** Trains the cells that have no result yet, `jobs` at once, each as soon as the cells that it needs are finished. */
async function* trainMissing(
  cells: readonly Cell[],
  context: SweepContext,
  { jobs, sharing }: { jobs: number; sharing?: Sharing },
): AsyncGenerator<SweepEvent> {
  const byId = new Map(cells.map((cell) => [cell.id, cell]))
  const done = new Set((await readResults(context.root)).keys())
  const waiting = cells.filter(({ id }) => !done.has(id))
  yield { event: 'plan', cells: cells.length, finished: cells.length - waiting.length, jobs, output: context.root }
  for (const seed of new Set(waiting.map((cell) => cell.seed))) await writeSumData(context.root, seed, context.plan)
  const progress = progressTracker(waiting, cells.length, context.plan)
  const stream = makeEventStream<SweepEvent>()
  const failed = new AbortController()
  const signal = AbortSignal.any([context.signal, failed.signal])
  const active = new Set<string>()
  let failure: { error: unknown } | undefined

  const trainOne = async (cell: Cell) => {
    try {
      const trainHere = () =>
        trainCell(cell, { ...context, signal }, (share) => {
          if (progress.report(cell.id, share)) stream.push(progress.event())
        })
      const result = sharing
        ? await shareCell(
            cell,
            { ...context, signal },
            { sharing, cells: byId, results: await readResults(context.root) },
            trainHere,
          )
        : await trainHere()
      await writeResult(context.root, result)
      done.add(cell.id)
      progress.report(cell.id, 1)
      const { id, seconds, chosenBy, reported = chosenBy } = result
      stream.push({ event: 'cell', id, seconds, loss: reported.loss, exact: reported.exact.share })
      stream.push(progress.event())
    } catch (error) {
      if (error !== signal.reason) failure ??= { error }
      failed.abort()
    }
    active.delete(cell.id)
    start()
  }
  const start = () => {
    // As many at once as there are workers, or as cores here
    while (!signal.aborted && active.size < (sharing?.workers() || jobs)) {
      const next = waiting.findIndex(({ needs }) => needs.every((id) => done.has(id)))
      if (next < 0) break
      const [cell] = waiting.splice(next, 1)
      active.add(cell.id)
      void trainOne(cell)
    }
    // After a failure the others stop first, and have their checkpoints by then
    if (active.size === 0) failure ? stream.fail(failure.error) : stream.end()
  }
  start()
  yield* stream.read()
}

/** About how long a cell takes, beside others: small models are bound by the number of their steps. */
const costOf = ({ kind, hidden, budget }: Cell, { layers }: Plan) => {
  const weights = layers * (256 * hidden + 12 * hidden * hidden)
  const steps = budget / (2000 * weights)
  return steps * (1 + weights / 200_000) + (kind === 'trial' || kind === 'method' ? 200 : 100)
}

/** Milliseconds between two progress events. */
const progressEvery = 500

/** Adds up the progress of the cells, weighted by their cost, and estimates the time left at the pace so far. */
const progressTracker = (waiting: readonly Cell[], total: number, plan: Plan) => {
  const cost = new Map(waiting.map((cell) => [cell.id, costOf(cell, plan)]))
  const share = new Map<string, number>()
  const all = [...cost.values()].reduce((a, b) => a + b, 0)
  const began = performance.now()
  const before = total - waiting.length
  let lastEvent = Number.NEGATIVE_INFINITY
  return {
    /** @returns whether it is time for another progress event */
    report(id: string, part: number): boolean {
      share.set(id, part)
      if (performance.now() - lastEvent < progressEvery) return false
      lastEvent = performance.now()
      return true
    },
    event(): SweepEvent {
      const work = [...share].reduce((sum, [id, part]) => sum + part * cost.get(id)!, 0)
      const seconds = (performance.now() - began) / 1000
      return {
        event: 'progress',
        finished: before + [...share.values()].filter((part) => part === 1).length,
        cells: total,
        share: all ? work / all : 1,
        ...(work > 0 && { eta: ((all - work) / work) * seconds }),
        running: [...share].filter(([, part]) => part < 1).map(([id, part]) => ({ id, share: part })),
      }
    },
  }
}
