/** Passes that workers may compute in place of this process (util/sharing.ts), as a model knows of them. */
import type { PackedBatch } from '../data/batch.ts'
import type { HeadOptions, TokenStats } from '../nn/head.ts'

/** What a pass reads at its targets: a statistic of each token [M], scores [M, num_labels], normed hidden states [M, C]. */
export type PassValue = keyof TokenStats | 'scores' | 'hidden'

/** A forward pass without gradients, and what it reads. */
export type Pass = {
  batch: PackedBatch
  names: readonly PassValue[]
  settings?: Pick<HeadOptions, 'labelSmoothing' | 'temperature'>
}

export type PassSharing = {
  /** How many workers can take a pass now. */
  workers(): number
  /** What each pass reads, in order. */
  results(
    passes: readonly Pass[],
    options: {
      /** Whether the model's adapter is switched on. */
      adapter: boolean
      /** Numbers of each value of pass i. */
      lengths(i: number): readonly number[]
      /** Computes pass i in this process. */
      local(i: number): Promise<Float32Array[]>
    },
  ): AsyncIterable<Float32Array[]>
}
