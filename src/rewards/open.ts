/**
 * Opens the sources of rewards that `--reward` names: a reward model, a pair ranker, a module, a verifier or a judge, local or on a
 * server.
 * `NAME=` in front of a value says what the metrics call it.
 */

import { existsSync } from 'node:fs'
import { basename, extname } from 'node:path'
import type { WarningEvent } from '../runs/events.ts'
import { badInput } from '../util/fault.ts'
import { type FileHash, sha256Files } from '../util/sha256.node.ts'
import { functionReward } from './functionReward.ts'
import { type JudgeRewardSettings, judgeIn, judgeReward } from './judgeReward.ts'
import { type ModelRewardSettings, modelReward } from './modelReward.ts'
import { moduleFiles } from './moduleFiles.ts'
import { isPairRanker, pairReward } from './pairReward.ts'
import { isProgramSpec, programReward } from './programReward.ts'
import type { OpenedReward, ProgramFunctions, RewardContext, RewardSource, Rewards } from './rewards.ts'
import { verifier } from './verifiers.ts'

export type RewardSettings = ModelRewardSettings &
  JudgeRewardSettings & {
    reward: readonly string[]
    rewardWeights?: readonly number[]
    /** Seconds. */
    rewardTimeout: number
  }

const moduleExtensions = ['.ts', '.mts', '.js', '.mjs', '.cjs']

/** `NAME=SPEC`; a name has no colon, slash or dot. */
const splitName = (text: string) => {
  const [, name, spec] = /^([\w-]+)=(.+)$/s.exec(text) ?? [undefined, undefined, text]
  return { name, spec }
}

/** Columns that the data must have for these rewards. */
export const rewardColumns = (specs: readonly string[]): string[] =>
  specs.flatMap((text) => /^exact:(.+)$/s.exec(splitName(text).spec)?.[1] ?? [])

const weightsOf = ({ reward, rewardWeights }: Pick<RewardSettings, 'reward' | 'rewardWeights'>): readonly number[] => {
  const weights = rewardWeights ?? reward.map(() => 1)
  if (weights.length === reward.length) return weights
  throw badInput('bad-flag', `gives ${weights.length} weights to ${reward.length} rewards`, {
    flag: '--reward-weights',
  })
}

/**
 * Looks at what the specs name, before a model is loaded: the number of weights, modules that are not there, and what a
 * verifier needs. Throws the Faults of `openRewards`. @param functions rewards of the program, which need no file
 */
export const checkRewards = async (
  settings: Pick<RewardSettings, 'reward' | 'rewardWeights'>,
  functions?: ProgramFunctions,
): Promise<void> => {
  weightsOf(settings)
  for (const text of settings.reward) {
    const { spec } = splitName(text)
    if (functions?.get(text) || isProgramSpec(spec) || (await verifier(spec)) || judgeIn(spec) !== undefined) continue
    if (isModule(spec)) requireModule(spec)
  }
}

const isModule = (spec: string) => moduleExtensions.includes(extname(spec))

const requireModule = (path: string) => {
  if (!existsSync(path)) throw badInput('no-file', 'there is no such module (--reward)', { file: path })
}

/** Opens every source, and finds what is wrong with it before anything is generated. */
export const openRewards = async (settings: RewardSettings, context: RewardContext): Promise<Rewards> => {
  const weights = weightsOf(settings)
  const names = new Set<string>()
  const sources: RewardSource[] = []
  const files: FileHash[] = []
  const warnings: WarningEvent[] = []
  for (const [k, text] of settings.reward.entries()) {
    const { name: given, spec } = splitName(text)
    const name = uniqueName(given ?? defaultName(spec), names)
    const inProgram = context.functions?.get(text)
    const opened = inProgram
      ? programReward(inProgram, name, settings.rewardTimeout)
      : await openReward(spec, settings, context)
    const { score, scoreAgainst, requirePrompt } = opened
    sources.push({ name, weight: weights[k], score, scoreAgainst, requirePrompt })
    files.push(...(opened.files ?? []))
    warnings.push(...(opened.warnings ?? []))
  }
  const requirePrompt: Rewards['requirePrompt'] = (prompt) => {
    for (const source of sources) source.requirePrompt?.(prompt)
  }
  return { sources, requirePrompt, files, warnings }
}

/** With -2, -3, ... behind a name that is taken. */
const uniqueName = (wanted: string, taken: Set<string>): string => {
  let name = wanted
  for (let i = 2; taken.has(name); i++) name = `${wanted}-${i}`
  taken.add(name)
  return name
}

const defaultName = (spec: string): string => {
  const kind = judgeIn(spec) !== undefined ? 'judge' : /^(exact|regex|schema|arithmetic)(:|$)/.exec(spec)?.[1]
  return kind ?? basename(spec, moduleExtensions.includes(extname(spec)) ? extname(spec) : '')
}

/** One source by its spec. Throws Faults that name the flag. */
export const openReward = async (
  spec: string,
  settings: RewardSettings,
  context: RewardContext,
): Promise<OpenedReward> => {
  if (isProgramSpec(spec))
    throw badInput('bad-flag', 'is a function of the program that began the run; let that program go on with it', {
      flag: '--reward',
    })
  const verify = await verifier(spec)
  const schema = /^schema:(.+)$/s.exec(spec)?.[1]
  if (verify)
    return {
      score: async (completions) => completions.map(verify),
      files: schema === undefined ? [] : await sha256Files([schema]),
    }
  const judge = judgeIn(spec)
  if (judge !== undefined) return judgeReward(judge, settings, context)
  if (!isModule(spec))
    return (await isPairRanker(spec)) ? pairReward(spec, settings, context) : modelReward(spec, settings, context)
  requireModule(spec)
  const files = await sha256Files(await moduleFiles(spec))
  const { score } = context.own(await functionReward(spec, settings.rewardTimeout))
  return { score, files }
}
