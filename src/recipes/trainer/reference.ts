/**
 * Log-probabilities under the reference model, computed once for each example and kept on disk by content: a resumed run, a
 * later epoch or another run finds them again. Each example is a pass of its own, so that a value never depends on what else
 * was in a batch, and a resumed run reads the very bits that were written.
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Tree } from '../../data/batch.ts'
import type { Model } from '../../passes/model.ts'
import { readTokenStats } from '../../passes/tokenStats.ts'
import { contentKey } from '../../store/content.node.ts'
import { openValues } from '../../store/values.node.ts'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { assert } from '../../util/fault.ts'
import { digestOf } from '../../util/sha256.node.ts'
import { hasLiveReference, type Policy, referenceModel } from './policy.ts'

export type Reference = {
  /** For each branch of the tree sum_t weight_t log ref(y_t | ...), in nats. */
  sums(tree: Tree, weights?: readonly ArrayLike<number>[]): Promise<number[]>
  /** The reference is what the policy was before training, so every value must be computed before the first step. */
  readonly mustPrecompute: boolean
  /** Every value is computed: a missing one is a mistake from now on. */
  precomputed(): void
  /** Why values could not be kept on disk, if so; that only costs time in the next run. */
  cacheFailure(): string | undefined
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
  const mustPrecompute = !hasLiveReference(policy)
  let complete = false
  return {
    mustPrecompute,
    precomputed: () => {
      complete = true
    },
    cacheFailure() {
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
      assert(!mustPrecompute || !complete, 'a reference value is missing, and the model has changed')
      const values = await branchSums(model, tree, weights)
      await cache.set(name, values)
      return values
    },
  }
}

const keyOf = ({ trunk, branches }: Tree, weights?: readonly ArrayLike<number>[]): string =>
  contentKey([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0])

/** Log-prob sums of each tree's branches. What shares a pass depends on the trees given, and on nothing else. */
export const logpSums = async (model: Model, trees: readonly Tree[]): Promise<number[][]> => {
  const { logps } = await readTokenStats(model, trees, ['logps'])
  return logps.map(({ branches }) => branches.map((values) => values.reduce((sum, logp) => sum + logp, 0)))
}

const branchSums = async (model: Model, tree: Tree, weights?: readonly ArrayLike<number>[]): Promise<number[]> => {
  const { logps } = await readTokenStats(model, [tree], ['logps'])
  // Without a trunk nothing predicts a branch's first token
  const first = Number(tree.trunk.length === 0)
  return logps[0].branches.map((values, k) =>
    values.reduce((sum, logp, t) => sum + logp * (weights?.[k][first + t] ?? 1), 0),
  )
}
