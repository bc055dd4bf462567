/** What the methods have in common: they play, and say after each update which episodes ended. */
import type { Network } from './network.ts'

type Update = {
  /** The one that is trained on, not a copy. */
  policy: Network
  /** Of the episodes that ended, in steps. */
  lengths: number[]
  /** Of the environment since the last update, all poles together. */
  steps: number
}

export type Training = Generator<Update, void, void>
