/** The row of a run in the list: its state, the figures that tell most, and a thinned curve. */
import { labelOf } from '../../recipes/trainer/runCharts.ts'
import type { Curves } from '../../runs/curves.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'
import type { Figure, RunRow, RunState } from './api.ts'
import { downsample, inOrder } from './downsample.ts'
import type { LogIndex } from './logIndex.node.ts'

/** What a run is judged by: the most telling first; whether more is better. */
const telling = [
  ['reward', true],
  ['rewards/accuracies', true],
  ['accuracy', true],
  ['loss', false],
] as const

type Logged = Pick<LogIndex, 'steps' | 'evaluations'>

/** Of the training pairs it says little: before the first step there are no margins, and soon all are in order. */
const pairsInOrder = 'rewards/accuracies'

const sparkPoints = 48

type Telling = { name: string; label: string; higher: boolean; x: Float64Array; y: Float64Array }

/** Whether a loss on held-out rows was measured twice at least: then that tells more than how many pairs are in order. */
export const hasHeldLoss = (curves: { get(name: string): { readonly length: number } | undefined }): boolean =>
  (curves.get('eval_loss')?.length ?? 0) > 1

/** On held-out rows where there were two evaluations at least. */
const tellingOf = ({ steps, evaluations }: Logged): Telling | undefined => {
  const heldLoss = hasHeldLoss({ get: (name) => evaluations.column(name) })
  const found = telling
    .filter(([name]) => !(heldLoss && name === pairsInOrder))
    .find(([name]) => steps.column(name) ?? evaluations.column(`eval_${name}`))
  const [name, higher] = found ?? [steps.names().find((other) => other !== 'step' && other !== 'total_steps'), false]
  if (name === undefined) return undefined
  const held = evaluations.column(`eval_${name}`)
  const isHeld = held !== undefined && (held.length > 1 || !steps.column(name))
  const table = isHeld ? evaluations : steps
  const column = isHeld ? `eval_${name}` : name
  const [x, y] = inOrder(table.column('step')!, table.column(column)!)
  return { name: column, label: `${isHeld ? 'held-out ' : ''}${labelOf(name).toLowerCase()}`, higher, x, y }
}

export const figuresOf = (logged: Logged): Pick<RunRow, 'best' | 'last' | 'spark'> => {
  const metric = tellingOf(logged)
  if (!metric) return { spark: [] }
  const { name, label, higher, x, y } = metric
  let [best, last] = [-1, -1]
  for (let i = 0; i < y.length; i++) {
    if (!Number.isFinite(y[i])) continue
    const counts = name !== pairsInOrder || x[i] > 1
    if (counts && (best < 0 || (higher ? y[i] > y[best] : y[i] < y[best]))) best = i
    last = i
  }
  const figure = (i: number): Figure => ({ metric: name, label, value: y[i], step: x[i] })
  const everything = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const
  return {
    ...(best >= 0 && { best: figure(best) }),
    ...(last >= 0 && { last: figure(last) }),
    spark: downsample(x, y, everything, sparkPoints).y.map((value) => Number(value.toPrecision(4))),
  }
}

/** @param end the last event of the log, if the run ended   @param failure of the process that was to go on with it */
export const stateOf = (running: boolean, end: LoggedEvent | undefined, failure?: string): [RunState, string?] => {
  if (running) return ['running']
  const isOver = end !== undefined && end.stopped !== 'interrupted'
  if (failure !== undefined && !isOver) return ['failed', failure]
  if (!end) return ['broken off']
  if (end.stopped === 'interrupted') return ['stopped']
  return end.stopped === 'done' ? ['ended'] : ['ended', String(end.stopped)]
}

/** The numbers of the last row that has any. */
export const latestOf = ({ steps }: Pick<LogIndex, 'steps'>): Record<string, number> => {
  const row = steps.rows() - 1
  const entries = steps.names().map((name) => [name, steps.column(name)![row]] as const)
  return row < 0 ? {} : Object.fromEntries(entries.filter(([, value]) => Number.isFinite(value)))
}

const thinned = new WeakMap<LogIndex['steps'], { rows: string; curves: Curves }>()

/** All metrics, thinned, in the form that reports of runs read. Made anew when the log has grown. */
export const thinnedCurves = (logged: Logged): Curves => {
  const rows = `${logged.steps.rows()} ${logged.evaluations.rows()}`
  const kept = thinned.get(logged.steps)
  if (kept?.rows === rows) return kept.curves
  const curves = thin(logged, 1000)
  thinned.set(logged.steps, { rows, curves })
  return curves
}

const thin = ({ steps, evaluations }: Logged, most: number): Curves => {
  const everything = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const
  const curves = new Map<string, (readonly [number, number])[]>()
  for (const table of [steps, evaluations]) {
    const at = table.column('step')
    if (!at) continue
    for (const name of table.names()) {
      if (name === 'step') continue
      const { x, y } = downsample(...inOrder(at, table.column(name)!), everything, most)
      const key = table === evaluations && !name.startsWith('eval_') ? `eval_${name}` : name
      if (x.length)
        curves.set(
          key,
          x.map((value, i) => [value, y[i]] as const),
        )
    }
  }
  return curves
}

/** Curves without the share of pairs in order where a held-out loss says more. */
export const headlineCurves = (curves: Curves): Curves =>
  hasHeldLoss(curves) && curves.has('loss') ? new Map([...curves].filter(([name]) => name !== pairsInOrder)) : curves

/** The numbers of the last step and of the last evaluation. */
export const lastValuesOf = (logged: Logged) => ({
  last: latestOf(logged),
  evaluation: latestOf({ steps: logged.evaluations }),
})
