/** Work without an await that is given up after a time: a pattern that backtracks for ever, a check that never ends. */
import { createContext, Script } from 'node:vm'

const script = new Script('work()')
/** One for all calls: to make a context takes longer than most work. */
const scope: { work?: () => unknown } = {}
const context = createContext(scope)

/** @returns what `work` gives, or undefined where it took longer than so many milliseconds. What it throws passes. */
export const withinTime = <T>(milliseconds: number, work: () => T): T | undefined => {
  try {
    scope.work = work
    return script.runInContext(context, { timeout: milliseconds })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
    throw error
  }
}
