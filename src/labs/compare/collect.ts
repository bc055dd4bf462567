/** All answers, what the SFT policy thinks of them, and their marks, phase by phase: one model is open at a time. */

import type { Rollout } from '../../generate/completionSampler.ts'
import { chunks } from '../../recipes/trainer/collate.ts'
import { type AnswerSet, answer, judgeAnswers, logps, readLogps, type Work, type WorkEvent } from './completions.ts'
import type { Sampled } from './findings.ts'
import type { Judge } from './judges.ts'
import { divergenceOf } from './kl.ts'
import type { ComparedPolicy, OpenedPolicy } from './policies.ts'
import type { Answers } from './rewards.ts'

/** @param sets the SFT policy's first. Undefined after an abort. */
export async function* sampledOf(
  sets: readonly AnswerSet[],
  judges: readonly Judge[],
  work: Work,
): AsyncGenerator<WorkEvent, Map<ComparedPolicy, Sampled> | undefined> {
  const [base] = sets
  const { signal } = work
  const rollouts = new Map<AnswerSet, Rollout>()
  for (const set of sets) {
    const rollout = yield* answer(set, work)
    if (!rollout) return undefined
    rollouts.set(set, rollout)
  }
  yield* refLogps(sets, rollouts, work)
  const rewards = new Map(sets.map((set) => [set, new Map<string, Answers>()]))
  for (const judge of judges) {
    for (const set of sets) {
      if (signal.aborted) return undefined
      const marks = yield* judgeAnswers(set, judge, rollouts.get(set)!, work)
      if (!marks) return undefined
      rewards.get(set)!.set(judge.name, byPrompt(marks, work))
    }
    await judge.close()
  }
  if (signal.aborted) return undefined
  const made = new Map<ComparedPolicy, Sampled>()
  for (const set of sets)
    made.set(set.subject, await sampledFrom(set, base, rollouts.get(set)!, rewards.get(set)!, work))
  return made
}

/** What the SFT policy thinks of the others' answers. */
async function* refLogps(sets: readonly AnswerSet[], rollouts: ReadonlyMap<AnswerSet, Rollout>, work: Work) {
  const [base] = sets
  let opened: OpenedPolicy | undefined
  const open = async () => (opened ??= await base.subject.open(work.settings))
  try {
    for (const set of sets) if (set.measured) yield* logps(set, base.subject, rollouts.get(set)!, open, work)
  } finally {
    await opened?.close()
  }
}

const byPrompt = <T>(values: readonly T[], { settings }: Work): T[][] => chunks(values, settings.samples)

const sampledFrom = async (
  set: AnswerSet,
  base: AnswerSet,
  { samples }: Rollout,
  rewards: ReadonlyMap<string, Answers>,
  work: Work,
): Promise<Sampled> => {
  const grid = <T>(of: (sample: Rollout['samples'][number]) => T) => byPrompt(samples.map(of), work)
  return {
    name: set.subject.name,
    texts: grid(({ text = '' }) => text),
    tokens: grid(({ ids }) => ids.length),
    cut: grid(({ finish_reason }) => Number(finish_reason === 'length')),
    ...(set.measured && { kl: await klOf(set, base, work) }),
    rewards,
  }
}

const klOf = async (set: AnswerSet, base: AnswerSet, work: Work): Promise<NonNullable<Sampled['kl']>> => {
  const [own, ref] = [await readLogps(set, set.subject, work), await readLogps(set, base.subject, work)]
  const grids = byPrompt(
    own.map((logps, i) => divergenceOf(logps, ref[i])),
    work,
  )
  const of = (estimator: 'k1' | 'k3') => grids.map((row) => row.map((each) => each[estimator]))
  return { k1: of('k1'), k3: of('k3') }
}
