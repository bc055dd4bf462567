/** Statistics of given tokens under a model (log-probabilities, entropies, scores), by forward passes without gradients. */
import { type Aim, type PackedBatch, pack, packs, passesOf, type Tree } from '../data/batch.ts'
import type { Handle } from '../runtime/backend.ts'
import { type HeadSettings, type StatName, targetStates, tokenPass } from './head.ts'
import { place } from './layout.ts'
import type { Model } from './model.ts'
import { scorePass } from './scoreHead.ts'
import { forward } from './stack.ts'

/** A statistic of each target: one of its token [M], or what the score head says there [M, num_labels]. */
export type TargetStat = StatName | 'scores'

/**
 * Values of one statistic at the targets of a tree, in the order of its tokens. A score head with several outputs gives
 * num_labels values a target, one target after the other.
 */
export type TreeStats = { trunk: number[]; branches: number[][] }

export type TokenStatsOptions = HeadSettings & {
  /** Which tokens are targets; 'next' by default. */
  aim?: Aim
  /** Tokens of the trees that share a pass, 4096 by default; a longer tree has a pass of its own. */
  passTokens?: number
  /** Whether a pass is split where its trees differ much in length, which saves attention; true by default. */
  splitByLength?: boolean
}

/**
 * Statistics of the targets of each tree (a prompt with its completions, say): [tree] by name. A prompt passes once for
 * all its branches. The language head runs only where one of its statistics is asked for.
 *
 * The last bits of a value depend on which trees share its pass, that is on the trees given and on the options.
 */
export const readTokenStats = async <S extends TargetStat>(
  model: Model,
  trees: readonly Tree[],
  names: readonly S[],
  { aim = 'next', passTokens = 4096, splitByLength = true, ...settings }: TokenStatsOptions = {},
): Promise<Record<S, TreeStats[]>> => {
  const perName = names.map((name) => [name, [] as TreeStats[]] as const)
  for (const pass of passesOf(trees, passTokens)) {
    const K = Math.max(...pass.map(({ branches }) => branches.length))
    const batches = splitByLength ? packs(pass, K, aim) : [pack(pass, K, undefined, aim)]
    for (const [, all] of perName)
      all.push(...pass.map(({ branches }) => ({ trunk: [], branches: branches.map(() => []) })))
    for (const batch of batches) {
      const { sequence } = batch.targets
      if (sequence.length === 0) continue
      const values = await readBatch(model, batch, names, settings)
      for (const [i, [, all]] of perName.entries()) {
        const first = all.length - pass.length
        const width = values[i].length / sequence.length
        for (let m = 0; m < sequence.length; m++) {
          const s = sequence[m]
          const isTrunk = s >= pass.length * K
          const tree = all[first + (isTrunk ? s - pass.length * K : Math.floor(s / K))]
          const target = isTrunk ? tree.trunk : tree.branches[s % K]
          for (let j = 0; j < width; j++) target.push(values[i][m * width + j])
        }
      }
    }
  }
  return Object.fromEntries(perName) as Record<S, TreeStats[]>
}

/** Values of each statistic at all targets of a batch, [M] or [M, num_labels]. */
const readBatch = (
  model: Model,
  batch: PackedBatch,
  names: readonly TargetStat[],
  settings: HeadSettings,
): Promise<Float32Array[]> => {
  const { backend } = model
  const placed = place(model, batch)
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  const tokenNames = names.filter((name): name is StatName => name !== 'scores')
  const made: Partial<Record<TargetStat, Handle>> = {
    ...(tokenNames.length > 0 && tokenPass(model, h, placed, tokenNames, settings)),
    ...(tokenNames.length < names.length && { scores: scorePass(model, h) }),
  }
  const handles = names.map((name) => made[name]!)
  const values = Promise.all(handles.map((handle) => backend.read(handle)))
  backend.free([hidden, h, ...handles, ...placed.handles])
  return values
}
