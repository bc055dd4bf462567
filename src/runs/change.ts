/**
 * What a run changed: the metric that it is judged by, before and after. It is measured on held-out rows where there are some,
 * else over the first and the last steps, because a single step's rows may be easy or hard ones.
 */
import type { Curves } from './curves.ts'

export type Measured = { step: number; value: number }

export type Change = {
  /** By its published name, without `eval_`. */
  metric: string
  /** False where only rows that the run learns from were measured. */
  heldOut: boolean
  /** The first measurement; undefined where there is only one. Step 0 is the model before training. */
  from?: Measured
  /** The measurement of the result. */
  to: Measured
  /** Where training steps were measured: of how many of them each end is the mean. */
  steps?: number
  /** Of a mean reward, where the log has its spread: the standard error of `to` less `from`, and over how many rows. */
  difference?: { error: number; rows: number }
}

type Facts = {
  /** The setting. */
  bestMetric?: unknown
  /** How many rows were held out. */
  heldRows?: unknown
  /** The step whose weights the result has. */
  through?: number
}

/** Of evaluations, the most telling first: the loss of a policy gradient says nothing, and pairs are soon all in order. */
const judgedBy = ['reward', 'accuracy', 'loss', 'rewards/accuracies']
/**
 * In self-play each iteration has other rows to tell apart, so only what is measured on the data alone can be compared. Exact
 * matches tell most where answers are short; longer answers never match, and the share stays at 0.
 */
const judgedByInSelfPlay = ['exact_match', 'nll', 'margin']
/** Of an evaluation: the standard deviation of its rows' rewards, and how many rows have none. */
const rewardSpread = 'reward_std'
const failedRewards = 'rewards/failed'
/** Of training steps. */
const trainedBy = ['reward', 'loss']

/** The metrics that a change may be of, as logs name them. */
export const judgingMetrics = (bestMetric?: unknown): Set<string> =>
  new Set([
    ...[...judgedBy, ...judgedByInSelfPlay, rewardSpread, failedRewards].map((name) => `eval_${name}`),
    ...trainedBy,
    'iteration',
    ...(typeof bestMetric === 'string' ? [bestMetric] : []),
  ])

/** @returns undefined where nothing was measured */
export const changeOf = (curves: Curves, facts: Facts = {}): Change | undefined =>
  evaluated(curves, facts) ?? trained(curves)

const evaluated = (curves: Curves, { bestMetric, heldRows, through }: Facts): Change | undefined => {
  const inIterations = curves.has('iteration')
  // What the user chose to judge by, if it is not what all runs of the method have
  const chosen = typeof bestMetric === 'string' && bestMetric !== 'eval_loss' ? bestMetric.replace(/^eval_/, '') : ''
  const metrics = inIterations ? judgedByInSelfPlay : [chosen, ...judgedBy]
  const pointsOf = (name: string) =>
    (curves.get(`eval_${name}`) ?? []).filter(([step], i) => i === 0 || through === undefined || step <= through)
  const measured = metrics.filter((name) => pointsOf(name).length)
  const metric = measured.find((name) => name !== 'exact_match' || hasMoved(pointsOf(name))) ?? measured[0]
  if (metric === undefined) return undefined
  const points = pointsOf(metric)
  const [first, last] = [points[0], points.at(-1)!].map(([step, value]) => ({ step, value }))
  // Before the first step policy and reference model are the same, which counts as no pair in order
  const hasFirst = points.length > 1 && !(metric === 'rewards/accuracies' && first.step === 0)
  const change = { metric, heldOut: !inIterations || heldRows !== undefined, to: last }
  if (!hasFirst) return change
  const difference = metric === 'reward' ? rewardDifference(curves, first, last, heldRows) : undefined
  return { ...change, from: first, ...(difference && { difference }) }
}

const hasMoved = (points: readonly (readonly [number, number])[]) => points.some(([, value]) => value !== points[0][1])

/**
 * Of the means of two evaluations by the spread of each. The log has no rows' own rewards, so they are taken for independent:
 * the same rows are mostly alike in both, and by pairs of them the error would be smaller.
 */
const rewardDifference = (curves: Curves, from: Measured, to: Measured, heldRows: unknown): Change['difference'] => {
  const at = (name: string, step: number) => curves.get(`eval_${name}`)?.findLast(([other]) => other === step)?.[1]
  const ends = [from, to].map(({ step }) => {
    const spread = at(rewardSpread, step)
    const rows = Number(heldRows) - (at(failedRewards, step) ?? 0)
    return { rows, error: spread === undefined ? Number.NaN : spread / Math.sqrt(rows) }
  })
  const rows = Math.min(...ends.map((end) => end.rows))
  const error = Math.hypot(...ends.map((end) => end.error))
  if (!(rows > 1) || !Number.isFinite(error)) return undefined
  return { error, rows }
}

/** Of one training: later iterations learn other rows, whose losses cannot be compared with the first. */
const trained = (curves: Curves): Change | undefined => {
  if (curves.has('iteration')) return undefined
  const metric = trainedBy.find((name) => curves.get(name)?.length)
  if (metric === undefined) return undefined
  const points = curves.get(metric)!
  const steps = endSteps(points.length)
  const mean = (part: typeof points): Measured => ({
    step: part.at(-1)![0],
    value: meanOf(part),
  })
  return {
    ...{ metric, heldOut: false, steps },
    ...(points.length > 1 && { from: mean(points.slice(0, steps)) }),
    to: mean(points.slice(-steps)),
  }
}

/** Of each metric of training steps: the mean over the last ones. */
export const lastMeans = (curves: Curves): Record<string, number> =>
  Object.fromEntries(
    [...curves]
      .filter(([name]) => !name.startsWith('eval_'))
      .map(([name, points]) => [name, meanOf(points.slice(-endSteps(points.length)))]),
  )

const meanOf = (points: readonly (readonly [number, number])[]) =>
  points.reduce((sum, [, value]) => sum + value, 0) / points.length

/** A fifth of all steps, at least five where there are as many, and never more than half. */
const endSteps = (steps: number) => Math.max(1, Math.min(Math.floor(steps / 2), Math.max(5, Math.floor(steps / 5))))
