/**
 * A process that stays and runs one attune command after another.
 * It loads modules and engine once, so a command takes a tenth of the time of a new process. If a command does not end in time or
 * crashes the process, its result says so.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Ended } from './runs.ts'

const program = fileURLToPath(new URL('./attune.mjs', import.meta.url))

export type WarmEnded = Ended & { hung: boolean }
export type Warm = { run(argv: readonly string[], cache: string, cwd?: string): Promise<WarmEnded>; close(): void }

/** The process is replaced after this many commands, to free its memory. */
const commandsOfAProcess = 150

export const openWarm = (seconds = 120): Warm => {
  let child: ChildProcess | undefined
  let commands = 0
  const started = () => {
    if (child && commands++ < commandsOfAProcess) return child
    child?.kill('SIGKILL')
    commands = 1
    return (child = fork(program, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] }))
  }
  return {
    run: (argv, cache, cwd) =>
      new Promise((resolve) => {
        const process = started()
        const began = performance.now()
        let crash = ''
        let hung = false
        const hear = (chunk: Buffer) => {
          crash += chunk
        }
        const end = (ended: Pick<Ended, 'code' | 'signal' | 'stdout' | 'stderr'>) => {
          clearTimeout(timer)
          process.stderr!.off('data', hear)
          process.off('message', answered)
          process.off('exit', exited)
          resolve({ ...ended, ms: performance.now() - began, hung })
        }
        const answered = (answer: unknown) =>
          end({ signal: null, ...(answer as Pick<Ended, 'code' | 'stdout' | 'stderr'>) })
        const exited = (code: number | null, signal: NodeJS.Signals | null) => {
          child = undefined
          end({ code, signal, stdout: '', stderr: crash })
        }
        const timer = setTimeout(() => {
          hung = true
          process.kill('SIGKILL')
        }, 1000 * seconds)
        process.stderr!.on('data', hear)
        process.on('message', answered)
        process.on('exit', exited)
        process.send({ argv, cache, cwd })
      }),
    close() {
      child?.kill('SIGKILL')
      child = undefined
    },
  }
}
