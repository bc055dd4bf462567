/**
 * What the fuzz campaign feeds: a target makes an input from seeds and a random source, and runs a reader on it. A reader
 * may give a value, whose invariants are asserted, or a fault; whatever else it throws is found by the runner.
 */
import { fileTargets } from './fileTargets.ts'
import { modelTargets } from './modelTargets.ts'
import type { Random } from './random.ts'
import { serverTargets } from './serverTargets.ts'
import { textTargets } from './textTargets.ts'

export type Input = Uint8Array | string

export type Target = {
  name: string
  /** Its share of a campaign's inputs: cheap readers get more. */
  weight: number
  /** Its inputs are texts, not bytes. */
  isText?: boolean
  /** @param found inputs that led to an answer or a refusal that was new, to go on from */
  make(r: Random, found: readonly Input[]): Input
  /** Throws a Fault for a refusal; answers what came out, in a word, where that tells inputs apart. */
  run(input: Input): unknown
}

export const targets: readonly Target[] = [...fileTargets, ...modelTargets, ...textTargets, ...serverTargets]
