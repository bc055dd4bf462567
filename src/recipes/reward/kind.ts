/**
 * Which objective a reward model learns by. Peculiar: the rows say which, unless one asks: pairs are pairwise, rows that
 * name one best response are best-of-n, ranked lists are all pairs of a list; a model with many outputs is probabilistic.
 */
import type { RewardKind } from '../../rewards/notes.ts'
import { badInput } from '../../util/fault.ts'

/** What the rows are like. */
export type RewardRows = {
  /** The most responses of a row. */
  widest: number
  /** Every row has one best response, and the others are not told apart. */
  bestOnly: boolean
  /** Some row says how likely its preference is. */
  probable: boolean
}

type KindSettings = {
  kind?: RewardKind
  centerRewards: number
  labelSmoothing: number
  margins: 'auto' | 'ratings' | 'none'
  initBias: boolean
}

/** @param outputs of the head that there is, if any   @returns the kind, and why where nobody asked for it */
export const kindFor = (
  { kind }: Pick<KindSettings, 'kind'>,
  { widest, bestOnly }: RewardRows,
  outputs: number | undefined,
): { kind: RewardKind; why?: string } => {
  if (kind) return { kind }
  if (outputs !== undefined && outputs > 1)
    return { kind: 'probabilistic', why: `the model's score head has ${outputs} outputs` }
  if (widest === 2) return { kind: 'pairwise', why: 'the rows are pairs' }
  return bestOnly
    ? { kind: 'best-of-n', why: `the rows name the best of up to ${widest} responses` }
    : { kind: 'ranking', why: `the rows rank up to ${widest} responses` }
}

/** Throws a Fault 'bad-flag' for settings that mean nothing to a kind, or rows that it cannot read. */
export const refuseKind = (
  kind: RewardKind,
  settings: KindSettings,
  { widest, probable }: RewardRows,
  named: 'rows' | 'held-out rows' = 'rows',
): void => {
  const refuse = (why: string, flag: string) => badInput('bad-flag', why, { flag })
  const ofPairs = kind === 'pairwise' || kind === 'ranking'
  if (kind === 'pairwise' && widest > 2)
    throw refuse(`${named} hold up to ${widest} responses; ranking takes all pairs of a prompt`, '--kind')
  if (probable && (widest > 2 || !(kind === 'pairwise' || kind === 'probabilistic')))
    throw refuse(`${kind} cannot use "prob", which ${named} have; use pairwise or probabilistic, with pairs`, '--kind')
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
