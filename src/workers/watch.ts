/** What a run says of the workers at its Redis: who joins and leaves, who gets no shards, whose arithmetic is another. */
import type { WorkerEntry } from './redis.ts'

type Notes = { note(message: string): void; noteOnce(message: string): void }

/** Different messages about shards and workers; more would say nothing new. */
const maxNotes = 100

/** Passes each message on once. */
export const onceEach = (note: (message: string) => void): ((message: string) => void) => {
  const noted = new Set<string>()
  return (message) => {
    if (noted.has(message) || noted.size === maxNotes) return
    noted.add(message)
    note(message)
  }
}

/** @returns a function that is shown the workers from time to time, and says how many can take a shard */
export const watchWorkers = (
  { version, arithmetic }: Pick<WorkerEntry, 'version' | 'arithmetic'>,
  { note, noteOnce }: Notes,
): ((workers: ReadonlyMap<string, WorkerEntry>) => number) => {
  /** Those that have been told of, and how often each has been missing since. */
  const known = new Map<string, { name: string; missing: number }>()
  const welcome = (worker: WorkerEntry): string => {
    if (worker.version !== version)
      return `worker ${worker.name} gets no shards: it is attune ${worker.version}, and this run ${version}`
    if (worker.arithmetic !== arithmetic)
      return `worker ${worker.name} has another kind of processor (${worker.arithmetic}; here ${arithmetic}): last bits will differ`
    return `worker ${worker.name} has joined`
  }
  return (workers) => {
    const ofVersion = [...workers.values()].filter((worker) => worker.version === version)
    for (const { name, trouble } of ofVersion)
      if (trouble) noteOnce(`worker ${name} takes no shards for a while: ${trouble}`)
    for (const [key, worker] of workers) {
      if (!known.has(key)) note(welcome(worker))
      known.set(key, { name: worker.name, missing: 0 })
    }
    for (const [key, each] of known) {
      // An emptied Redis has no entries until workers renew them
      if (workers.has(key) || ++each.missing < 2) continue
      known.delete(key)
      note(`worker ${each.name} has left`)
    }
    return ofVersion.filter(({ trouble }) => !trouble).length
  }
}
