/**
 * From `--reward` to those who judge. A value names a reward model, a module, a verifier or a server; `NAME=` in front of
 * it says what the metrics call it.
 */

import { existsSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { isUrl } from '../endpoint/open.node.ts'
import type { Tokenization } from '../generate/tokenization.node.ts'
import type { WarningEvent } from '../runs/events.ts'
import type { TokenizerPlace } from '../text/tokenizer.node.ts'
import { badInput } from '../util/fault.ts'
import type { Resources } from '../util/resources.ts'
import { type FileHash, sha256Files } from '../util/sha256.node.ts'
import { functionReward } from './functionReward.ts'
import { judgeReward } from './judgeReward.ts'
import { type ModelRewardSettings, modelReward } from './modelReward.ts'
import { moduleFiles } from './moduleFiles.ts'
import type { RewardSource, Rewards } from './rewards.ts'
import { verifier } from './verifiers.ts'

export type RewardSettings = ModelRewardSettings & {
  reward: readonly string[]
  rewardWeights?: readonly number[]
  /** Seconds. */
  rewardTimeout: number
}

export type RewardContext = {
  own: Resources['own']
  tokenization: Pick<Tokenization, 'tokenizer'>
  /** The policy's folder, and its adapter's. */
  folders: TokenizerPlace
}

/** What a kind of source makes of its spec. */
export type OpenedReward = Pick<RewardSource, 'of' | 'requirePrompt'> & {
  files?: FileHash[]
  warnings?: WarningEvent[]
}

const moduleEnds = ['.ts', '.mts', '.js', '.mjs', '.cjs']

/** `NAME=SPEC`; a name has no colon, slash or dot. */
const named = (text: string) => {
  const [, name, spec] = /^([\w-]+)=(.+)$/s.exec(text) ?? [undefined, undefined, text]
  return { name, spec }
}

/** Columns that the data must have for these rewards. */
export const rewardColumns = (specs: readonly string[]): string[] =>
  specs.flatMap((text) => /^exact:(.+)$/s.exec(named(text).spec)?.[1] ?? [])

const weightsOf = ({ reward, rewardWeights }: RewardSettings): readonly number[] => {
  const weights = rewardWeights ?? reward.map(() => 1)
  if (weights.length === reward.length) return weights
  throw badInput('bad-flag', `gives ${weights.length} weights to ${reward.length} rewards`, {
    flag: '--reward-weights',
  })
}

/** Opens every source, and finds what is wrong with it before anything is generated. */
export const openRewards = async (settings: RewardSettings, opening: RewardContext): Promise<Rewards> => {
  const weights = weightsOf(settings)
  const taken = new Set<string>()
  const sources: RewardSource[] = []
  const files: FileHash[] = []
  const warnings: WarningEvent[] = []
  for (const [k, text] of settings.reward.entries()) {
    const { name, spec } = named(text)
    const opened = await openReward(spec, settings, opening)
    files.push(...(opened.files ?? []))
    warnings.push(...(opened.warnings ?? []))
    const { of, requirePrompt } = opened
    sources.push({ name: unusedName(name ?? nameOf(spec), taken), weight: weights[k], of, requirePrompt })
  }
  const requirePrompt: Rewards['requirePrompt'] = (prompt) => {
    for (const source of sources) source.requirePrompt?.(prompt)
  }
  return { sources, requirePrompt, files, warnings }
}

const unusedName = (wanted: string, taken: Set<string>): string => {
  let name = wanted
  for (let i = 2; taken.has(name); i++) name = `${wanted}-${i}`
  taken.add(name)
  return name
}

const nameOf = (spec: string): string => {
  const kind = isUrl(spec) ? 'judge' : /^(exact|regex|schema|arithmetic)(:|$)/.exec(spec)?.[1]
  return kind ?? basename(spec, moduleEnds.includes(extname(spec)) ? extname(spec) : '')
}

/** One source by its spec. Throws Faults that name the flag. */
export const openReward = async (
  spec: string,
  settings: RewardSettings,
  opening: RewardContext,
): Promise<OpenedReward> => {
  const verify = await verifier(spec)
  const schema = /^schema:(.+)$/s.exec(spec)?.[1]
  if (verify)
    return {
      of: async (answers) => answers.map(verify),
      files: schema === undefined ? [] : await sha256Files([schema]),
    }
  if (isUrl(spec)) return judgeReward(spec, opening.tokenization.tokenizer !== undefined)
  if (!moduleEnds.includes(extname(spec))) return modelReward(spec, settings, opening)
  if (!existsSync(spec)) throw badInput('no-file', 'there is no such module (--reward)', { file: spec })
  const files = await sha256Files(await moduleFiles(spec))
  return { of: opening.own(await functionReward(spec, settings.rewardTimeout)).of, files }
}
