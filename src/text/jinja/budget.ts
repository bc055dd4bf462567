/**
 * What a stranger's template may use. Every node, loop turn and made character costs work; one text may not grow past
 * a limit, and calls may not nest past a depth. Past any of them rendering stops with a fault.
 */
import { templateFault } from './values.ts'

export type Budget = {
  /** Fails when the work is used up. */
  spend(work: number): void
  /** A text just read or about to be made: checks its length and pays for it. */
  made(length: number): void
  /** Checks the length of a text that grew. */
  fits(length: number): void
  /** Runs one level deeper. */
  deeper<T>(run: () => T): T
  /** Whether texts of the data are marked, see marks.ts. */
  readonly marked: boolean
}

export type Limits = { work: number; length: number; depth: number }

/** About two seconds of work, 32 million characters in one text, 500 levels. */
export const defaultLimits: Limits = { work: 10_000_000, length: 2 ** 25, depth: 500 }

/** Characters that cost as much as one step. */
const charsPerStep = 16

export const budgetOf = (limits: Limits, marked = false): Budget => {
  let work = 0
  let depth = 0
  const spend = (amount: number) => {
    work += amount
    if (!(work <= limits.work))
      throw templateFault(`the chat template takes more than ${limits.work} steps; it may be broken or hostile`)
  }
  const fits = (length: number) => {
    if (!(length <= limits.length))
      throw templateFault(`the chat template makes a text longer than ${limits.length} characters`)
  }
  return {
    marked,
    spend,
    fits,
    made: (length) => {
      fits(length)
      spend(length / charsPerStep)
    },
    deeper: (run) => {
      if (++depth > limits.depth) throw templateFault(`the chat template nests deeper than ${limits.depth} levels`)
      const result = run()
      depth--
      return result
    },
  }
}
