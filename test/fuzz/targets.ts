/**
 * The targets of the fuzz campaign.
 * A target makes an input from seeds and a random source, and runs a reader on it. The reader may return a value, whose invariants
 * are asserted, or throw a Fault. Any other error is a finding.
 */
import { fileTargets } from './fileTargets.ts'
import { modelTargets } from './modelTargets.ts'
import type { Random } from './random.ts'
import { serverTargets } from './serverTargets.ts'
import { textTargets } from './textTargets.ts'

export type Input = Uint8Array | string

export type Target = {
  name: string
  /** The share of inputs; fast readers get more. */
  weight: number
  /** Whether its inputs are texts and not bytes. */
  isText?: boolean
  /** Makes an input. @param found earlier inputs that gave a new outcome, to be changed further */
  make(r: Random, found: readonly Input[]): Input
  /** Runs the reader. Throws a Fault for a refusal. @returns a short description of the outcome, if outcomes differ */
  run(input: Input): unknown
}

export const targets: readonly Target[] = [...fileTargets, ...modelTargets, ...textTargets, ...serverTargets]
