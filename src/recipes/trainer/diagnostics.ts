/**
 * Diagnostics of a run of any method: warnings that its settings or its data hardly let it learn, and that its loss, accuracy or
 * margins go wrong. rl/diagnostics.ts has those that only rollouts can give.
 *
 * The checks are pure functions of the settings, of the `start` event, and of the metrics of the steps and evaluations so far. A
 * resumed run reads these from its log, so that it warns of what a run that never stopped would warn of. Thresholds are wide:
 * a warning shall be worth its line.
 */

import type { StartEvent, WarningEvent } from '../../runs/events.ts'
import { deviation, mean, standardError } from '../../statistics/summary.ts'
import { formatNumber, plural, whole } from '../../util/format.ts'
import { ratesOf } from './learningRates.ts'

type Settings = Readonly<Record<string, unknown>>
type Logged = Readonly<Record<string, unknown>>

/** A message where there is a reason to warn. */
type Finding = string | undefined

const number = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN)

const warningsOf = (findings: Readonly<Record<string, Finding>>): WarningEvent[] =>
  Object.entries(findings).flatMap(([code, message]) => (message ? [{ event: 'warning', code, message }] : []))

// At the start

/** Warnings about the settings and the rows of a run that begins. */
export const diagnoseStart = (method: string, settings: Settings, start: StartEvent): WarningEvent[] =>
  warningsOf({
    'most-rows-dropped': mostRowsDropped(start),
    'epoch-below-step': epochBelowStep(settings, start),
    'warmup-too-long': warmupTooLong(settings, start),
    'learning-rate': unusualLearningRate(method, settings, start),
  })

const mostRowsDropped = ({ rows, dropped = {} }: StartEvent): Finding => {
  const reasons = Object.entries(dropped).sort(([, a], [, b]) => b - a)
  const left = reasons.reduce((n, [, count]) => n + count, 0)
  if (left <= rows) return undefined
  return `most rows are not used: ${whole(left)} of ${whole(left + rows)} are left out, most of them as '${reasons[0][0]}'; ${whyDropped[reasons[0][0]] ?? 'see whether the file, its columns and the length limits are the intended ones'}`
}

/** Reasons that are no mistake by themselves. */
const whyDropped: Readonly<Record<string, string>> = {
  undesirable: 'bad answers are not imitated: kto learns from them, too',
  'no-label': 'their label or rating is empty',
}

const epochBelowStep = ({ batchSize, gradAccum = 1 }: Settings, { rows }: StartEvent): Finding => {
  const perStep = number(batchSize) * number(gradAccum)
  if (!(perStep > rows)) return undefined
  return `one step takes ${whole(perStep)} rows, and there are only ${whole(rows)}: an epoch is less than a step; lower --batch-size or --grad-accum, or raise --epochs`
}

/** Iterations of self-play warm up anew. */
const warmupTooLong = ({ schedule, warmupSteps, iterations = 1 }: Settings, { total_steps }: StartEvent): Finding => {
  const steps = Math.ceil(total_steps / number(iterations))
  if (schedule === 'constant' || !(number(warmupSteps) >= steps)) return undefined
  return `the warm-up takes ${plural(number(warmupSteps), 'step')}, and there are only ${whole(steps)}: the learning rate never reaches its peak; lower --warmup-steps`
}

/** Further than this factor beyond the range is far outside. */
const far = 4
/** Smaller models bear, and need, higher learning rates than those ranges. */
const smallModel = 30e6

const unusualLearningRate = (method: string, settings: Settings, { parameters, adapter }: StartEvent): Finding => {
  const rates = ratesOf(method, adapter !== undefined)
  if (!rates || settings.optimizer === 'sgd') return undefined
  const rate = number(Array.isArray(settings.learningRate) ? settings.learningRate[0] : settings.learningRate)
  const [low, high] = rates.usual
  const place = rate < low / far ? 'below' : rate > high * far && parameters >= smallModel ? 'above' : undefined
  if (!place) return undefined
  const trained = adapter ? 'with LoRA' : 'of all weights'
  const effect = place === 'below' ? 'the model will hardly change' : 'the model may forget what it could'
  return `a learning rate of ${formatNumber(rate)} is far ${place} what ${method} ${trained} usually takes (${formatNumber(low)} to ${formatNumber(high)}): ${effect}; see --learning-rate`
}

// While it runs

type Step = { loss: number; accuracy: number; margin: number; iteration: number }
/** What the log says so far: metrics of every step, NaN where one is not measured, and the loss of every evaluation. */
export type History = { steps: Step[]; evals: { after: number; loss: number }[] }

/** Adds a step or an evaluation to the history; other events say nothing. */
export const record = ({ steps, evals }: History, event: Logged): void => {
  if (event.event === 'step')
    steps.push({
      // The loss of a policy gradient does not fall where it learns
      loss: event.reward === undefined ? number(event.loss) : Number.NaN,
      accuracy: number(event['rewards/accuracies'] ?? event.accuracy),
      margin: number(event['rewards/margins'] ?? event.margin),
      iteration: number(event.iteration ?? 0),
    })
  else if (event.event === 'eval') evals.push({ after: steps.length, loss: number(event.eval_loss) })
}

/** Warnings after a step. */
export const diagnoseStep = (history: History): WarningEvent[] =>
  warningsOf({ 'margins-explode': marginsExplode(history) })

/** Warnings after an evaluation. */
export const diagnoseEval = (history: History): WarningEvent[] => warningsOf({ overfitting: overfitting(history) })

const window = 5
/** In nats: at such a margin the sigmoid of a pair is 1 to nine digits. */
const explodedMargin = 20

