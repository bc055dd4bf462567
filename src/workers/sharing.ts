/** The settings of workers that commands and the library have alike, and the coordinator that they open. */
import { badInput } from '../util/fault.ts'
import { kebab } from '../util/kebab.ts'
import type { Sharing } from '../util/sharing.ts'
import { version } from '../util/version.node.ts'
import { withoutPassword } from './address.ts'

export type WorkersSettings = { workers?: string; workersFiles?: string; workersHost?: string }

export type OpenedSharing<S> = {
  /** The settings without those of workers, on which no result depends. */
  settings: Omit<S, keyof WorkersSettings>
  /** Undefined without `workers`. */
  sharing?: Sharing
  close(): Promise<void>
}

/**
 * @param name of the run, in lists of runs and workers
 * @param note is told when workers come and go, and when Redis does not answer
 * @throws Fault 'bad-flag' for an address where no Redis answers, and for flags that say nothing without one
 */
export const openSharing = async <S extends object>(
  all: S & WorkersSettings,
  { name, note }: { name: string; note(message: string): void },
): Promise<OpenedSharing<S>> => {
  const { workers: url, workersFiles: files, workersHost: host, ...settings } = all
  if (url === undefined) {
    const given = Object.entries({ workersFiles: files, workersHost: host }).find(([, value]) => value !== undefined)
    if (given)
      throw badInput('bad-flag', 'says how workers reach this machine; give --workers too', {
        flag: `--${kebab(given[0])}`,
      })
    return { settings, close: async () => {} }
  }
  // Redis is loaded only where it is asked for
  const { openCoordinator } = await import('./coordinator.ts')
  const sharing = await openCoordinator({ url, files, host, name, version: version(), note })
  if (sharing.workers() === 0)
    note(`none yet: this process computes until one joins (attune worker ${withoutPassword(url)})`)
  return { settings, sharing, close: sharing.close }
}
