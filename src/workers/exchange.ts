/**
 * The exchange of a run: content that workers fetch by its SHA-256, and the results of shards, which they leave. Redis holds only
 * names of these. Over HTTP from the coordinator (http.ts), in a folder that all machines see (folder.ts), or in an S3-compatible
 * store (s3.ts).
 */

/** Bytes, or a file that holds them. */
export type Content = Uint8Array | { path: string }

/** The coordinator's side. */
export type Exchange = {
  /** Where workers find it, as `openExchange` reads it. */
  address: string
  /** Makes content available. @param hash its SHA-256 in hex */
  offer(hash: string, content: Content): Promise<void>
  withdraw(hash: string): Promise<void>
  /** Waits for results of these shards only; others are refused or left alone. */
  await(shards: readonly string[]): void
  /** A result that has arrived, sealed. It is forgotten with `forget`. */
  result(shard: string): Promise<Uint8Array | undefined>
  forget(shards: readonly string[]): Promise<void>
  /** Called when a result has arrived, where that is told. */
  onResult(listener: () => void): void
  /** Milliseconds between two looks for results. */
  lookEvery: number
  /** Bytes that workers have fetched and sent, where that is known. */
  bytes: { sent: number; received: number }
  close(): Promise<void>
}

/** A worker's side. */
export type ExchangeClient = {
  /** Writes content to a file. Throws where it cannot be had, or is not what its hash says. */
  fetch(hash: string, path: string): Promise<void>
  /** The same in memory, for what is read once. */
  read(hash: string): Promise<Uint8Array>
  /** @returns whether the run still waits for it */
  send(shard: string, sealed: Uint8Array): Promise<boolean>
}

const hexName = /^[0-9a-f]{64}$/

/** Names that are taken from a queue or a request become parts of paths. */
export const isHash = (name: unknown): name is string => typeof name === 'string' && hexName.test(name)