const marginsExplode = ({ steps }: History): Finding => {
  if (steps.length < 2 * window) return undefined
  const means = (part: readonly Step[]) => mean(part.map(({ margin }) => margin))
  const now = means(steps.slice(-window))
  if (!(now - means(steps.slice(0, window)) > explodedMargin)) return undefined
  return `reward margins have grown to ${formatNumber(now)}: the pairs are long told apart, and the model only moves further away from where it began; lower --learning-rate or --epochs, or raise --beta where the method has one`
}

/** How much a held-out loss must rise above its best, twice in a row. */
const risen = 1.02

const overfitting = ({ steps, evals }: History): Finding => {
  if (evals.length < 3) return undefined
  const earlier = evals.slice(0, -2)
  const best = earlier.reduce((a, b) => (b.loss < a.loss ? b : a))
  if (!(best.loss > 0) || !evals.slice(-2).every(({ loss }) => loss > risen * best.loss)) return undefined
  // Training losses since the best evaluation, and as many before it
  const since = steps.slice(best.after)
  const before = steps.slice(Math.max(0, best.after - since.length), best.after)
  const losses = (part: readonly Step[]) => mean(part.map(({ loss }) => loss))
  if (!(losses(since) < losses(before))) return undefined
  return `overfitting: the loss on held-out rows has risen from ${formatNumber(best.loss)} to ${formatNumber(evals.at(-1)!.loss)} while that of training falls; the result will be the best checkpoint, and fewer --epochs or --patience 2 get there sooner`
}

// At the end

/** Warnings about a run that is over and was not interrupted. */
export const diagnoseEnd = (history: History): WarningEvent[] => {
  const { steps } = history
  const iterations = [...new Set(steps.map(({ iteration }) => iteration))].map((n) =>
    steps.filter(({ iteration }) => iteration === n),
  )
  const long = iterations.filter(({ length }) => length >= enoughSteps)
  const sayTrend = long.length > 0 && long.length === iterations.length
  return warningsOf({
    // An iteration of self-play has other rows to tell apart, so their losses are not compared
    'still-falling': iterations.length === 1 ? stillFalling(history) : undefined,
    ...(sayTrend && {
      'loss-flat': lossFlat(long),
      'loss-rises': lossRises(long.at(-1)!),
      'accuracy-chance': accuracyAtChance(long.at(-1)!),
    }),
  })
}

/** A fall of the held-out loss since the evaluation before the last that is clear: a part of that loss, and of the whole fall. */
const clearFall = { ofLoss: 0.01, ofWhole: 0.1 }

/** The last evaluation is the best, and clearly better than the one before, at the end of a schedule too. */
const stillFalling = ({ evals }: History): Finding => {
  if (evals.length < 3) return undefined
  const losses = evals.map(({ loss }) => loss)
  const [first, before, last] = [losses[0], losses.at(-2)!, losses.at(-1)!]
  const fall = before - last
  const isBest = losses.slice(0, -1).every((loss) => last < loss)
  if (!isBest || !(fall > clearFall.ofLoss * Math.abs(before)) || !(fall > clearFall.ofWhole * (first - last)))
    return undefined
  return `the loss on held-out rows was still falling at the end (${formatNumber(first)} at first, ${formatNumber(before)} at the evaluation before the last, ${formatNumber(last)} at the last): the model has not learnt all that these rows teach; give it more --epochs, or a higher --learning-rate (--find-lr suggests one)`
}

/** Fewer steps say nothing about a trend. */
const enoughSteps = 20

/** Losses of the first and of the last fifth. */
const ends = (steps: readonly Step[]) => {
  const n = Math.max(window, Math.floor(steps.length / 5))
  const losses = steps.map(({ loss }) => loss)
  return { first: losses.slice(0, n), last: losses.slice(-n) }
}

const isFlat = (steps: readonly Step[]): boolean => {
  const { first, last } = ends(steps)
  return Math.abs(mean(first)) > 1e-3 && Math.abs(mean(last) - mean(first)) < 0.02 * Math.abs(mean(first))
}

/** @param iterations steps of each iteration; a method without iterations has one */
const lossFlat = (iterations: readonly (readonly Step[])[]): Finding => {
  if (!iterations.every(isFlat)) return undefined
  const { first, last } = ends(iterations.at(-1)!)
  return `the loss does not move: ${formatNumber(mean(first))} at the beginning, ${formatNumber(mean(last))} at the end; raise --learning-rate (ten times is a good try), or train for more steps`
}

const lossRises = (steps: readonly Step[]): Finding => {
  const { first, last } = ends(steps)
  const noise = Math.hypot(standardError(first), standardError(last))
  const rise = mean(last) - mean(first)
  if (!(rise > Math.max(0.1 * Math.abs(mean(first)), 3 * noise))) return undefined
  return `the loss rises: ${formatNumber(mean(first))} at the beginning, ${formatNumber(mean(last))} at the end; lower --learning-rate, or give it --warmup-steps`
}

/** Of the second half: surely below 0.6, and not above 0.55. */
const accuracyAtChance = (steps: readonly Step[]): Finding => {
  const values = steps.slice(Math.floor(steps.length / 2)).map(({ accuracy }) => accuracy)
  const share = mean(values)
  const error = deviation(values) / Math.sqrt(values.length)
  if (!(share < 0.55 && share + 2 * error < 0.6)) return undefined
  return `the preferred responses are told from the others no better than by chance (accuracy ${formatNumber(share)}); see that the columns are not mixed up and that the preferences follow a rule, and raise --learning-rate`
}
