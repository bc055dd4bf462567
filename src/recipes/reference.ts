/**
 * Log-probabilities under the reference model, computed once for each example and kept on disk by content: what was
 * computed is found again by a resumed run, a later epoch or another run. Peculiar: each example is a pass of its own,
 * so a value never depends on what else was in a batch, and a resumed run reads the very bits that were written.
 */
import { createHash } from 'node:crypto'
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { cpus, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pack, type Tree } from '../data/batch.ts'
import type { Model } from '../passes/model.ts'
import { targetStats } from '../passes/stats.ts'
import { hasLiveReference, type Policy, referenceModel } from './policy.ts'

export type Reference = {
  /** One sum for each branch of the tree: sum_t weight_t log ref(y_t | ...). */
  sums(tree: Tree, weights?: readonly ArrayLike<number>[]): Promise<number[]>
  /** The model goes away as it is trained: every value must be computed before. */
  readonly frozen: boolean
}

/** ATTUNE_CACHE, or the system's place for caches. */
export const cacheFolder = () =>
  process.env.ATTUNE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'attune')

export const openReference = async (policy: Policy): Promise<Reference> => {
  const key = [
    ...policy.files.map(({ sha256 }) => sha256),
    JSON.stringify(policy.backend.description),
    cpus()[0]?.model ?? '',
  ]
  const path = join(cacheFolder(), 'reference', `${digest(key.join('\n'))}.jsonl`)
  await mkdir(dirname(path), { recursive: true })
  const known = await readKnown(path)
  const model = referenceModel(policy)
  return {
    frozen: !hasLiveReference(policy),
    async sums(tree, weights) {
      const name = keyOf(tree, weights)
      const found = known.get(name)
      if (found) return found
      const values = await branchSums(model, tree, weights)
      known.set(name, values)
      // One line, one write: lines of two processes do not mix
      await appendFile(path, `${JSON.stringify({ k: name, v: values })}\n`)
      return values
    },
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 32)

const keyOf = ({ trunk, branches }: Tree, weights?: readonly ArrayLike<number>[]): string =>
  digest(
    JSON.stringify([Array.from(trunk), branches.map((b) => Array.from(b)), weights?.map((w) => Array.from(w)) ?? 0]),
  )

const readKnown = async (path: string): Promise<Map<string, number[]>> => {
  const known = new Map<string, number[]>()
  const text = await readFile(path, 'utf8').catch(() => '')
  // A torn last line is only a value to compute again
  for (const line of text.split('\n'))
    if (line.endsWith('}')) {
      const { k, v } = JSON.parse(line) as { k: string; v: number[] }
      known.set(k, v)
    }
  return known
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
