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
import { readPlansOf } from '../../passes/readPasses.ts'
import { readTokenStats, tokenStatsPlan } from '../../passes/tokenStats.ts'
import { contentKey } from '../../store/content.node.ts'
import { openValues } from '../../store/values.node.ts'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { assert } from '../../util/fault.ts'
import { digestOf } from '../../util/sha256.node.ts'
import { hasLiveReference, type Policy, referenceModel } from './policy.ts'

/** A tree, and the weights of the tokens of its branches. */
export type WeightedTree = { tree: Tree; weights?: readonly ArrayLike<number>[] }

export type Reference = {
  /** For each branch of the trees of each micro-batch sum_t weight_t log ref(y_t | ...), in nats. */
  sums(microBatches: readonly WeightedTree[][]): Promise<number[][][]>
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
    policy.compute,
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
    async sums(microBatches) {
      const missing = new Map(microBatches.flat().map((each) => [keyOf(each), each] as const))
      for (const name of missing.keys()) if (cache.get(name)) missing.delete(name)
      assert(
        missing.size === 0 || !mustPrecompute || !complete,
        'a reference value is missing, and the model has changed',
      )
      const plans = [...missing.values()].map(({ tree }) => tokenStatsPlan([tree], ['logps']))
      const names = missing.entries()
      for await (const { logps } of readPlansOf(model, plans)) {
        const [name, { tree, weights }] = names.next().value!
        await cache.set(name, weightedSums(tree, logps[0].branches, weights))
      }
      return microBatches.map((trees) => trees.map((each) => cache.get(keyOf(each))!))
    },
  }
}

const keyOf = ({ tree: { trunk, branches }, weights }: WeightedTree): string =>
  contentKey([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0])

/** Log-prob sums of each tree's branches. What shares a pass depends on the trees given, and on nothing else. */
export const logpSums = async (model: Model, trees: readonly Tree[]): Promise<number[][]> => {
  const { logps } = await readTokenStats(model, trees, ['logps'])
  return logps.map(({ branches }) => branches.map((values) => values.reduce((sum, logp) => sum + logp, 0)))
}

const weightedSums = ({ trunk }: Tree, branches: number[][], weights?: readonly ArrayLike<number>[]): number[] => {
  // Without a trunk nothing predicts a branch's first token
  const first = Number(trunk.length === 0)
  return branches.map((values, k) => values.reduce((sum, logp, t) => sum + logp * (weights?.[k][first + t] ?? 1), 0))
}
