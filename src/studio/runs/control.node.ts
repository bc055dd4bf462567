/** Stops runs, whoever started them. */
import { readFile } from 'node:fs/promises'
import { httpError } from '../../http/errors.ts'
import { isRunning, writerOf } from '../../runs/lock.node.ts'
import type { OpenRun } from './store.node.ts'

/** Asks the process that writes a run to end; it writes a checkpoint first. */
export const stopRun = async ({ dir }: OpenRun): Promise<void> => {
  const pid = await writerOf(dir)
  if (pid === undefined)
    throw httpError(
      400,
      (await isRunning(dir)) ? 'the run is on another machine; stop it there' : 'the run is not running',
    )
  // A folder from elsewhere may hold a lock that names any process
  if (pid === process.pid || !(await isProgram(pid)))
    throw httpError(
      400,
      `process ${pid}, which the lock of the run names, is no training; stop it where it was started`,
    )
  process.kill(pid, 'SIGTERM')
}

/** Where the system tells, the command of a process must look like attune's. */
const isProgram = async (pid: number): Promise<boolean> => {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  return command === undefined || /attune|node/.test(command)
}
