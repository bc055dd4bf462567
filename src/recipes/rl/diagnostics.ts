/**
 * Signs that a run goes wrong while its reward goes up: the policy says one thing only, answers grow or shrink, repeat
 * themselves or never end, rewards fail or tell nothing apart. Peculiar: what is odd is odd against the first rollout; each
 * sign is told when it is first seen and counted to the end, and the counts are part of a checkpoint.
 */

import { z } from 'zod'
import type { WarningEvent } from '../../runs/events.ts'

const watchSchema = z.object({
  first: z.record(z.string(), z.number()),
  counts: z.record(z.string(), z.number()),
})
export type Diagnostics = z.infer<typeof watchSchema>

export const noDiagnostics: Diagnostics = { first: {}, counts: {} }
export const diagnosticsOf = (state: unknown): Diagnostics => watchSchema.safeParse(state).data ?? noDiagnostics

type Measures = Readonly<Record<string, unknown>>
type Diagnostic = {
  /** By how much the count goes up in this rollout. */
  seen(now: (name: string) => number, first: (name: string) => number): number
  message: string
}

const [length, clipped, repetition] = ['completions/mean_length', 'completions/clipped_ratio', 'completions/repetition']

const signs: Record<string, Diagnostic> = {
  'reward-failed': {
    seen: (now) => now('rewards/failed') || 0,
    message: 'rewards failed; their samples were left out',
  },
  'no-signal': {
    seen: (now) => Number(now('frac_reward_zero_std') === 1),
    message: 'rollouts in which all samples of each prompt had the same reward, so that there was nothing to learn',
  },
  'never-ends': {
    seen: (now) => Number(now(clipped) === 1),
    message: 'rollouts without one answer that ended; raise --max-new-tokens, or train a model that ends its answers',
  },
  'missing-eos': {
    seen: (now, first) => Number(now(clipped) < 1 && now(clipped) > first(clipped) + 0.3),
    message: 'rollouts in which far more answers were cut off than in the first',
  },
  'entropy-collapse': {
    seen: (now, first) => Number(now('entropy') < 0.1 * first('entropy')),
    message: 'rollouts whose entropy is below a tenth of the first: samples are nearly all alike',
  },
  'length-drift': {
    seen: (now, first) => Number(now(length) > 2 * first(length) || now(length) < 0.5 * first(length)),
    message: 'rollouts whose answers are more than twice, or less than half, as long as in the first',
  },
  repetition: {
    seen: (now, first) => Number(now(repetition) > Math.max(0.3, 2 * first(repetition))),
    message: 'rollouts whose answers repeat themselves; the reward may like that',
  },
  'off-policy': {
    seen: (now) => Number(now('sampling/ratio_error') > 1e-4),
    message: 'rollouts whose log-probs differ between decoder and training by more than 1e-4',
  },
}

/** After a rollout's first step. @returns what is told now */
export const diagnose = (watch: Diagnostics, measures: Measures): { watch: Diagnostics; warnings: WarningEvent[] } => {
  const number = (from: Measures) => (name: string) => {
    const value = from[name]
    return typeof value === 'number' ? value : Number.NaN
  }
  const watched = [length, clipped, repetition, 'entropy']
  const first = Object.keys(watch.first).length
    ? watch.first
    : Object.fromEntries(watched.map((name) => [name, number(measures)(name)]).filter(([, x]) => !Number.isNaN(x)))
  const counts = { ...watch.counts }
  const warnings: WarningEvent[] = []
  for (const [code, { seen, message }] of Object.entries(signs)) {
    const more = seen(number(measures), number(first))
    if (!more) continue
    if (!counts[code]) warnings.push({ event: 'warning', code, message, count: more })
    counts[code] = (counts[code] ?? 0) + more
  }
  return { watch: { first, counts }, warnings }
}

/** At the end, of what was seen more than once. */
export const summarizeDiagnostics = ({ counts }: Diagnostics): WarningEvent[] =>
  Object.entries(counts)
    .filter(([, count]) => count > 1)
    .map(([code, count]) => ({ event: 'warning', code, message: signs[code].message, count }))
