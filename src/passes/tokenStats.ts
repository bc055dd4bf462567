/** Statistics of given tokens under a model (log-probabilities, entropies, scores), by forward passes without gradients. */
import { type Aim, pack, packs, passesOf, type Tree } from '../data/batch.ts'
import type { HeadSettings, StatName } from './head.ts'
import type { Model } from './model.ts'
import { type PassPlan, readPlansOf } from './readPasses.ts'

/** A statistic of each target: one of its token [M], or what the score head says there [M, num_labels]. */
export type TargetStat = StatName | 'scores'

/**
 * Values of one statistic at the targets of a tree, in the order of its tokens. A score head with several outputs gives
 * num_labels values a target, one target after the other.
 */
export type TreeStats = { trunk: number[]; branches: number[][] }

export type TokenStatsOptions = Omit<HeadSettings, 'dropoutSeed'> & {
  /** Which tokens are targets; 'next' by default. */
  aim?: Aim
  /** Tokens of the trees that share a pass, 4096 by default; a longer tree has a pass of its own. */
  passTokens?: number
  /** Whether a pass is split where its trees differ much in length, which saves attention; true by default. */
  splitByLength?: boolean
}

/**
 * Statistics of the targets of each tree (a prompt with its completions, say): [tree] by name. A prompt passes once for
 * all its branches.
 *
 * The last bits of a value depend on which trees share its pass, that is on the trees given and on the options, and not on who
 * computes the pass.
 */
export const readTokenStats = async <S extends TargetStat>(
  model: Model,
  trees: readonly Tree[],
  names: readonly S[],
  options: TokenStatsOptions = {},
): Promise<Record<S, TreeStats[]>> => {
  const all = names.map((name) => [name, [] as TreeStats[]] as const)
  for await (const stats of readPlansOf(model, tokenStatsPlans(trees, names, options)))
    for (const [name, values] of all) values.push(...stats[name])
  return Object.fromEntries(all) as Record<S, TreeStats[]>
}

/** The passes of `readTokenStats`: a plan gives the statistics of the next trees. */
export function* tokenStatsPlans<S extends TargetStat>(
  trees: readonly Tree[],
  names: readonly S[],
  { passTokens = 4096, ...options }: TokenStatsOptions = {},
): Generator<PassPlan<Record<S, TreeStats[]>>> {
  for (const together of passesOf(trees, passTokens)) yield tokenStatsPlan(together, names, options)
}

/** Of trees that share a pass. */
export const tokenStatsPlan = <S extends TargetStat>(
  trees: readonly Tree[],
  names: readonly S[],
  { aim = 'next', splitByLength = true, ...settings }: Omit<TokenStatsOptions, 'passTokens'> = {},
): PassPlan<Record<S, TreeStats[]>> => {
  const K = Math.max(...trees.map(({ branches }) => branches.length))
  const batches = (splitByLength ? packs(trees, K, aim) : [pack(trees, K, undefined, aim)]).filter(
    ({ targets }) => targets.sequence.length > 0,
  )
  return {
    passes: batches.map((batch) => ({ batch, names, settings })),
    join: (values) =>
      Object.fromEntries(
        names.map((name, i) => {
          const all = trees.map(({ branches }): TreeStats => ({ trunk: [], branches: branches.map(() => []) }))
          for (const [b, { targets }] of batches.entries()) {
            const width = values[b][i].length / targets.sequence.length
            for (let m = 0; m < targets.sequence.length; m++) {
              const s = targets.sequence[m]
              const isTrunk = s >= trees.length * K
              const tree = all[isTrunk ? s - trees.length * K : Math.floor(s / K)]
              const target = isTrunk ? tree.trunk : tree.branches[s % K]
              for (let j = 0; j < width; j++) target.push(values[b][i][m * width + j])
            }
          }
          return [name, all]
        }),
      ) as Record<S, TreeStats[]>,
  }
}
