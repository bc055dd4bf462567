/** Who judges: the rewards of training, opened only while there is something to judge. */

import { openRewards } from '../../rewards/open.ts'
import type { CompletionToScore, Reward, RewardSource } from '../../rewards/rewards.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { badInput } from '../../util/fault.ts'
import { makeResources } from '../../util/resources.ts'
import type { JudgeMaterial } from './findings.ts'
import { type ComparedPolicy, keyOf, type PolicyRuns, rewardPlace } from './policies.ts'
import type { CompareSettings } from './settings.ts'

export type Judge = JudgeMaterial & {
  /** Of its weights or its code, or of what it is called. */
  key: string
  /** Asked for as a judge that none was trained on. */
  third: boolean
  warnings: readonly WarningEvent[]
  /** Throws a Fault where it could not judge any answer to the prompt. */
  requirePrompt?: RewardSource['requirePrompt']
  /** Rewards of answers by a subject, whose tokens a reward model may read as they are. */
  of(answers: readonly CompletionToScore[], by: ComparedPolicy): Promise<Reward[]>
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
    const asked = { ...settings, reward: [spec], rewardWeights: undefined }
    const { sources, ...found } = await openRewards(asked, { own, tokenization, folders })
    return { source: sources[0], ...found, close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Opens each once, so that what is wrong shows before anything is generated, and again when it is asked.
 * Throws Faults of `openRewards`, and 'bad-flag' for none at all or two of one name.
 */
export const openJudges = async (
  settings: CompareSettings,
  sft: ComparedPolicy,
  policies: readonly PolicyRuns[],
): Promise<Judge[]> => {
  const { reward = [], judge = [] } = settings
  // The first that none was trained on is the one that sentences speak of
  const specs = [...judge.map((spec) => ({ spec, third: true })), ...reward.map((spec) => ({ spec, third: false }))]
  if (!specs.length) throw badInput('bad-flag', 'nobody judges; give --judge, or --reward')
  const judges: Judge[] = []
  for (const { spec, third } of specs) {
    const made = await judgeOf(spec, third, settings, sft, policies)
    if (judges.some(({ name }) => name === made.name))
      throw badInput('bad-flag', `two judges are called ${made.name}; name them: first=${spec}`, {
        flag: third ? '--judge' : '--reward',
      })
    judges.push(made)
  }
  return judges
}

const judgeOf = async (
  spec: string,
  third: boolean,
  settings: CompareSettings,
  sft: ComparedPolicy,
  policies: readonly PolicyRuns[],
): Promise<Judge> => {
  const first = await open(spec, settings, sft)
  await first.close()
  const opened = new Map<string, Opened>()
  return {
    name: first.source.name,
    trained: await trainedOn(spec, third, policies),
    key: keyOf(first.files.length ? [spec.replace(/^[\w-]+=/, ''), first.files.map(({ sha256 }) => sha256)] : spec),
    third,
    warnings: first.warnings,
    requirePrompt: first.source.requirePrompt,
    async of(answers, by) {
      if (!opened.has(by.tokenizerKey)) opened.set(by.tokenizerKey, await open(spec, settings, by))
      return opened.get(by.tokenizerKey)!.source.score(answers)
    },
    async close() {
      for (const each of opened.values()) await each.close()
      opened.clear()
    },
  }
}

/** Policies whose runs say so; of --reward also those of whose training nothing is known. */
const trainedOn = async (spec: string, third: boolean, policies: readonly PolicyRuns[]): Promise<string[]> => {
  const place = await rewardPlace(spec)
  const found: string[] = []
  for (const { name, runs } of policies) {
    const places = await Promise.all(runs.flatMap(({ rewards }) => rewards ?? []).map(rewardPlace))
    const unknown = runs.some(({ rewards }) => rewards === undefined)
    if (places.includes(place) || (unknown && !third)) found.push(name)
  }
  return found
}
