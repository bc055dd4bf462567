/** Shards for tests, each a completion by a tiny model, and what one process makes of them. */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Completion } from '../../src/generate/completions.ts'
import { pack } from '../../src/util/packed.ts'
import type { Shard, Sharing } from '../../src/util/sharing.ts'
import { openExecutors } from '../../src/workers/executors.ts'
import { stories } from './runs.ts'

export type SharedWork = {
  /** Publishes the model. @returns shards of some completions each */
  shards(sharing: Sharing, count: number, tokens?: number): Promise<Shard[]>
  /** What one process makes of a shard, which is computed once. */
  compute(shard: Shard): Promise<unknown>
  close(): Promise<void>
}

const names = readdirSync(stories)
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export const openSharedWork = (): SharedWork => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-shared-'))
  const base = Object.fromEntries(names.map((name) => [name, hashOf(readFileSync(join(stories, name)))]))
  const model = pack({ base, open: { quantize: 'none', compute: 'fp32' } })
  const files = new Map(Object.values(base).map((hash) => [hash, join(dir, hash)]))
  for (const [name, hash] of Object.entries(base)) copyFileSync(join(stories, name), files.get(hash)!)
  files.set(hashOf(model), join(dir, hashOf(model)))
  writeFileSync(join(dir, hashOf(model)), model)
  const executors = openExecutors(join(dir, 'models'), 1)
  const known = new Map<string, Promise<unknown>>()
  let computing: Promise<unknown> = Promise.resolve()
  return {
    async shards(sharing, count, tokens = 40) {
      for (const name of names) await sharing.publish({ path: join(stories, name) })
      const of = await sharing.publish(model)
      const options = { maxNewTokens: tokens, samples: 2, seed: 1, temperature: 1, eosIds: [] }
      return Array.from({ length: count }, (_, row) => ({
        kind: 'samples' as const,
        input: { model: of, requests: [{ prompt: [1, 5 + row], row }], options },
        files: [of, ...Object.values(base)],
        fits: (result) =>
          Array.isArray(result) && (result as Completion[][])[0]?.every(({ ids }) => ids.length === tokens),
      }))
    },
    compute({ kind, input }) {
      const packed = pack({ shards: [{ kind, input }] })
      const name = hashOf(packed)
      if (!known.has(name)) {
        const values = computing.then(() => executors.compute(packed, files))
        computing = values
        known.set(
          name,
          values.then(([value]) => value),
        )
      }
      return known.get(name)!
    },
    close: () => executors.close(),
  }
}
