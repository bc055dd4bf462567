/** The findings of the lab: curves over seeds with intervals, counts of seeds that succeeded, and the conclusions. */

import type { Point } from '../../report/lineChart.ts'
import { tInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import { maxEpisodeSteps } from './env.ts'
import { type RunResult, solvedAt } from './run.ts'
import { episodesPerBatch, type Method } from './settings.ts'

/** Mean length over seeds. `interval` is Student's t at 95 %, cut to what a length can be; none for a single seed. */
type LengthCurve = { points: Point[]; interval?: Point[] }

export type Finding = {
  method: Method
  runs: { seed: number; mean: number; solved?: number; bestEpisode: number; steps: number; seconds: number }[]
  /** Seeds whose best weights have a mean of 475 steps over 100 fresh episodes. */
  reached: number
  /** Seeds of which 100 episodes in a row had that mean during training. */
  solved: number
  byEpisode: LengthCurve
  byStep: LengthCurve
  stepsPerSecond: number
}

/** Each point of a curve is the mean of so many episodes. */
export const window = 20
const gridPoints = 80

export const findingsOf = (results: readonly RunResult[]): Finding[] =>
  [...new Set(results.map(({ method }) => method))].map((method) => {
    const own = results.filter((result) => result.method === method)
    const runs = own.map(({ seed, best, solved, steps, seconds }) => ({
      seed,
      mean: best.mean,
      solved,
      bestEpisode: best.episode,
      steps,
      seconds,
    }))
    const sum = (key: 'steps' | 'seconds') => runs.reduce((total, run) => total + run[key], 0)
    return {
      method,
      runs,
      reached: runs.filter((run) => run.mean >= solvedAt).length,
      solved: runs.filter((run) => run.solved !== undefined).length,
      byEpisode: curveOf(own, (run) => run.lengths.map((_, i) => i + 1), linear),
      byStep: curveOf(own, (run) => run.ends, logarithmic),
      stepsPerSecond: sum('steps') / sum('seconds'),
    }
  })

const linear = (last: number) =>
  Array.from({ length: gridPoints }, (_, i) => Math.max(1, Math.round((last * (i + 1)) / gridPoints)))

const logarithmic = (last: number) =>
  Array.from({ length: gridPoints }, (_, i) => Math.round(500 * (Math.max(last, 1000) / 500) ** (i / (gridPoints - 1))))

/** A run that is over keeps its last value. There is no point before every run has ended an episode. */
const curveOf = (
  runs: readonly RunResult[],
  placesOf: (run: RunResult) => readonly number[],
  gridTo: (last: number) => number[],
): LengthCurve => {
  const places = runs.map(placesOf)
  const grid = [...new Set(gridTo(Math.max(...places.map((own) => own.at(-1)!))))]
  const rows = grid
    .map((x) => ({ x, values: runs.map((run, i) => trailing(run.lengths, places[i], x)) }))
    .filter(({ values }) => values.every(Number.isFinite))
  const spans = rows.map(({ values }) => tInterval(values))
  const within = (value: number) => Math.min(maxEpisodeSteps, Math.max(0, value))
  return {
    points: rows.map(({ x }, i) => [x, spans[i].value]),
    ...(runs.length > 1 && { interval: spans.map(({ low, high }): Point => [within(low), within(high)]) }),
  }
}

/** Mean of the last 20 episodes that ended by x. */
const trailing = (lengths: readonly number[], places: readonly number[], x: number): number => {
  const beyond = places.findIndex((place) => place > x)
  const end = beyond < 0 ? places.length : beyond
  return mean(lengths.slice(Math.max(0, end - window), end))
}

/** The curve of one run. */
export const runCurve = ({ lengths }: RunResult): Point[] => {
  const places = lengths.map((_, i) => i + 1)
  return linear(lengths.length).map((x) => [x, trailing(lengths, places, x)])
}

export const cartpoleConclusions = (findings: readonly Finding[]): string[] => {
  const of = (method: Method) => findings.find((finding) => finding.method === method)
  const range = ({ runs }: Finding) =>
    `${Math.min(...runs.map((run) => run.mean)).toFixed(0)} to ${Math.max(...runs.map((run) => run.mean)).toFixed(0)}`
  const said = (name: string, finding: Finding | undefined) =>
    finding
      ? [
          `${name} reached a mean of ${solvedAt} steps over 100 fresh episodes on ${finding.reached} of ${finding.runs.length} seeds (best weights of each: ${range(finding)}); while training, the last 100 episodes did so on ${finding.solved}.`,
        ]
      : []
  const flat = of('ppo-resampled')
  return [
    ...said('PPO', of('ppo')),
    ...said('REINFORCE with an update from each episode', of('reinforce')),
    ...said(`REINFORCE with an update from ${episodesPerBatch} episodes`, of('reinforce-batch')),
    ...(flat
      ? [
          `The notebook's PPO ended at a mean length of ${flat.byEpisode.points.at(-1)![1].toFixed(0)}: it draws its actions anew when it recomputes log-probs, and multiplies each ratio with every advantage, so nothing ties a reward to an action.`,
        ]
      : []),
  ]
}
