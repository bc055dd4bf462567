/** Stops, resumes and deletes runs. */
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { httpError } from '../../http/errors.ts'
import { isRunning, writerOf } from '../../runs/lock.node.ts'
import { attune, lastMessage } from './cli.node.ts'
import type { OpenRun, RunStore } from './store.node.ts'

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

/** Starts a process that goes on with a run. It outlives the studio; its failure is told by the store. */
export const resumeRun = async (store: RunStore, { name, dir, row }: OpenRun, changed: () => void): Promise<void> => {
  if (await isRunning(dir)) throw httpError(400, 'the run is running already')
  if (row.state === 'ended') throw httpError(400, 'the run has reached its end; there is nothing to resume')
  store.failed(name, undefined)
  const folder = mkdtempSync(join(tmpdir(), 'attune-resume-'))
  const messages = join(folder, 'messages')
  const child = spawn(process.execPath, [attune, 'runs', 'resume', dir, '--json'], {
    cwd: store.root,
    detached: true,
    stdio: ['ignore', 'ignore', openSync(messages, 'w')],
  })
  child.unref()
  child.on('error', (error) => store.failed(name, error.message))
  child.on('exit', async (code) => {
    // 130: it was stopped, with a checkpoint
    if (code !== 0 && code !== 130)
      store.failed(name, lastMessage(await readFile(messages, 'utf8').catch(() => '')) ?? 'the process was killed')
    await rm(folder, { recursive: true, force: true })
    changed()
  })
}
