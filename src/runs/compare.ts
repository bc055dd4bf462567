/**
 * Compares runs: the settings in which they differ, and the metrics that mean the same in all of them. Losses of different
 * methods do not, so these are told apart from the others.
 */

import { type Change, changeOf, lastMeans } from './change.ts'
import type { Curves } from './curves.ts'

type Comparable = {
  name: string
  info: {
    method: string
    objective?: unknown
    eval_rows?: unknown
    config: Readonly<Record<string, unknown>>
    places?: Readonly<Record<string, unknown>>
  }
  steps: number
  /** All that was logged. */
  curves: Curves
  /** The step whose weights the result has. */
  through?: number
}

export type Comparison = {
  runs: string[]
  /** Settings whose values differ, one value a run; undefined where a run has none. */
  settings: Record<string, unknown[]>
  /** What all runs can be compared by: means of the last training steps, and the evaluation of the result, as `eval_...`. */
  metrics: Record<string, (number | undefined)[]>
  /** What each run changed, where the losses cannot be compared. */
  apart?: { why: string; changes: (Change | undefined)[] }
  /** Why numbers of held-out rows may differ beside the models. */
  note?: string
}

/** Settings that always differ. */
const ignoredSettings = new Set(['output', 'resume'])
/** Metrics that say nothing about quality. */
const counters =
  /^(eval_)?(step|total_steps|seconds|tokens_per_second|learning_rate|epoch|num_tokens|iteration|rollout|update|time\/.*)$/
/** Metrics whose scale is that of the loss. */
const ofTheLoss = /^(eval_)?(loss|grad_norm)$/

export const compareRuns = (runs: readonly Comparable[]): Comparison => {
  // Equal relative paths of two runs may be different places, so absolute ones are compared where all runs have them
  const arePlaced = runs.every(({ info }) => info.places)
  const settings = runs.map(({ info }) => ({ method: info.method, ...info.config, ...(arePlaced && info.places) }))
  const losses = lossesOf(runs)
  const isSame = losses.length < 2
  const metrics = runs.map(({ steps, curves, through }) => ({ steps, ...measuresOf(curves, through) }))
  const differs = ([, values]: [string, unknown[]]) => new Set(values.map((value) => JSON.stringify(value))).size > 1
  // Of different methods only what held-out rows were measured by in more than one run
  const isShared = ([name, values]: [string, unknown[]]) =>
    isSame ||
    name === 'steps' ||
    (name.startsWith('eval_') && !ofTheLoss.test(name) && values.filter((value) => value !== undefined).length > 1)
  const differing = Object.entries(across(settings, (key) => !ignoredSettings.has(key))).filter(differs)
  const note = heldOutNote(runs, new Set(differing.map(([key]) => key)))
  return {
    runs: runs.map(({ name }) => name),
    settings: Object.fromEntries(differing),
    metrics: Object.fromEntries(Object.entries(across(metrics, (name) => !counters.test(name))).filter(isShared)),
    ...(!isSame && { apart: { why: apartText(losses), changes: runs.map(changeOfRun) } }),
    ...(note !== undefined && { note }),
  }
}

/** What the runs minimise. Of a run of another tool only its curves are known, so it is taken for one of the same kind. */
const lossesOf = (runs: readonly Comparable[]): string[] => {
  const lossOf = ({ method, objective, config }: Comparable['info']) => {
    const name = objective ?? config.loss
    return typeof name === 'string' && name !== method ? `${method} (${name})` : method
  }
  return [...new Set(runs.filter(({ info }) => 'model' in info.config).map(({ info }) => lossOf(info)))]
}

const apartText = (losses: readonly string[]): string =>
  `The losses of ${losses.slice(0, -1).join(', ')} and ${losses.at(-1)} measure different things: which is lower says nothing about which run is better.`

const changeOfRun = ({ curves, info, through }: Comparable) =>
  changeOf(curves, { bestMetric: info.config.bestMetric, heldRows: info.eval_rows, through })

/** Settings that decide which rows are held out of the training files. */
const splits = ['data', 'evalSplit', 'maxSamples', 'seed']

const heldOutNote = (runs: readonly Comparable[], differing: ReadonlySet<string>): string | undefined => {
  const evaluated = runs.filter(({ curves }) => [...curves.keys()].some((name) => name.startsWith('eval_')))
  if (evaluated.length < 2) return undefined
  const isSplit = evaluated.some(({ info }) => info.config.evalSplit !== undefined)
  const areOthers = differing.has('evalData') || (isSplit && splits.some((key) => differing.has(key)))
  return areOthers
    ? 'Their held-out rows may not be the same, so a small difference there says little; --eval-data gives all runs the same.'
    : undefined
}

const measuresOf = (curves: Curves, through = Number.POSITIVE_INFINITY): Record<string, number> => {
  const evaluated = [...curves].flatMap(([name, points]) => {
    const value = name.startsWith('eval_') ? points.filter(([step]) => step <= through).at(-1)?.[1] : undefined
    return value === undefined ? [] : [[name, value]]
  })
  return { ...lastMeans(curves), ...Object.fromEntries(evaluated) }
}

/** [{a: 1}, {a: 2}] -> {a: [1, 2]} */
const across = <T>(rows: readonly Readonly<Record<string, T>>[], isKept: (name: string) => boolean) =>
  Object.fromEntries(
    [...new Set(rows.flatMap((row) => Object.keys(row)))]
      .filter(isKept)
      .map((name) => [name, rows.map((row): T | undefined => row[name])]),
  )
