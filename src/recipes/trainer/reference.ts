/**
 * Log-probabilities under the reference model, computed once for each example and kept on disk by content: what was
 * computed is found again by a resumed run, a later epoch or another run. Peculiar: each example is a pass of its own,
 * so a value never depends on what else was in a batch, and a resumed run reads the very bits that were written.
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { pack, packs, type Tree } from '../../data/batch.ts'
import type { Model } from '../../passes/model.ts'
import { targetStats } from '../../passes/stats.ts'
import { contentKey } from '../../store/content.node.ts'
import { openValues } from '../../store/values.node.ts'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { assert } from '../../util/fault.ts'
import { digestOf } from '../../util/sha256.node.ts'
import { hasLiveReference, type Policy, referenceModel } from './policy.ts'

export type Reference = {
  /** One sum for each branch of the tree: sum_t weight_t log ref(y_t | ...). */
  sums(tree: Tree, weights?: readonly ArrayLike<number>[]): Promise<number[]>
  /** The model goes away as it is trained: every value must be computed before. */
  readonly frozen: boolean
  /** Every value is there: a frozen reference computes none from now on. */
  complete(): void
  /** Why values are not kept on disk, if they are not; the run needs that only to be quicker next time. */
  trouble(): string | undefined
}

export const openReference = async (policy: Policy): Promise<Reference> => {
  const key = [
    ...policy.files.map(({ sha256 }) => sha256),
    JSON.stringify(policy.backend.description),
    policy.quantize,
    cpus()[0]?.model ?? '',
  ]
  const path = join(cacheFolder(), 'reference', `${digestOf(key.join('\n'))}.jsonl`)
  const cache = await openValues(path, z.array(z.number()))
  const model = referenceModel(policy)
  const frozen = !hasLiveReference(policy)
  let complete = false
  return {
    frozen,
    complete: () => {
      complete = true
    },
    trouble() {
      const failure = cache.failure()
      return (
        failure &&
        `reference values could not be kept in ${path} (${failure.message}); set ATTUNE_CACHE to a folder that can be written`
      )
    },
    async sums(tree, weights) {
      const name = keyOf(tree, weights)
      const found = cache.get(name)
      if (found) return found
      assert(!frozen || !complete, 'a reference value is missing, and the model has changed')
      const values = await branchSums(model, tree, weights)
      await cache.set(name, values)
      return values
    },
  }
}

const keyOf = ({ trunk, branches }: Tree, weights?: readonly ArrayLike<number>[]): string =>
  contentKey([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0])

/** Tokens of a pass, roughly: a longer tree has one of its own. */
const passTokens = 4096

/** Log-prob sums of each tree's branches. What shares a pass depends on the trees given, and on nothing else. */
export const logpSums = async (model: Model, trees: readonly Tree[]): Promise<number[][]> => {
  const K = Math.max(...trees.map(({ branches }) => branches.length))
  const runs: Tree[][] = []
  let room = 0
  for (const tree of trees) {
    const tokens = tree.branches.reduce((n, { length }) => n + length, tree.trunk.length)
    if (tokens > room) {
      runs.push([])
      room = passTokens
    }
    runs.at(-1)!.push(tree)
    room -= tokens
  }
  const sums: number[][] = []
  for (const run of runs) {
    const own = run.map(({ branches }) => branches.map(() => 0))
    for (const packed of packs(run, K)) {
      const { stats, placed } = targetStats(model, packed, ['logps'])
      const logps = await model.backend.read(stats.logps)
      model.backend.free([stats.logps, ...placed.handles])
      logps.forEach((logp, m) => {
        const s = packed.targets.sequence[m]
        own[Math.floor(s / K)][s % K] += logp
      })
    }
    sums.push(...own)
  }
  return sums
}

const branchSums = async (model: Model, tree: Tree, weights?: readonly ArrayLike<number>[]): Promise<number[]> => {
  const packed = pack([tree], tree.branches.length)
  const { stats, placed } = targetStats(model, packed, ['logps'])
  const logps = await model.backend.read(stats.logps)
  model.backend.free([stats.logps, ...placed.handles])
  const sums = tree.branches.map(() => 0)
  // Without a trunk nothing predicts a branch's first token
  const seen = tree.branches.map(() => Number(tree.trunk.length === 0))
  for (let m = 0; m < logps.length; m++) {
    const k = packed.targets.sequence[m]
    if (k < sums.length) sums[k] += logps[m] * (weights?.[k][seen[k]++] ?? 1)
  }
  return sums
}
