/** Asks before what cannot be undone: in a terminal by a question, elsewhere --yes must have been given. */
import { createInterface } from 'node:readline'
import { badInput } from '../util/fault.ts'

type Terminal = { input: NodeJS.ReadableStream; output: NodeJS.WritableStream; isTerminal: boolean }

const ownTerminal = (): Terminal => ({
  input: process.stdin,
  output: process.stderr,
  isTerminal: Boolean(process.stdin.isTTY && process.stderr.isTTY),
})

/**
 * @param yes whether --yes was given   @param what would be done, such as "delete the run a"
 * @returns whether to do it. Throws a Fault 'bad-flag' where nobody can be asked.
 */
export const confirmed = async (
  yes: boolean,
  what: string,
  { input, output, isTerminal }: Terminal = ownTerminal(),
): Promise<boolean> => {
  if (yes) return true
  if (!isTerminal) throw badInput('bad-flag', `is needed to ${what} where no terminal can ask`, { flag: '--yes' })
  const lines = createInterface({ input, output })
  try {
    const answer = await new Promise<string>((resolve) => {
      lines.on('close', () => resolve(''))
      lines.question(`${what[0].toUpperCase()}${what.slice(1)}? [y/N] `, resolve)
    })
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
