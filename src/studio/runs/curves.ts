/** Curves of a run's metrics over steps, tokens, time or FLOPs, thinned for a screen. */
import { bisectRight } from 'd3-array'
import type { Axis, Curve, CurvesQuery } from './api.ts'
import type { Table } from './columns.ts'
import { downsample, inOrder, smoothed } from './downsample.ts'
import type { LogIndex } from './logIndex.node.ts'

/** What the FLOPs of a token depend on. */
export type Size = { readonly [fact: string]: unknown }

type Logged = Pick<LogIndex, 'steps' | 'evaluations'>

/** The axes that a run's log has numbers for. */
export const axesOf = ({ steps }: Logged, { parameters }: Size): Axis[] => {
  const names = new Set(steps.names())
  const hasTokens = names.has('num_tokens')
  return [
    'step',
    ...(hasTokens ? (['tokens'] as const) : []),
    ...(names.has('seconds') ? (['time'] as const) : []),
    ...(hasTokens && typeof parameters === 'number' ? (['flops'] as const) : []),
  ]
}

/**
 * FLOPs of a token, about: 2 a parameter forward, 2 backward through it, 2 more where it is trained.
 * (Kaplan et al. 2020, section 2.1: 6 N a token; attention over the context is left out.)
 */
export const flopsOfToken = ({ parameters, trainable = parameters }: Size): number =>
  4 * Number(parameters) + 2 * Number(trainable)

const none = new Float64Array(0)

/** What was computed of a table, until it has more rows. */
const made = new WeakMap<Table, { rows: number; values: Map<string, unknown> }>()
const mostMade = 24

const once = <T>(table: Table, key: string, make: () => T): T => {
  let kept = made.get(table)
  if (!kept || kept.rows !== table.rows()) made.set(table, (kept = { rows: table.rows(), values: new Map() }))
  const { values } = kept
  if (!values.has(key)) values.set(key, make())
  if (values.size > mostMade) values.delete(values.keys().next().value!)
  return (values.get(key) ?? make()) as T
}

/** Where each logged step stands on an axis; undefined where the log does not say. */
const places = (steps: Table, axis: Axis, size: Size): Float64Array | undefined => {
  if (axis === 'step') return steps.column('step')
  if (axis === 'tokens') return steps.column('num_tokens')
  return once(steps, axis, () => {
    if (axis === 'flops') {
      const each = flopsOfToken(size)
      return steps.column('num_tokens')?.map((tokens) => tokens * each)
    }
    let sum = 0
    return steps.column('seconds')?.map((seconds) => (sum += Number.isFinite(seconds) ? seconds : 0))
  })
}

/** Evaluations stand where the step did after which they were made. */
const placesOfEvaluations = (logged: Logged, at: Float64Array): Float64Array => {
  const steps = logged.steps.column('step') ?? none
  return (logged.evaluations.column('step') ?? none).map((step) => {
    const before = bisectRight(steps, step) - 1
    return before < 0 ? 0 : at[before]
  })
}

/** One curve or two: of training, and of held-out rows. */
export const curvesOfRun = (
  run: string,
  logged: Logged,
  size: Size,
  { metric, x: axis, from, to, points, smooth }: Omit<CurvesQuery, 'run'>,
): Curve[] => {
  const at = places(logged.steps, axis, size) ?? (axis === 'step' ? none : undefined)
  if (!at) return []
  const range = [from ?? Number.NEGATIVE_INFINITY, to ?? Number.POSITIVE_INFINITY] as const
  const atEvaluations = axis === 'step' ? (logged.evaluations.column('step') ?? none) : placesOfEvaluations(logged, at)
  const parts = [
    { part: 'trained', x: at, y: logged.steps.column(metric) },
    {
      part: 'held out',
      x: atEvaluations,
      // Evaluations of other tools have the metric's plain name
      y: logged.evaluations.column(`eval_${metric}`) ?? logged.evaluations.column(metric),
    },
  ] as const
  return parts.flatMap(({ part, x, y }): Curve[] => {
    if (!y) return []
    const table = part === 'trained' ? logged.steps : logged.evaluations
    const [xs, ys] = once(table, `${axis} of ${metric}`, () => inOrder(x, y))
    const curve = downsample(xs, ys, range, points)
    if (part === 'held out' || smooth === 0) return [{ run, part, ...curve }]
    const line = downsample(
      xs,
      once(table, `${smooth} ${axis} ${metric}`, () => smoothed(ys, smooth)),
      range,
      points,
    )
    return [{ run, part, ...curve, smooth: { x: line.x, y: line.y } }]
  })
}
