/** The judges of a comparison: the same sources of rewards as in training, each open only while it scores. */
import { openRewards } from '../../rewards/open.ts'
import type { CompletionToScore, ProgramFunctions, Reward, RewardSource } from '../../rewards/rewards.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { badInput } from '../../util/fault.ts'
import { makeResources } from '../../util/resources.ts'
import type { Sharing } from '../../util/sharing.ts'
import type { JudgeInfo } from './findings.ts'
import { type ComparedPolicy, keyOf } from './policies.ts'
import type { CompareSettings } from './settings.ts'
import { type Learner, trainedOn } from './trainedOn.ts'

export type Judge = JudgeInfo & {
  /** Judges of the same key give the same rewards: a hash of its weights or code, or of its spec where it has no files. */
  key: string
  /** Given by --judge, which says that none of the policies was trained on it. */
  independent: boolean
  /** Of `trained` those of whose training nothing is known. */
  assumed: readonly string[]
  warnings: readonly WarningEvent[]
  /** Throws a Fault for a prompt whose completions it cannot score. */
  requirePrompt?: RewardSource['requirePrompt']
  /** It compares completions with others and scores none alone. */
  compares: boolean
  /**
   * Rewards of a policy's completions. A reward model with the policy's tokenizer reads their token ids as they are.
   * @param others of a judge that compares: the completion to compare each one with
   */
  score(completions: readonly CompletionToScore[], policy: ComparedPolicy, others: readonly string[]): Promise<Reward[]>
  close(): Promise<void>
}

type JudgeSettings = CompareSettings & { functions?: ProgramFunctions; sharing?: Sharing }

type OpenedReward = {
  source: RewardSource
  files: readonly { sha256: string }[]
  warnings: readonly WarningEvent[]
  close(): Promise<void>
}

/** Opens the reward of a spec for the completions of a policy. */
const openReward = async (
  spec: string,
  settings: JudgeSettings,
  { tokenization, folders }: ComparedPolicy,
): Promise<OpenedReward> => {
  const { own, close } = makeResources()
  try {
    const { sources, files, warnings } = await openRewards(
      { ...settings, reward: [spec], rewardWeights: undefined },
      { own, tokenization, folders, functions: settings.functions, sharing: settings.sharing },
    )
    return { source: sources[0], files, warnings, close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Opens and closes each judge once, so that mistakes are found before anything is generated. A judge opens again when it
 * scores. Throws Faults of `openRewards`, and 'bad-flag' for no judge at all or two of one name.
 */
export const openJudges = async (
  settings: JudgeSettings,
  sft: ComparedPolicy,
  learners: readonly Learner[],
): Promise<Judge[]> => {
  const { reward = [], judge = [] } = settings
  // Independent judges first: the conclusions are about the first judge
  const specs = [
    ...judge.map((spec) => ({ spec, independent: true })),
    ...reward.map((spec) => ({ spec, independent: false })),
  ]
  if (!specs.length) throw badInput('bad-flag', 'nobody judges; give --judge, or --reward')
  const judges: Judge[] = []
  for (const { spec, independent } of specs) {
    const added = await makeJudge(spec, independent, settings, sft, learners)
    if (judges.some(({ name }) => name === added.name))
      throw badInput('bad-flag', `two judges are called ${added.name}; name them: first=${spec}`, {
        flag: independent ? '--judge' : '--reward',
      })
    judges.push(added)
  }
  return judges
}

const makeJudge = async (
  spec: string,
  independent: boolean,
  settings: JudgeSettings,
  sft: ComparedPolicy,
  learners: readonly Learner[],
): Promise<Judge> => {
  const { source, files, warnings, close } = await openReward(spec, settings, sft)
  await close()
  const specWithoutName = spec.replace(/^[\w-]+=/, '')
  const given = files.length ? [specWithoutName, files.map(({ sha256 }) => sha256)] : spec
  /** By the tokenizer of the policies whose completions it scores. */
  const byTokenizer = new Map<string, OpenedReward>()
  return {
    name: source.name,
    ...(await trainedOn(spec, independent, learners)),
    key: keyOf(source.scoreAgainst ? [given, settings.judgeMode] : given),
    independent,
    compares: source.scoreAgainst !== undefined,
    warnings,
    requirePrompt: source.requirePrompt,
    async score(completions, policy, others) {
      const key = policy.tokenizerKey
      if (!byTokenizer.has(key)) byTokenizer.set(key, await openReward(spec, settings, policy))
      const { source } = byTokenizer.get(key)!
      return source.scoreAgainst ? source.scoreAgainst(completions, others) : source.score(completions)
    },
    async close() {
      for (const opened of byTokenizer.values()) await opened.close()
      byTokenizer.clear()
    },
  }
}
