/** The row of a run in the list: its state, the figures that tell most, and a thinned curve. */
import { nameText } from '../../recipes/trainer/headline.ts'
import { labelOf } from '../../recipes/trainer/runCharts.ts'
import { type Change, changeOf, judgingMetrics } from '../../runs/change.ts'
import type { Curves } from '../../runs/curves.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { isBetter } from '../../train/loop.ts'
import type { Figure, RunRow, RunState } from './api.ts'
import { downsample, inOrder } from './downsample.ts'
import type { LogIndex } from './logIndex.node.ts'

type Logged = Pick<LogIndex, 'steps' | 'evaluations'>
/** What decides by which metric a run is judged, beside its log. */
type Facts = { bestMetric?: unknown; heldRows?: unknown; through?: number }

export const judgingFacts = ({ config, eval_rows }: RunInfo): Facts => ({
  bestMetric: config.bestMetric,
  heldRows: eval_rows,
})

const sparkPoints = 48

type Columns = [x: Float64Array, y: Float64Array]

/** A metric over the steps; of evaluations by its name with `eval_`. */
const columnsOf = ({ steps, evaluations }: Logged, name: string): Columns | undefined => {
  const table = evaluations.column(name) && !steps.column(name) ? evaluations : steps
  const [x, y] = [table.column('step'), table.column(name)]
  return x && y && inOrder(x, y)
}

/** All values of some metrics. */
const curvesFor = (logged: Logged, names: Iterable<string>): Curves =>
  new Map(
    [...names].flatMap((name) => {
      const [x, y] = columnsOf(logged, name) ?? [[], []]
      const points = Array.from(x, (step, i) => [step, y[i]] as const).filter(([, value]) => Number.isFinite(value))
      return points.length ? [[name, points]] : []
    }),
  )

/** All metrics, with all their values. */
export const allCurves = (logged: Logged): Curves =>
  curvesFor(logged, new Set([...logged.steps.names(), ...logged.evaluations.names()]))

/** What a run changed, by its log. */
export const changeIn = (logged: Logged, facts: Facts): Change | undefined =>
  changeOf(curvesFor(logged, judgingMetrics(facts.bestMetric)), facts)

/** The metric that a run is judged by: its best and last evaluation, or else the mean of the last training steps. */
export const figuresOf = (logged: Logged, facts: Facts = {}): Pick<RunRow, 'best' | 'last' | 'spark'> => {
  const change = changeIn(logged, facts)
  const other = logged.steps.names().find((name) => name !== 'step' && name !== 'total_steps')
  const name = change ? `${change.steps === undefined ? 'eval_' : ''}${change.metric}` : other
  const columns = name === undefined ? undefined : columnsOf(logged, name)
  if (name === undefined || !columns) return { spark: [] }
  const [x, y] = columns
  const everything = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const
  const spark = downsample(x, y, everything, sparkPoints).y.map((value) => Number(value.toPrecision(4)))
  if (change?.steps !== undefined) {
    const label = `${change.steps > 1 ? 'mean training' : 'training'} ${labelOf(name).toLowerCase()}`
    return { last: { metric: name, label, ...change.to }, spark }
  }
  const measured = Array.from(x, (step, i) => ({ step, value: y[i] })).filter(({ value }) => Number.isFinite(value))
  const label = change ? nameText(change) : labelOf(name).toLowerCase()
  const figure = (point: { step: number; value: number }): Figure => ({ metric: name, label, ...point })
  // Before the first step policy and reference model are the same, which counts as no pair in order
  const compared = measured.filter(({ step }) => change?.metric !== 'rewards/accuracies' || step > 0)
  const best = compared.length ? compared.reduce((a, b) => (isBetter(name, b.value, a.value) ? b : a)) : undefined
  const last = measured.at(-1)
  return { ...(change && best && { best: figure(best) }), ...(last && { last: figure(last) }), spark }
}

/** @param end the last event of the log, if the run ended   @param failure of the process that was to go on with it */
export const stateOf = (running: boolean, end: LoggedEvent | undefined, failure?: string): [RunState, string?] => {
  if (running) return ['running']
  const isOver = end !== undefined && end.stopped !== 'interrupted'
  if (failure !== undefined && !isOver) return ['failed', failure]
  if (!end) return ['broken off']
  if (end.stopped === 'interrupted') return ['stopped']
  return end.stopped === 'done' ? ['done'] : ['done', String(end.stopped)]
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
