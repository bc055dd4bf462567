/** How long a training would take and how much memory it would need: `attune check --estimate` tells, from a few of its steps. */
import { execFile } from 'node:child_process'
import { plural } from '../../util/format.ts'
import type { Estimate } from './api.ts'
import { eventIn, ownCommand } from './process.ts'

const longest = 120_000

/** @param argv a training's words: dpo --model ... */
export const estimate = (
  [method, ...flags]: readonly string[],
  root: string,
  signal: AbortSignal,
  command = ownCommand,
): Promise<Estimate> =>
  new Promise((resolve) => {
    const argv = [command, 'check', '--for', method, ...flags, '--rows', '0', '--estimate', '--json']
    const options = { cwd: root, timeout: longest, maxBuffer: 2 ** 24, signal } as const
    execFile(process.execPath, argv, options, (error, stdout, stderr) => {
      const lines = stdout
        .split('\n')
        .map(eventIn)
        .filter((line) => line !== undefined)
      const last = lines.at(-1)
      const cost = last?.estimate as
        | { seconds: number; steps: number; peak_bytes: number; of_bytes: number }
        | undefined
      if (cost)
        return resolve({
          time: `about ${timeText(cost.seconds)} for ${plural(cost.steps, 'step')}`,
          memory: `${gigabytes(cost.peak_bytes)} of ${gigabytes(cost.of_bytes)} GB`,
          steps: cost.steps,
        })
      const said = stderr
        .split('\n')
        .findLast((line) => line.startsWith('error: '))
        ?.slice('error: '.length)
      const ruin = lines.find((line) => line.event === 'finding' && line.severity === 'ruins')
      const why = ruin
        ? `${ruin.message}; ${ruin.advice}`
        : typeof last?.not_estimated === 'string'
          ? last.not_estimated
          : said
      resolve({ failed: why ?? (error?.killed ? 'it took longer than two minutes' : 'attune check failed') })
    })
  })

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)

const timeText = (seconds: number): string => {
  if (seconds < 90) return plural(Math.max(1, Math.round(seconds)), 'second')
  if (seconds < 90 * 60) return plural(Math.round(seconds / 60), 'minute')
  return `${(seconds / 3600).toFixed(1)} hours`
}
