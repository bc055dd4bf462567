/** What a training method yields after each update. */
import type { Network } from './network.ts'

type Update = {
  /** The policy that is trained on, not a copy. */
  policy: Network
  /** Lengths of the episodes that ended since the last update, in steps. */
  lengths: number[]
  /** Steps since the last update, those of all environments together. */
  steps: number
}

export type Training = Generator<Update, void, void>
