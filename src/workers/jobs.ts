/** Jobs of a coordinator: which shards go together, what is waited for, and how a worker's answer is read. */
import { z } from 'zod'
import { unpack } from '../util/packed.ts'
import type { Shard } from '../util/sharing.ts'
import type { JobAnswer } from './answer.ts'
import { unsealBytes } from './seal.ts'

/** A job whose results are waited for: one shard, or several small ones in a row. */
export type OpenJob = {
  shards: readonly Shard[]
  /** SHA-256 of what a worker gets. */
  hash: string
  /** Computes its shards in this process. */
  local(): Promise<unknown[]>
  /** A worker failed with it, or there is none. */
  isLocal: boolean
  /** It is being computed here: a worker's result comes too late. */
  isUnderWay: boolean
  /** How often it was put into the queue. */
  given: number
  settled: boolean
  /** What each shard comes to. */
  values: Promise<unknown[]>
  resolve(values: unknown[]): void
  reject(error: unknown): void
}

/** Small jobs cost as much as large ones: a worker gets eight or so of a long list, of this many shards at most. */
const jobsOfAWorker = 8
const mostTogether = 64

/** Shards in the jobs in which they are given out, in order. */
export const bundles = (shards: readonly Shard[], workers: number): { from: number; shards: readonly Shard[] }[] => {
  const fair = Math.floor(shards.length / (jobsOfAWorker * Math.max(1, workers)))
  const size = Math.max(1, Math.min(mostTogether, fair))
  return Array.from({ length: Math.ceil(shards.length / size) }, (_, i) => ({
    from: i * size,
    shards: shards.slice(i * size, (i + 1) * size),
  }))
}

export const makeOpenJob = (shards: readonly Shard[], hash: string, local: OpenJob['local']): OpenJob => {
  let [resolve, reject]: [OpenJob['resolve'], OpenJob['reject']] = [() => {}, () => {}]
  const values = new Promise<unknown[]>((resolved, rejected) => {
    resolve = resolved
    reject = rejected
  })
  // It may be rejected before its turn
  values.catch(() => {})
  const state = { isLocal: false, isUnderWay: false, given: 0, settled: false }
  return { shards, hash, local, ...state, values, resolve, reject }
}

const answerSchema = z.union([
  z.object({ of: z.string(), values: z.array(z.unknown()) }),
  z.object({ of: z.string(), error: z.string() }),
])

/** Undefined for bytes that are torn, of another job, or no results of this one. */
export const answerIn = (sealed: Uint8Array, { hash, shards }: OpenJob): JobAnswer | undefined => {
  try {
    const bytes = unsealBytes(sealed)
    const answer = bytes && (answerSchema.parse(unpack(bytes)) as JobAnswer)
    if (answer?.of !== hash) return undefined
    if ('error' in answer) return answer
    const { values } = answer
    const fit = values.length === shards.length && shards.every(({ fits }, i) => !fits || fits(values[i]))
    return fit ? answer : undefined
  } catch {
    return undefined
  }
}
