/** All completions with their rewards and KL, in phases, so that only one model is open at a time. */
import type { Rollout } from '../../generate/completionSampler.ts'
import { chunks } from '../../recipes/trainer/collate.ts'
import {
  type CompareContext,
  type CompletionSet,
  complete,
  computeLogps,
  readLogps,
  scoreCompletions,
} from './completions.ts'
import type { ScoredCompletions } from './findings.ts'
import type { Judge } from './judges.ts'
import { completionKl } from './kl.ts'
import type { ComparedPolicy, OpenedPolicy } from './policies.ts'
import { type CompareProgress, makeProgress, type Progress } from './progress.ts'
import type { PerCompletion } from './rewards.ts'

/** @param sets the base model's first. Undefined after an abort. */
export async function* collectCompletions(
  sets: readonly CompletionSet[],
  judges: readonly Judge[],
  context: CompareContext,
): AsyncGenerator<CompareProgress, Map<ComparedPolicy, ScoredCompletions> | undefined> {
  const [sft] = sets
  const { signal } = context
  const progress = progressOf(sets, judges, context)
  const rollouts = new Map<CompletionSet, Rollout>()
  for (const set of sets) {
    const rollout = yield* complete(set, progress, context)
    if (!rollout) return undefined
    rollouts.set(set, rollout)
  }
  yield* computeRefLogps(sets, rollouts, progress, context)
  const rewards = new Map(sets.map((set) => [set, new Map<string, PerCompletion>()]))
  const sftCompletions = { key: sft.key, rollout: rollouts.get(sft)! }
  for (const judge of judges) {
    for (const set of sets) {
      if (signal.aborted) return undefined
      const scoring = scoreCompletions(set, judge, rollouts.get(set)!, sftCompletions, context)
      const scored = yield* progress.part(judging(judge), set.policy.title, scoring)
      if (!scored) return undefined
      rewards.get(set)!.set(judge.name, byPrompt(scored, context))
    }
    await judge.close()
  }
  if (signal.aborted) return undefined
  const completions = new Map<ComparedPolicy, ScoredCompletions>()
  for (const set of sets)
    completions.set(set.policy, await withRewards(set, sft, rollouts.get(set)!, rewards.get(set)!, context))
  return completions
}

const judging = ({ name }: Judge) => `judging by ${name}`

/** All kinds of work: log-probs are those under the policy itself and under the base model. */
const progressOf = (
  sets: readonly CompletionSet[],
  judges: readonly Judge[],
  { settings }: CompareContext,
): Progress => {
  const part = sets[0].prompts.length * settings.samples
  const all = part * sets.length
  return makeProgress(
    {
      generating: all,
      'log-probs': 2 * part * sets.filter(({ hasKl }) => hasKl).length,
      ...Object.fromEntries(judges.map((judge) => [judging(judge), all])),
    },
    part,
  )
}

/** Log-probs of the other policies' completions under the base model. */
async function* computeRefLogps(
  sets: readonly CompletionSet[],
  rollouts: ReadonlyMap<CompletionSet, Rollout>,
  progress: Progress,
  context: CompareContext,
): AsyncGenerator<CompareProgress, void> {
  const [sft] = sets
  let opened: OpenedPolicy | undefined
  const open = async () => (opened ??= await sft.policy.open(context.settings))
  try {
    for (const set of sets.filter(({ hasKl }) => hasKl)) {
      const computing = computeLogps(set, sft.policy, rollouts.get(set)!, open, context)
      yield* progress.part('log-probs', set.policy.title, computing)
    }
  } finally {
    await opened?.close()
  }
}

const byPrompt = <T>(values: readonly T[], { settings }: CompareContext): T[][] => chunks(values, settings.samples)

const withRewards = async (
  set: CompletionSet,
  sft: CompletionSet,
  { samples }: Rollout,
  rewards: ReadonlyMap<string, PerCompletion>,
  context: CompareContext,
): Promise<ScoredCompletions> => {
  const perCompletion = <T>(of: (sample: Rollout['samples'][number]) => T) => byPrompt(samples.map(of), context)
  return {
    name: set.policy.name,
    texts: perCompletion(({ text = '' }) => text),
    tokens: perCompletion(({ ids }) => ids.length),
    cut: perCompletion(({ finish_reason }) => Number(finish_reason === 'length')),
    ...(set.hasKl && { kl: await klOf(set, sft, context) }),
    rewards,
  }
}

const klOf = async (
  set: CompletionSet,
  sft: CompletionSet,
  context: CompareContext,
): Promise<NonNullable<ScoredCompletions['kl']>> => {
  const logps = await readLogps(set, set.policy, context)
  const refLogps = await readLogps(set, sft.policy, context)
  const kl = logps.map((own, i) => completionKl(own, refLogps[i]))
  return {
    k1: byPrompt(
      kl.map(({ k1 }) => k1),
      context,
    ),
    k3: byPrompt(
      kl.map(({ k3 }) => k3),
      context,
    ),
  }
}
