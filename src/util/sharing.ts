/**
 * What a run needs of other machines: shards of its work are given out, and their results come back in order. Recipes and labs know
 * this much; the room workers/ does it over Redis.
 */

/** What workers compute, one executor each (workers/executors.ts). */
export type ShardKind = 'gradient' | 'evaluation' | 'samples' | 'pass' | 'cell'

/** A part of a run's work. It and its files say everything that its result depends on. */
export type Shard = {
  kind: ShardKind
  /** Plain data and typed arrays. */
  input: object
  /** Of everything that was published for it: a worker fetches these before it begins. */
  files: readonly string[]
  /** Whether a worker's result has the form of one; another is thrown away. */
  fits?(result: unknown): boolean
}

export type Sharing = {
  /** How many workers can take a shard of this run now. */
  workers(): number
  /** Puts bytes, or a file by its path, where workers find them. @returns their SHA-256 in hex */
  publish(content: Uint8Array | { path: string }): Promise<string>
  /** Workers no longer need these. */
  withdraw(hashes: readonly string[]): void
  /**
   * The results of shards, in order. What no worker takes, because there is none or the queue cannot be reached, is computed here.
   * @param local computes shard i in this process, to the same result
   */
  results<R>(shards: readonly Shard[], local: (i: number) => Promise<R>, signal?: AbortSignal): AsyncGenerator<R>
}

/** Whether a result is arrays of float32 of these lengths. */
export const areFloats = (result: unknown, lengths: readonly number[]): boolean =>
  Array.isArray(result) &&
  result.length === lengths.length &&
  lengths.every((length, i) => result[i] instanceof Float32Array && result[i].length === length)

/** Passes or batches that are made ahead for each worker, so that none waits for the slowest. */
const aheadOfAWorker = 8

/** How many passes or batches are made together: one where nobody shares them. */
export const readAhead = (shared: Pick<Sharing, 'workers'> | undefined): number =>
  Math.max(1, aheadOfAWorker * (shared?.workers() ?? 0))
