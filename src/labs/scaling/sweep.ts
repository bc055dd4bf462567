/**
 * A sweep: trains the cells of model size, method and seed, several at once. A finished cell is a file, and a cell under way
 * is a run with checkpoints, so the same command resumes a stopped sweep and never repeats a finished cell.
 */

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import type { z } from 'zod'
import { claimFolder, foreignFault, writeJson } from '../../report/files.node.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { makeEventStream } from '../../util/eventStream.ts'
import { badInput } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'
import { type Cell, type CellResult, cellsOf, readResults, writeResult } from './cells.ts'
import type { SweepContext } from './context.ts'
import { openSweepTokenizer } from './model.ts'
import { type ReportFiles, writeScalingReport } from './output.ts'
import { type Extent, type Plan, type Preset, presets, type scalingSchema } from './settings.ts'
import { writeSumData } from './task.ts'
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

type SweepOptions = { signal?: AbortSignal; command?: readonly string[]; preset?: Preset }

const format = 'attune-scaling'

/** Trains the cells that have no result yet, then writes the report. After an abort the last event is `stopped`. */
export async function* sweep(
  settings: z.output<typeof scalingSchema>,
  { signal = new AbortController().signal, command = [], preset = presets[settings.preset] }: SweepOptions = {},
): AsyncGenerator<SweepEvent> {
  const { seeds, methods, ...plan } = preset
  const extent: Extent = {
    seeds: settings.seeds ?? seeds,
    methods: [...new Set(['sft' as const, ...(settings.methods ?? methods)])],
  }
  const root = resolve(settings.output)
  const tokenizer = await openSweepTokenizer(settings.tokenizer, plan.vocabulary)
  const unlock = await claimSweepFolder(root, { format, preset: settings.preset, tokenizer: settings.tokenizer, plan })
  try {
    const cells = cellsOf(plan, extent)
    const context: SweepContext = { root, plan, tokenizer, device: settings.device, signal, command }
    const jobs = settings.jobs ?? availableParallelism()
    yield* trainMissing(cells, context, jobs)
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
      throw badInput('taken', 'holds a sweep with another preset, tokenizer or version; choose another --output', {
        file: root,
      })
    const unlock = await takeLock(root)
    if (before === undefined) await writeJson(file, stamp)
    return unlock
  })

const text = (stamp: Stamp) => `${JSON.stringify(stamp, null, 2)}\n`

/** Trains the cells that have no result yet, `jobs` at once, each as soon as the cells that it needs are finished. */
async function* trainMissing(cells: readonly Cell[], context: SweepContext, jobs: number): AsyncGenerator<SweepEvent> {
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
      const result = await trainCell(cell, { ...context, signal }, (share) => {
        if (progress.report(cell.id, share)) stream.push(progress.event())
      })
      await writeResult(context.root, result)
      done.add(cell.id)
      progress.report(cell.id, 1)
      const { id, seconds, curve, marks } = result
      stream.push({
        event: 'cell',
        id,
        seconds,
        loss: curve.at(-1)?.loss ?? Number.NaN,
        exact: marks.at(-1)?.exact.share ?? Number.NaN,
      })
      stream.push(progress.event())
    } catch (error) {
      if (error !== signal.reason) failure ??= { error }
      failed.abort()
    }
    active.delete(cell.id)
    start()
  }
  const start = () => {
    while (!signal.aborted && active.size < jobs) {
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

const costOf = ({ method, size }: Cell, { selfPlay: { iterations, steps } }: Plan) =>
  // A step on ranked lists takes longer, and completions are sampled before it
  (method === 'sft' ? size.steps : iterations * (2 * steps + 50)) * (1 + (size.hidden / 64) * size.layers)

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
