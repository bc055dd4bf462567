/** Who judges: the rewards of training, opened only while there is something to judge. */
import { openRewards } from '../../recipes/rl/openRewards.ts'
import type { Reward, RewardSource } from '../../recipes/rl/rewards.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { badInput } from '../../util/fault.ts'
import type { JudgeMaterial } from './findings.ts'
import type { CompareSettings } from './settings.ts'
import { keyOf, type PolicySubjects, rewardPlace } from './subjects.ts'

export type Judge = JudgeMaterial &
  Pick<RewardSource, 'of'> & {
    /** Of its weights or its code, or of what it is called. */
    key: string
    /** Asked for as a judge that none was trained on. */
    third: boolean
    close(): Promise<void>
  }

type Opened = { source: RewardSource; files: readonly { sha256: string }[]; close(): Promise<void> }

const open = async (spec: string, settings: CompareSettings, tokenizer: Tokenizer): Promise<Opened> => {
  const owned: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const each of owned.splice(0).reverse()) await each.close()
  }
  try {
    const own = <T extends { close(): Promise<void> }>(thing: T) => {
      owned.push(thing)
      return thing
    }
    const asked = { ...settings, reward: [spec], rewardWeights: undefined }
    const { sources, files } = await openRewards(asked, { own, encoding: { tokenizer } })
    return { source: sources[0], files, close }
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
  tokenizer: Tokenizer,
  policies: readonly PolicySubjects[],
): Promise<Judge[]> => {
  const { reward = [], judge = [] } = settings
  // The first that none was trained on is the one that sentences speak of
  const specs = [...judge.map((spec) => ({ spec, third: true })), ...reward.map((spec) => ({ spec, third: false }))]
  if (!specs.length) throw badInput('bad-flag', 'nobody judges; give --judge, or --reward')
  const judges: Judge[] = []
  for (const { spec, third } of specs) {
    const made = await judgeOf(spec, third, settings, tokenizer, policies)
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
  tokenizer: Tokenizer,
  policies: readonly PolicySubjects[],
): Promise<Judge> => {
  const first = await open(spec, settings, tokenizer)
  await first.close()
  let opened: Opened | undefined
  const of = async (answers: Parameters<RewardSource['of']>[0]): Promise<Reward[]> => {
    opened ??= await open(spec, settings, tokenizer)
    return opened.source.of(answers)
  }
  return {
    name: first.source.name,
    trained: await trainedOn(spec, third, policies),
    key: keyOf(first.files.length ? [spec.replace(/^[\w-]+=/, ''), first.files.map(({ sha256 }) => sha256)] : spec),
    third,
    of,
    async close() {
      await opened?.close()
      opened = undefined
    },
  }
}

/** Policies whose runs say so; of --reward also those of whose training nothing is known. */
const trainedOn = async (spec: string, third: boolean, policies: readonly PolicySubjects[]): Promise<string[]> => {
  const place = await rewardPlace(spec)
  const found: string[] = []
  for (const { name, runs } of policies) {
    const places = await Promise.all(runs.flatMap(({ rewards }) => rewards ?? []).map(rewardPlace))
    const unknown = runs.some(({ rewards }) => rewards === undefined)
    if (places.includes(place) || (unknown && !third)) found.push(name)
  }
  return found
}
