/** The process of a job: a command of attune with arguments as they are, without a shell, in a session of its own. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'
import { fileURLToPath } from 'node:url'
import { parseJson } from '../../util/json.ts'
import { readFrom } from './records.ts'

export const ownCommand = fileURLToPath(new URL('../../../bin/attune.js', import.meta.url))

export type Started = { pid: number; began?: string; ended: Promise<{ exitCode?: number; signal?: string }> }

/** @param command another script in place of attune's own */
export const startProcess = async (
  argv: readonly string[],
  { root, stdout, stderr, command = ownCommand }: { root: string; stdout: number; stderr: number; command?: string },
): Promise<Started> => {
  // It outlives the studio: a training is not lost with its page
  const child = spawn(process.execPath, [command, ...argv], {
    cwd: root,
    detached: true,
    stdio: ['ignore', stdout, stderr],
    windowsHide: true,
  })
  const ended = new Promise<{ exitCode?: number; signal?: string }>((resolve) => {
    child.on('exit', (code, signal) => resolve({ exitCode: code ?? undefined, signal: signal ?? undefined }))
    child.on('error', () => resolve({ exitCode: 1 }))
  })
  child.unref()
  const pid = child.pid ?? 0
  return { pid, began: await beganOf(pid), ended }
}

/** When a process began, in the system's ticks; undefined where the system does not tell. */
export const beganOf = async (pid: number): Promise<string | undefined> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name of the program, in brackets, may hold anything
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // State Z: it has ended, and nobody has asked how
  return fields[0] === 'Z' ? undefined : fields[19]
}

export const isAlive = async (pid: number, began: string | undefined): Promise<boolean> => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return began === undefined || (await beganOf(pid)) === began
}

export type PrintedEvent = Record<string, unknown>

/** Reads the lines of JSON that a process prints as they come, a bounded part at a time. */
export const followLines = (path: string, from = 0) => {
  let at = from
  let rest = ''
  // A part may end inside of a character
  const decoder = new StringDecoder('utf8')
  return {
    /** Events since the last call. A line that is too long for an event is passed over. */
    async next(): Promise<PrintedEvent[]> {
      const bytes = await readFrom(path, at, chunk)
      at += bytes.length
      const lines = (rest + decoder.write(bytes)).split('\n')
      rest = lines.pop()!
      if (rest.length > chunk) rest = ''
      return lines.map(eventIn).filter((event) => event !== undefined)
    },
  }
}

const chunk = 2 ** 20

export const eventIn = (line: string): PrintedEvent | undefined => {
  if (!line.startsWith('{')) return undefined
  try {
    return parseJson(line, () => new Error('no event')) as PrintedEvent
  } catch {
    return undefined
  }
}
