/**
 * What an untrusted template may use. Every node, loop turn, item and character costs work, which is paid for before
 * anything is made. A text may not grow past a limit, calls may not nest past a depth, and a clock stops what is slow
 * all the same.
 */
import { templateFault } from './values.ts'

export type Budget = {
  /** Fails when the work is used up. Work is never given back. */
  spend(work: number): void
  /** Checks the length of a text that is about to be read or made, and pays for it. */
  spendText(length: number): void
  /** Checks the length of a text that grew, which is already paid for. */
  checkLength(length: number): void
  /** Runs one level deeper; fails beyond the deepest. */
  deeper<T>(run: () => T): T
  /** Whether texts from the data are marked, see marks.ts. */
  readonly marked: boolean
}

/** What every expression of a template is evaluated with. */
export type Context = {
  readonly budget: Budget
  /** Inside {% autoescape true %}: what is printed is escaped unless it is markup. */
  readonly escapes?: boolean
  /** Names of all filters, which the test `filter` asks for. */
  readonly filterNames: ReadonlySet<unknown>
}

export type Limits = { work: number; length: number; depth: number; seconds: number }

/** About two seconds of work, 32 million characters in one text, 500 levels, and five seconds in any case. */
export const defaultLimits: Limits = { work: 10_000_000, length: 2 ** 25, depth: 500, seconds: 5 }

/** Characters that cost as much as one step. */
const charsPerStep = 16
/** How much work is done between two looks at the clock. */
const betweenLooks = 20_000

export const budgetOf = (limits: Limits, marked = false): Budget => {
  const end = performance.now() + limits.seconds * 1000
  let work = 0
  let nextLook = betweenLooks
  let depth = 0
  const spend = (amount: number) => {
    work += Math.max(0, amount)
    if (!(work <= limits.work))
      throw templateFault(`the chat template takes more than ${limits.work} steps; it may be broken or hostile`)
    if (work < nextLook) return
    nextLook = work + betweenLooks
    if (performance.now() > end)
      throw templateFault(`the chat template takes more than ${limits.seconds} seconds; it may be broken or hostile`)
  }
  const fits = (length: number) => {
    if (!(length <= limits.length))
      throw templateFault(`the chat template makes a text longer than ${limits.length} characters`)
  }
  return {
    marked,
    spend,
    checkLength: fits,
    spendText: (length) => {
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
