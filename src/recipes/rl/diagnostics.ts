/**
 * Diagnostics of an RL run: warnings that it goes wrong although its reward may go up. Entropy collapses, completions grow
 * or shrink, repeat themselves or never end, rewards fail or tell nothing apart.
 *
 * Changes are measured against the first rollout. Each warning is given when its reason is first seen, and counted to the
 * end. The counts are part of a checkpoint, so a resumed run does not warn again.
 */

import { z } from 'zod'
import type { WarningEvent } from '../../runs/events.ts'

const diagnosticsSchema = z.object({
  /** Metrics of the first rollout. */
  first: z.record(z.string(), z.number()),
  /** How often each warning had a reason, by code. */
  counts: z.record(z.string(), z.number()),
})
export type Diagnostics = z.infer<typeof diagnosticsSchema>

export const noDiagnostics: Diagnostics = { first: {}, counts: {} }

/** @param state what a checkpoint kept, if anything */
export const diagnosticsOf = (state: unknown): Diagnostics => diagnosticsSchema.safeParse(state).data ?? noDiagnostics

type Metrics = Readonly<Record<string, unknown>>
/** A metric by its name; NaN where it was not measured, which compares as false. */
type MetricOf = (name: string) => number

type Check = {
  /** By how much this rollout raises the count; 0 where all is well. */
  count(now: MetricOf, first: MetricOf): number
  message: string
}

const meanLength = 'completions/mean_length'
const clippedRatio = 'completions/clipped_ratio'
const repetition = 'completions/repetition'

const checks: Record<string, Check> = {
  'reward-failed': {
    count: (now) => now('rewards/failed') || 0,
    message: 'rewards failed; their samples were left out',
  },
  'no-signal': {
    count: (now) => Number(now('frac_reward_zero_std') === 1),
    message: 'rollouts in which all samples of each prompt had the same reward, so that there was nothing to learn',
  },
  'never-ends': {
    count: (now) => Number(now(clippedRatio) === 1),
    message:
      'rollouts without one completion that ended; raise --max-new-tokens, or train a model that ends its completions',
  },
  'missing-eos': {
    count: (now, first) => Number(now(clippedRatio) < 1 && now(clippedRatio) > first(clippedRatio) + 0.3),
    message: 'rollouts in which far more completions were cut off than in the first',
  },
  'entropy-collapse': {
    count: (now, first) => Number(now('entropy') < 0.1 * first('entropy')),
    message: 'rollouts whose entropy is below a tenth of the first: samples are nearly all alike',
  },
  'length-drift': {
    count: (now, first) => Number(now(meanLength) > 2 * first(meanLength) || now(meanLength) < 0.5 * first(meanLength)),
    message: 'rollouts whose completions are more than twice, or less than half, as long as in the first',
  },
  repetition: {
    count: (now, first) => Number(now(repetition) > Math.max(0.3, 2 * first(repetition))),
    message: 'rollouts whose completions repeat themselves; the reward may favour that',
  },
  'off-policy': {
    count: (now) => Number(now('sampling/ratio_error') > 1e-4),
    message: 'rollouts whose log-probs differ between decoder and training by more than 1e-4',
  },
}

/** Metrics of the first rollout that later ones are compared with. */
const comparedMetrics = [meanLength, clippedRatio, repetition, 'entropy']

/**
 * After the first update on a rollout.
 * @param metrics of that step
 * @returns the diagnostics with this rollout, and the warnings that it is the first to give
 */
export const diagnose = (
  before: Diagnostics,
  metrics: Metrics,
): { diagnostics: Diagnostics; warnings: WarningEvent[] } => {
  const metricOf =
    (from: Metrics): MetricOf =>
    (name) => {
      const value = from[name]
      return typeof value === 'number' ? value : Number.NaN
    }
  const now = metricOf(metrics)
  const first = Object.keys(before.first).length
    ? before.first
    : Object.fromEntries(comparedMetrics.map((name) => [name, now(name)]).filter(([, x]) => !Number.isNaN(x)))
  const counts = { ...before.counts }
  const warnings: WarningEvent[] = []
  for (const [code, { count, message }] of Object.entries(checks)) {
    const more = count(now, metricOf(first))
    if (!more) continue
    if (!counts[code]) warnings.push({ event: 'warning', code, message, count: more })
    counts[code] = (counts[code] ?? 0) + more
  }
  return { diagnostics: { first, counts }, warnings }
}

/** At the end of a run: a warning for each reason that was seen more than once. */
export const summarizeDiagnostics = ({ counts }: Diagnostics): WarningEvent[] =>
  Object.entries(counts)
    .filter(([, count]) => count > 1)
    .map(([code, count]) => ({ event: 'warning', code, message: checks[code].message, count }))
