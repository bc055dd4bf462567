/** How long a training run would take here and how much memory it would need, from a trial of a few of its steps. */
import { totalmem } from 'node:os'
import type { CheckSummary } from '../recipes/check/check.ts'
import type { CostEstimate } from '../recipes/check/checkPage.ts'
import { totalUpdates } from '../recipes/rl/minibatches.ts'
import { type FailedTrial, type Trial, trialRun } from './trialRun.ts'

/** The settings of a method that decide how much it does. */
export type WorkSettings = Readonly<Record<string, unknown>> & {
  epochs: number
  maxSteps?: number
  batchSize: number
  gradAccum: number
  evalEvery?: number
  /** Of methods that learn from rewards. */
  stepsPerGeneration?: number
  numIterations?: number
}

type Rows = Pick<CheckSummary, 'used' | 'tokens' | 'evalRows'>

/** Steps of a first trial, which says how many a second one may take. */
const fewSteps = 3
/**
 * Memory grows at every micro-batch that is larger than all before, because freed smaller pieces cannot hold it. Fewer steps than
 * these have likely not met the largest ones (docs/data.md has the figures).
 */
const enoughSteps = 20
const mostSteps = 24
/** Seconds that the steps of the second trial may take. */
const longestTrial = 120
/** Both trials together take no more than this part of the run, beside the few steps of the first. */
const mostOfRun = 1 / 2

/** Settings that a trial has another value of, or none. */
const ofTrial = {
  ...{ resume: false, findLr: false, pushToHub: undefined, reportTo: undefined, saveEvery: 1e6 },
  ...{ evalData: undefined, evalSplit: undefined, evalEvery: undefined, patience: undefined, bestMetric: undefined },
}

/**
 * Makes a trial and scales it.
 * @param onTrial called before each of at most two trials with its steps, and with the seconds that it will take about, where known
 * @returns undefined after an abort
 */
export const estimateRun = async (
  method: string,
  settings: WorkSettings,
  rows: Rows,
  signal: AbortSignal,
  onTrial: (steps: number, seconds?: number) => void = () => {},
): Promise<CostEstimate | FailedTrial | undefined> => {
  const total = stepsOf(settings, rows.used)
  // A cycle is the steps from one rollout to the next
  const cycle = (settings.stepsPerGeneration ?? 1) * (settings.numIterations ?? 1)
  const tryOut = (cycles: number, seconds?: number) => {
    const maxSteps = Math.min(total, cycles * cycle)
    onTrial(maxSteps, seconds)
    return trialRun(method, { ...settings, ...ofTrial, maxSteps }, signal)
  }
  const few = isRl(settings) ? 2 : fewSteps
  const trial = await tryOut(few)
  if (!trial || 'failed' in trial) return trial
  const estimate = scaled(trial, settings, rows)
  const { cycles, seconds } = secondTrial(trial, estimate, { few, cycle })
  if (cycles <= few || trial.steps.length >= total) return estimate
  const longer = await tryOut(cycles, seconds)
  return longer && !('failed' in longer) ? scaled(longer, settings, rows) : longer
}

const secondsOf = (steps: Trial['steps']) => steps.reduce((sum, { seconds }) => sum + seconds, 0)

/** How long a second trial may be: it would be no help if it took as long as the run. @param cycle steps of one */
export const secondTrial = (
  { steps, setup, reference, finish }: Trial,
  estimate: Pick<CostEstimate, 'seconds' | 'seconds_per_step'>,
  { few, cycle }: { few: number; cycle: number },
): { cycles: number; seconds: number } => {
  const besideSteps = setup + reference.seconds + finish
  const perCycle = estimate.seconds_per_step * cycle
  const left = mostOfRun * estimate.seconds - 2 * besideSteps - secondsOf(steps)
  const cycles = Math.min(mostSteps, Math.floor((longestTrial * few) / secondsOf(steps)), Math.floor(left / perCycle))
  return { cycles, seconds: besideSteps + cycles * perCycle }
}

const isRl = ({ stepsPerGeneration }: WorkSettings) => stepsPerGeneration !== undefined

/** Optimizer steps of the whole run. */
const stepsOf = (settings: WorkSettings, used: number): number => {
  const { epochs, maxSteps = Number.POSITIVE_INFINITY, batchSize, gradAccum } = settings
  const rows = Math.ceil(used * epochs)
  const { stepsPerGeneration, numIterations = 1 } = settings
  const all =
    stepsPerGeneration === undefined
      ? Math.ceil(rows / (batchSize * gradAccum))
      : totalUpdates(rows, { batchSize, gradAccum, stepsPerGeneration, numIterations })
  return Math.min(maxSteps, all)
}

/** The part of a step's time that its forward pass takes, about. */
const forwardShare = 1 / 3

/** The whole run, by the tokens of its rows; of methods that sample by the mean step, since nobody knows how much they will write. */
export const scaled = (trial: Trial, settings: WorkSettings, { used, tokens, evalRows }: Rows): CostEstimate => {
  const { epochs, batchSize, gradAccum, evalEvery } = settings
  const steps = stepsOf(settings, used)
  // The later half: the first steps make sessions and warm up
  const later = trial.steps.slice(Math.floor(trial.steps.length / 2))
  const sum = (of: 'seconds' | 'tokens', list = later) => list.reduce((total, step) => total + step[of], 0)
  const rowTokens = tokens / used
  const perToken = sum('seconds') / sum('tokens')
  const stepTokens = isRl(settings)
    ? sum('tokens') / later.length
    : (Math.min(steps * batchSize * gradAccum, used * epochs) * rowTokens) / steps
  const secondsPerStep = perToken * stepTokens
  const first = Math.max(0, trial.steps[0].seconds - perToken * trial.steps[0].tokens)
  const evaluations = isRl(settings) || !evalRows ? 0 : steps / (evalEvery ?? Math.max(1, steps / epochs))
  const { batches, seconds } = trial.reference
  const measured = sum('tokens', trial.steps.slice(1, batches))
  // Values of the reference model are kept, so that later epochs need none
  const reference = measured ? (seconds / measured) * (Math.min(steps * stepTokens, tokens) + evalRows * rowTokens) : 0
  const evaluation = evaluations * evalRows * rowTokens * perToken * forwardShare
  return {
    seconds_per_step: secondsPerStep,
    steps,
    seconds: trial.setup + first + reference + steps * secondsPerStep + evaluation + trial.finish,
    peak_bytes: trial.peakBytes,
    // A longer trial would have met larger batches
    ...(trial.steps.length < Math.min(steps, enoughSteps) && { peak_is_least: true }),
    of_bytes: memoryThereIs(),
  }
}

/** Bytes of memory of this machine, or of the container that has less. */
const memoryThereIs = (): number => {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
