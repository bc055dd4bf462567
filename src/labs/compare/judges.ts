/** Judges of a comparison: sources of rewards, the same that training has, opened only while there is something to score. */
import { openRewards } from '../../rewards/open.ts'
import type { CompletionToScore, Reward, RewardSource } from '../../rewards/rewards.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { badInput } from '../../util/fault.ts'
import { makeResources } from '../../util/resources.ts'
import type { JudgeInfo } from './findings.ts'
import { type ComparedPolicy, keyOf, type PolicyRuns, rewardLocation } from './policies.ts'
import type { CompareSettings } from './settings.ts'

export type Judge = JudgeInfo & {
  /** Equal keys, equal rewards: a hash of its weights or its code; of its spec where it has no files. */
  key: string
  /** Given by --judge, as one that none of the policies was trained on. */
  independent: boolean
  warnings: readonly WarningEvent[]
  /** Throws a Fault for a prompt whose completions it could not score. */
  requirePrompt?: RewardSource['requirePrompt']
  /** Rewards of completions of a policy. A reward model of the same tokenizer reads the policy's tokens as they are. */
  score(completions: readonly CompletionToScore[], policy: ComparedPolicy): Promise<Reward[]>
  close(): Promise<void>
}

type Opened = {
  source: RewardSource
  files: readonly { sha256: string }[]
  warnings: readonly WarningEvent[]
  close(): Promise<void>
}

const open = async (
  spec: string,
  settings: CompareSettings,
  { tokenization, folders }: ComparedPolicy,
): Promise<Opened> => {
  const { own, close } = makeResources()
  try {
    const { sources, files, warnings } = await openRewards(
      { ...settings, reward: [spec], rewardWeights: undefined },
      { own, tokenization, folders },
    )
    return { source: sources[0], files, warnings, close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Opens and closes each judge once, so that a mistake shows before anything is generated; it opens again when it scores.
 * Throws Faults of `openRewards`, and 'bad-flag' for no judge at all or two of one name.
 */
export const openJudges = async (
  settings: CompareSettings,
  sft: ComparedPolicy,
  policies: readonly PolicyRuns[],
): Promise<Judge[]> => {
  const { reward = [], judge = [] } = settings
  // Independent judges first: the conclusions speak of the first of them
  const specs = [
    ...judge.map((spec) => ({ spec, independent: true })),
    ...reward.map((spec) => ({ spec, independent: false })),
  ]
  if (!specs.length) throw badInput('bad-flag', 'nobody judges; give --judge, or --reward')
  const judges: Judge[] = []
  for (const { spec, independent } of specs) {
    const made = await makeJudge(spec, independent, settings, sft, policies)
    if (judges.some(({ name }) => name === made.name))
      throw badInput('bad-flag', `two judges are called ${made.name}; name them: first=${spec}`, {
        flag: independent ? '--judge' : '--reward',
      })
    judges.push(made)
  }
  return judges
}

const makeJudge = async (
  spec: string,
  independent: boolean,
  settings: CompareSettings,
  sft: ComparedPolicy,
  policies: readonly PolicyRuns[],
): Promise<Judge> => {
  const first = await open(spec, settings, sft)
  await first.close()
  const opened = new Map<string, Opened>()
  return {
    name: first.source.name,
    trained: await trainedOn(spec, independent, policies),
    key: keyOf(first.files.length ? [spec.replace(/^[\w-]+=/, ''), first.files.map(({ sha256 }) => sha256)] : spec),
    independent,
    warnings: first.warnings,
    requirePrompt: first.source.requirePrompt,
    async score(completions, policy) {
      const key = policy.tokenizerKey
      if (!opened.has(key)) opened.set(key, await open(spec, settings, policy))
      return opened.get(key)!.source.score(completions)
    },
    async close() {
      for (const each of opened.values()) await each.close()
      opened.clear()
    },
  }
}

/**
 * Names of the policies that were trained on a judge, as the settings of their runs say. A judge given by --reward counts
 * as one that trained every policy of whose training nothing is known.
 */
const trainedOn = async (spec: string, independent: boolean, policies: readonly PolicyRuns[]): Promise<string[]> => {
  const location = await rewardLocation(spec)
  const names: string[] = []
  for (const { name, runs } of policies) {
    const locations = await Promise.all(runs.flatMap(({ rewards }) => rewards ?? []).map(rewardLocation))
    const isUnknown = runs.some(({ rewards }) => rewards === undefined)
    if (locations.includes(location) || (isUnknown && !independent)) names.push(name)
  }
  return names
}
