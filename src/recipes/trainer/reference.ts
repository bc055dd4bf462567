/**
 * Log-probabilities under the reference model, computed once for each example and kept on disk by content: a resumed run, a
 * later epoch or another run finds them again. Each example is a pass of its own, so that a value never depends on what else
 * was in a batch, and a resumed run reads the very bits that were written.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { pack, packs, type Tree } from '../../data/batch.ts'
import type { Model } from '../../passes/model.ts'
import { targetStats } from '../../passes/stats.ts'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { assert } from '../../util/fault.ts'
import { appendText, makeFolders } from '../../util/files.node.ts'
import { sealed, unsealed } from '../../util/sealed.node.ts'
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
  const known = await readKnown(path)
  const cache = cacheFile(path)
  const model = referenceModel(policy)
  const mustPrecompute = !hasLiveReference(policy)
  let complete = false
  return {
    mustPrecompute,
    precomputed: () => {
      complete = true
    },
    cacheFailure: cache.failure,
    async sums(tree, weights) {
      const name = keyOf(tree, weights)
      const found = known.get(name)
      if (found) return found
      assert(!mustPrecompute || !complete, 'a reference value is missing, and the model has changed')
      const values = await branchSums(model, tree, weights)
      known.set(name, values)
      await cache.append(sealed({ k: name, v: values }).text)
      return values
    },
  }
}

const keyOf = ({ trunk, branches }: Tree, weights?: readonly ArrayLike<number>[]): string =>
  digestOf(
    JSON.stringify([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0]),
  )

/** Appends lines until that fails once. */
const cacheFile = (path: string) => {
  let failure: string | undefined
  return {
    failure: () => failure,
    async append(line: string) {
      if (failure) return
      try {
        await makeFolders(dirname(path))
        // The newline before it ends a line that was torn
        await appendText(path, `\n${line}\n`)
      } catch (error) {
        failure = `reference values could not be kept in ${path} (${(error as Error).message}); set ATTUNE_CACHE to a folder that can be written`
      }
    },
  }
}

const lineSchema = z.object({ k: z.string(), v: z.array(z.number()) })

const readKnown = async (path: string): Promise<Map<string, number[]>> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  return new Map(text.split('\n').flatMap(knownIn))
}

/** A torn or damaged line is only a value to compute again. */
const knownIn = (line: string): [string, number[]][] => {
  try {
    const { k, v } = lineSchema.parse(unsealed(line))
    return [[k, v]]
  } catch {
    return []
  }
}

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
