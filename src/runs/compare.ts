/** Compares runs: the settings in which they differ, and their last metrics. */

type Comparable = {
  name: string
  info: { method: string; config: Readonly<Record<string, unknown>>; places?: Readonly<Record<string, unknown>> }
  steps: number
  last: Readonly<Record<string, number>>
  evaluation?: Readonly<Record<string, number>>
}

export type Comparison = {
  runs: string[]
  /** Settings whose values differ, one value a run; undefined where a run has none. */
  settings: Record<string, unknown[]>
  /** Metrics of the last step and the last evaluation. */
  metrics: Record<string, (number | undefined)[]>
}

/** Settings that always differ. */
const ignoredSettings = new Set(['output', 'resume'])
/** Metrics that say nothing about quality. */
const counters = new Set(['step', 'total_steps', 'seconds', 'tokens_per_second', 'learning_rate'])

export const compareRuns = (runs: readonly Comparable[]): Comparison => {
  // Equal relative paths of two runs may be different places, so absolute ones are compared where all runs have them
  const arePlaced = runs.every(({ info }) => info.places)
  const settings = runs.map(({ info }) => ({ method: info.method, ...info.config, ...(arePlaced && info.places) }))
  const metrics = runs.map(({ steps, last, evaluation }) => ({ steps, ...without(last), ...without(evaluation ?? {}) }))
  const differs = ([, values]: [string, unknown[]]) => new Set(values.map((value) => JSON.stringify(value))).size > 1
  return {
    runs: runs.map(({ name }) => name),
    settings: Object.fromEntries(Object.entries(across(settings, ignoredSettings)).filter(differs)),
    metrics: across(metrics, counters),
  }
}

const without = (metrics: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => !counters.has(name)))

/** [{a: 1}, {a: 2}] -> {a: [1, 2]} */
const across = <T>(rows: readonly Readonly<Record<string, T>>[], skip: ReadonlySet<string>) =>
  Object.fromEntries(
    [...new Set(rows.flatMap((row) => Object.keys(row)))]
      .filter((name) => !skip.has(name))
      .map((name) => [name, rows.map((row): T | undefined => row[name])]),
  )
