/** The findings of the lab: curves over seeds with intervals, counts of seeds that succeeded, and the conclusions. */
import type { Point } from '../../report/lineChart.ts'
import { tInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import { maxEpisodeSteps } from './env.ts'
import { type RunResult, solvedAt } from './run.ts'
import { episodesPerBatch, type Method } from './settings.ts'

/**
 * Mean episode length over seeds. `interval` is Student's t at 95 %, clipped to the lengths that are possible; there is none
 * for a single seed.
 */
type LengthCurve = { points: Point[]; interval?: Point[] }

export type Finding = {
  method: Method
  runs: { seed: number; mean: number; solved?: number; bestEpisode: number; steps: number; seconds: number }[]
  /** How many seeds have best weights with a mean of 475 steps over 100 fresh episodes. */
  reached: number
  /** How many seeds had that mean over 100 episodes in a row at some time during training. */
  solved: number
  byEpisode: LengthCurve
  byStep: LengthCurve
  stepsPerSecond: number
}

/** Each point of a curve is the mean of this many episodes. */
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
      byEpisode: curveOf(own, episodeNumbers, linear),
      byStep: curveOf(own, (run) => run.ends, logarithmic),
      stepsPerSecond: sum('steps') / sum('seconds'),
    }
  })

/** Grids of x up to `last`; neighbours may be equal. */
const linear = (last: number) =>
  Array.from({ length: gridPoints }, (_, i) => Math.max(1, Math.round((last * (i + 1)) / gridPoints)))

const logarithmic = (last: number) =>
  Array.from({ length: gridPoints }, (_, i) => Math.round(500 * (Math.max(last, 1000) / 500) ** (i / (gridPoints - 1))))

/**
 * The mean over runs. A run that is over keeps its last value; the curve begins where every run has ended an episode.
 * @param endsOf  the x at which each episode of a run ended: its number, or the number of training steps
 */
const curveOf = (
  runs: readonly RunResult[],
  endsOf: (run: RunResult) => readonly number[],
  gridTo: (last: number) => number[],
): LengthCurve => {
  const ends = runs.map(endsOf)
  const grid = [...new Set(gridTo(Math.max(...ends.map((own) => own.at(-1)!))))]
  const rows = grid
    .map((x) => ({ x, values: runs.map((run, i) => trailingMean(run.lengths, ends[i], x)) }))
    .filter(({ values }) => values.every(Number.isFinite))
  const intervals = rows.map(({ values }) => tInterval(values))
  const clipped = (length: number) => Math.min(maxEpisodeSteps, Math.max(0, length))
  return {
    points: rows.map(({ x }, i) => [x, intervals[i].value]),
    ...(runs.length > 1 && { interval: intervals.map(({ low, high }): Point => [clipped(low), clipped(high)]) }),
  }
}

/** Mean length of the last 20 episodes that ended by x; NaN where none has. @param ends the x at which each episode ended */
const trailingMean = (lengths: readonly number[], ends: readonly number[], x: number): number => {
  const beyond = ends.findIndex((end) => end > x)
  const count = beyond < 0 ? ends.length : beyond
  return mean(lengths.slice(Math.max(0, count - window), count))
}

const episodeNumbers = ({ lengths }: RunResult) => lengths.map((_, i) => i + 1)

/** The curve of one run over its episodes. */
export const runCurve = (run: RunResult): Point[] => {
  const ends = episodeNumbers(run)
  return linear(ends.length).map((x) => [x, trailingMean(run.lengths, ends, x)])
}

export const cartpoleConclusions = (findings: readonly Finding[]): string[] => {
  const of = (method: Method) => findings.find((finding) => finding.method === method)
  const range = ({ runs }: Finding) =>
    `${Math.min(...runs.map((run) => run.mean)).toFixed(0)} to ${Math.max(...runs.map((run) => run.mean)).toFixed(0)}`
  const successes = (name: string, finding: Finding | undefined) =>
    finding
      ? [
          `${name} reached a mean of ${solvedAt} steps over 100 fresh episodes on ${finding.reached} of ${finding.runs.length} seeds (best weights of each: ${range(finding)}); while training, the last 100 episodes did so on ${finding.solved}.`,
        ]
      : []
  const tutorial = of('ppo-resampled')
  return [
    ...successes('PPO', of('ppo')),
    ...successes('REINFORCE with an update from each episode', of('reinforce')),
    ...successes(`REINFORCE with an update from ${episodesPerBatch} episodes`, of('reinforce-batch')),
    ...(tutorial
      ? [
          `The tutorial's PPO ended at a mean length of ${tutorial.byEpisode.points.at(-1)![1].toFixed(0)}: it draws its actions anew when it recomputes log-probs, and multiplies each ratio with every advantage, so nothing ties a reward to an action.`,
        ]
      : []),
  ]
}
