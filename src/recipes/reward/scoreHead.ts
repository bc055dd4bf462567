/**
 * Which objective a reward model learns by, and the score head that this needs. The rows say which, unless --kind does: pairs
 * are pairwise, rows that name one best response are best-of-n, ranked lists are all pairs of a list; a model whose score
 * head has several outputs is probabilistic. The head is that of --head, the model's own, or a new one of the right size.
 */

import { openSafetensors } from '../../checkpoint/safetensors.ts'
import type { StoredTensor } from '../../checkpoint/stored.ts'
import { scoreWeight } from '../../models/architecture.ts'
import type { Base } from '../../models/merge.ts'
import { asRewardModel, newScoreWeight } from '../../models/scored.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { badInput } from '../../util/fault.ts'
import { fileSource } from '../../util/files.node.ts'
import { type FileHash, sha256Files } from '../../util/sha256.node.ts'
import type { RewardConfig } from './schema.ts'

/** What the rows of a file say together. */
export type RewardRows = {
  /** The most responses of a row. */
  widest: number
  /** Every row has one best response, and the others are not told apart. */
  bestOnly: boolean
  /** Some row says how likely its preference is. */
  probable: boolean
}

export type ScoreHead = {
  /** Gives a model the head, for `openPolicy`. Throws Faults where kind, settings, rows and head do not go together. */
  withHead(base: Base): Base
  /** The kind, and why where nobody asked for it; known once `withHead` has seen the model. */
  chosen(): { kind: RewardKind; why?: string }
  /** The file of --head. */
  files: FileHash[]
}

/** The training rows say which kind; evaluation rows must fit it. Throws the Faults of reading --head. */
export const openScoreHead = async (
  config: RewardConfig,
  { rows, evalRows }: { rows: RewardRows; evalRows?: RewardRows },
): Promise<ScoreHead> => {
  const given = config.head === undefined ? undefined : await readHead(config.head)
  let chosen: ReturnType<ScoreHead['chosen']> | undefined
  return {
    withHead: (base) => {
      const isRewardModel = base.architecture.scores === 'alone'
      const outputs = given?.shape[0] ?? (isRewardModel ? base.config.num_labels : undefined)
      chosen = chooseKind(config, rows, outputs)
      refuseKind(chosen.kind, config, rows)
      if (evalRows) refuseKind(chosen.kind, config, evalRows, 'held-out rows')
      refuseHead(chosen.kind, outputs, given ? 'the head of --head' : "the model's score head")
      if (given && given.shape[1] !== base.config.hidden_size)
        throw badInput(
          'wrong-shape',
          `${scoreWeight} is [${given.shape}]; the model's hidden size is ${base.config.hidden_size}`,
          { file: config.head },
        )
      if (isRewardModel && !given) return base
      const newOutputs = chosen.kind === 'probabilistic' ? config.numScores : 1
      return asRewardModel(base, given ?? newScoreWeight(base.config, newOutputs, config.seed), config.model)
    },
    chosen: () => chosen!,
    files: await sha256Files(config.head === undefined ? [] : [config.head]),
  }
}

/** Throws Faults 'no-score-head' for a file without score.weight [outputs, C], and those of reading it. */
const readHead = async (file: string): Promise<StoredTensor> => {
  const { tensors } = await openSafetensors(await fileSource(file))
  const head = tensors.get(scoreWeight)
  if (head?.shape.length === 2) return head
  const names = [...tensors.keys()].slice(0, 3).join(', ')
  throw badInput('no-score-head', `holds no matrix ${scoreWeight}; it has ${names || 'no tensors'}`, { file })
}

/** The objective, and why where --kind does not say. @param outputs of the score head that there is, if any */
export const chooseKind = (
  { kind }: Pick<RewardConfig, 'kind'>,
  { widest, bestOnly }: RewardRows,
  outputs: number | undefined,
): ReturnType<ScoreHead['chosen']> => {
  if (kind && kind !== 'pair') return { kind }
  if (outputs !== undefined && outputs > 1)
    return { kind: 'probabilistic', why: `the model's score head has ${outputs} outputs` }
  if (widest === 2) return { kind: 'pairwise', why: 'the rows are pairs' }
  return bestOnly
    ? { kind: 'best-of-n', why: `the rows name the best of up to ${widest} responses` }
    : { kind: 'ranking', why: `the rows rank up to ${widest} responses` }
}

/** Throws a Fault 'bad-flag' for settings that mean nothing to a kind, or rows that it cannot read. */
const refuseKind = (
  kind: RewardKind,
  settings: RewardConfig,
  { widest, probable }: RewardRows,
  which: 'rows' | 'held-out rows' = 'rows',
): void => {
  const refuse = (why: string, flag: string) => badInput('bad-flag', why, { flag })
  const ofPairs = kind === 'pairwise' || kind === 'ranking'
  if (kind === 'pairwise' && widest > 2)
    throw refuse(`${which} hold up to ${widest} responses; ranking takes all pairs of a prompt`, '--kind')
  if (probable && (widest > 2 || !(kind === 'pairwise' || kind === 'probabilistic')))
    throw refuse(`${kind} cannot use "prob", which ${which} have; use pairwise or probabilistic, with pairs`, '--kind')
  if (settings.labelSmoothing && !ofPairs && kind !== 'probabilistic')
    throw refuse(
      `${kind} has no labels of pairs to smooth; use pairwise, ranking or probabilistic`,
      '--label-smoothing',
    )
  if (settings.margins === 'ratings' && !ofPairs)
    throw refuse(`${kind} has no margin; use pairwise or ranking`, '--margins')
  if (kind !== 'probabilistic') return
  if (settings.centerRewards)
    throw refuse('a distribution over scores has a fixed scale, and nothing to centre', '--center-rewards')
  if (settings.initBias) throw refuse('a distribution over scores has a fixed scale, and takes no bias', '--init-bias')
}

/** Throws a Fault 'bad-flag' where a kind needs one output, or several, and the head has another number. */
const refuseHead = (kind: RewardKind, outputs: number | undefined, whose: string): void => {
  if (outputs === undefined || (kind === 'probabilistic' ? outputs > 1 : outputs === 1)) return
  const advice = kind === 'probabilistic' ? 'pairwise, best-of-n or ranking' : 'probabilistic'
  throw badInput('bad-flag', `${kind} does not go with ${whose}, which has ${outputs} outputs; use ${advice}`, {
    flag: '--kind',
  })
}
