/**
 * A sweep: cells of size, method and seed, several at once. Peculiar: what is finished is a file, what is under way a
 * run with checkpoints, so that the same command goes on wherever it was stopped, and never repeats a finished cell.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import type { z } from 'zod'
import { claimFolder, foreignFault, writeJson } from '../../report/files.node.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { makeEventStream } from '../../util/eventStream.ts'
import { badInput } from '../../util/fault.ts'
import { type Cell, type CellResult, cellsOf, readResults, writeResult } from './cells.ts'
import { openTokens } from './model.ts'
import { type ReportFiles, writeScalingReport } from './output.ts'
import { type Extent, type Plan, type Preset, presets, type scalingSchema } from './settings.ts'
import { dataOf, writeData } from './task.ts'
import type { Running } from './train.ts'
import { trainCell } from './trainCell.ts'

export type SweepEvent =
  | { event: 'plan'; cells: number; finished: number; jobs: number; output: string }
  | {
      event: 'progress'
      /** Cells done of all, and the share of all work. */
      finished: number
      cells: number
      share: number
      /** Seconds left by the pace so far. */
      eta?: number
      running: { id: string; share: number }[]
    }
  | ({ event: 'cell' } & Pick<CellResult, 'id' | 'seconds'> & { loss: number; exact: number })
  | { event: 'stopped'; finished: number; cells: number }
  | { event: 'result'; words: string[]; files: ReportFiles }

type Extras = { signal?: AbortSignal; command?: readonly string[]; preset?: Preset }

const format = 'attune-scaling'

/** Runs what is missing and reports. After an abort the last event is `stopped`. */
export async function* sweep(
  settings: z.output<typeof scalingSchema>,
  { signal = new AbortController().signal, command = [], preset = presets[settings.preset] }: Extras = {},
): AsyncGenerator<SweepEvent> {
  const { seeds, methods, ...plan } = preset
  const extent: Extent = {
    seeds: settings.seeds ?? seeds,
    methods: [...new Set(['sft' as const, ...(settings.methods ?? methods)])],
  }
  const root = resolve(settings.output)
  const tokens = await openTokens(settings.tokenizer, plan.vocabulary)
  const unlock = await claim(root, { format, preset: settings.preset, tokenizer: settings.tokenizer, plan })
  try {
    const cells = cellsOf(plan, extent)
    const running: Running = { root, plan, tokens, device: settings.device, signal, command }
    const jobs = settings.jobs ?? availableParallelism()
    yield* missing(cells, running, jobs)
    const results = await readResults(root)
    const finished = cells.flatMap(({ id }) => results.get(id) ?? [])
    if (signal.aborted) return yield { event: 'stopped', finished: finished.length, cells: cells.length }
    yield { event: 'result', ...(await writeScalingReport(root, { results: finished, plan, settings, command })) }
  } finally {
    await unlock()
  }
}

type Stamp = { format: string; preset: string; tokenizer?: string; plan: Plan }

/** Takes the folder. Throws Faults 'taken' for what is no sweep or another one, 'locked' while one is running. */
const claim = (root: string, stamp: Stamp): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const file = join(root, 'sweep.json')
    await mkdir(join(root, 'cells'), { recursive: true })
    const before = await readFile(file, 'utf8').catch(() => undefined)
    const names = (await readdir(root)).filter((name) => name !== 'cells' && !name.startsWith('run.lock'))
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

/** Trains the cells that have no result yet, `jobs` at once, each as soon as those that it needs are there. */
async function* missing(cells: readonly Cell[], running: Running, jobs: number): AsyncGenerator<SweepEvent> {
  const done = new Set((await readResults(running.root)).keys())
  const waiting = cells.filter(({ id }) => !done.has(id))
  yield { event: 'plan', cells: cells.length, finished: cells.length - waiting.length, jobs, output: running.root }
  for (const seed of new Set(waiting.map((cell) => cell.seed)))
    await writeData(dataOf(running.root, seed, running.plan))
  const board = progressBoard(waiting, cells.length, running.plan)
  const stream = makeEventStream<SweepEvent>()
  const failed = new AbortController()
  const signal = AbortSignal.any([running.signal, failed.signal])
  const active = new Set<string>()
  let failure: { error: unknown } | undefined

  const work = async (cell: Cell) => {
    try {
      const result = await trainCell(cell, { ...running, signal }, (share) => {
        if (board.report(cell.id, share)) stream.push(board.event())
      })
      await writeResult(running.root, result)
      done.add(cell.id)
      board.report(cell.id, 1)
      const { id, seconds, curve, marks } = result
      stream.push({
        event: 'cell',
        id,
        seconds,
        loss: curve.at(-1)?.loss ?? Number.NaN,
        exact: marks.at(-1)?.exact.share ?? Number.NaN,
      })
      stream.push(board.event())
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
      void work(cell)
    }
    // The others have their checkpoints by then
    if (active.size === 0) failure ? stream.fail(failure.error) : stream.end()
  }
  start()
  yield* stream.read()
}

const costOf = ({ method, size }: Cell, { selfPlay: { iterations, steps } }: Plan) =>
  // A step on lists takes longer, and before it come answers
  (method === 'sft' ? size.steps : iterations * (2 * steps + 50)) * (1 + (size.hidden / 64) * size.layers)

/** Between two events of progress, milliseconds. */
const pause = 500

/** How far everything is, and how long it will take by the pace so far. */
const progressBoard = (waiting: readonly Cell[], total: number, plan: Plan) => {
  const cost = new Map(waiting.map((cell) => [cell.id, costOf(cell, plan)]))
  const share = new Map<string, number>()
  const all = [...cost.values()].reduce((a, b) => a + b, 0)
  const began = performance.now()
  const before = total - waiting.length
  let told = Number.NEGATIVE_INFINITY
  return {
    /** @returns whether it is time to say so */
    report(id: string, part: number): boolean {
      share.set(id, part)
      if (performance.now() - told < pause) return false
      told = performance.now()
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
