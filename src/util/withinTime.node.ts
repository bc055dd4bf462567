/** Runs synchronous work with a time limit, such as a regular expression that may backtrack for ever. */
import { createContext, Script } from 'node:vm'

const script = new Script('work()')
/** One context for all calls, since making one takes longer than most work. */
const scope: { work?: () => unknown } = {}
const context = createContext(scope)

/** @returns what `work` returns, or undefined where it took longer than so many milliseconds. Errors of `work` are thrown. */
export const withinTime = <T>(milliseconds: number, work: () => T): T | undefined => {
  try {
    scope.work = work
    return script.runInContext(context, { timeout: milliseconds })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
    throw error
  }
}
