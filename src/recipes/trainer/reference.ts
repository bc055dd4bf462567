/**
 * Log-probabilities under the reference model, computed once for each example and kept on disk by content: what was
 * computed is found again by a resumed run, a later epoch or another run. Peculiar: each example is a pass of its own,
 * so a value never depends on what else was in a batch, and a resumed run reads the very bits that were written.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import type { Tree } from '../../data/batch.ts'
import type { Model } from '../../passes/model.ts'
import { readTokenStats } from '../../passes/tokenStats.ts'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { assert } from '../../util/fault.ts'
import { appendText, makeFolders } from '../../util/files.node.ts'
import { sealed, unsealed } from '../../util/sealed.node.ts'
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
  const known = await readKnown(path)
  const kept = keeper(path)
  const model = referenceModel(policy)
  const frozen = !hasLiveReference(policy)
  let complete = false
  return {
    frozen,
    complete: () => {
      complete = true
    },
    trouble: kept.trouble,
    async sums(tree, weights) {
      const name = keyOf(tree, weights)
      const found = known.get(name)
      if (found) return found
      assert(!frozen || !complete, 'a reference value is missing, and the model has changed')
      const values = await branchSums(model, tree, weights)
      known.set(name, values)
      await kept.append(sealed({ k: name, v: values }).text)
      return values
    },
  }
}

const keyOf = ({ trunk, branches }: Tree, weights?: readonly ArrayLike<number>[]): string =>
  digestOf(
    JSON.stringify([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0]),
  )

/** Appends lines until that fails once. */
const keeper = (path: string) => {
  let trouble: string | undefined
  return {
    trouble: () => trouble,
    async append(line: string) {
      if (trouble) return
      try {
        await makeFolders(dirname(path))
        // The newline before it ends a line that was torn
        await appendText(path, `\n${line}\n`)
      } catch (error) {
        trouble = `reference values could not be kept in ${path} (${(error as Error).message}); set ATTUNE_CACHE to a folder that can be written`
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
