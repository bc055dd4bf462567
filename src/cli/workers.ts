/** `--workers` on the command line: lines that tell of workers, and a record without passwords. */
import type { Sharing } from '../util/sharing.ts'
import { withoutPassword } from '../workers/address.ts'
import { openSharing, type WorkersSettings } from '../workers/sharing.ts'
import type { Screen } from './screen.ts'
import { painter } from './screen.ts'

/**
 * Opens the coordinator around the work of a command.
 * @param name of the run, in lists of runs and workers
 */
export const withWorkers = async <S extends object, R>(
  all: S & WorkersSettings,
  { name, note, screen }: { name: string; note(line: string): void; screen: Screen },
  work: (settings: Omit<S, keyof WorkersSettings>, sharing: Sharing | undefined) => Promise<R>,
): Promise<R> => {
  const label = painter(screen)('dim', 'workers'.padEnd(10))
  const { settings, sharing, close } = await openSharing<S>(all, {
    name,
    note: (message) => note(`  ${label}${message}`),
  })
  try {
    return await work(settings, sharing)
  } finally {
    await close()
  }
}

/** The command line as run.json keeps it: without the password of a Redis. */
export const recordedCommand = (argv: readonly string[]): string[] => [
  'attune',
  ...argv.map((word) => (/^(--workers=)?rediss?:\/\//.test(word) ? withoutPassword(word) : word)),
]
