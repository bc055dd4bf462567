/**
 * Kills a run (SIGKILL) once or a few times and resumes it each time.
 * A kill comes at a random time, after a file appears, in place of a disk operation, or, if strace is installed, at a system call
 * that changes the disk.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { relative } from 'node:path'
import { type Draws, drawsOf, outcomeOf, type RunResult, resultOf } from './campaign.ts'
import { treeAfter, writeTree } from './powerLoss.ts'
import type { Recorded } from './recorded.ts'
import { type Ended, killer, phaseOf, type StartOptions, start } from './runs.ts'
import type { Warm } from './warm.ts'

/** System calls that change a disk. Writes are separate: the threads of the engine use them too, so there are many. */
const calls = [
  'ftruncate,fsync,fdatasync,?rename,renameat,renameat2,?link,linkat,?symlink,symlinkat',
  '?unlink,unlinkat,?rmdir,?mkdir,mkdirat',
].join(',')
const writes = 'write,pwrite64,writev,pwritev,copy_file_range'

/**
 * Kills in place of the Nth such call of a thread. One thread makes all file calls, so that they come in the order of the program.
 * (With --seccomp-bpf nothing would happen.)
 */
const strace = (set: string, at: number) => [
  ...['env', 'UV_THREADPOOL_SIZE=1', 'strace', '-f', '-o', '/dev/null', '-e', `trace=${set}`],
  ...['-e', `inject=${set}:signal=KILL:when=${at}`],
]

export const canTrace = (): boolean => {
  const [command, ...rest] = strace(calls, 1)
  return spawnSync(command, [...rest, 'true']).status === 0
}

const clear = ({ run, cache }: Pick<Recorded, 'run' | 'cache'>) => {
  for (const path of [run, cache]) rmSync(path, { recursive: true, force: true })
}

/** Names of files and folders, as `killer` sees them, that show how far a run is. */
const names = [
  ...[/^run\.json/, /^checkpoints\/step-\d+\.tmp/, /^checkpoints\/step-\d+$/, /^(model|adapter)\.tmp/],
  ...[/^\d+\/\w+-answers/, /^\d+\/\w+-lists/, /^\d+\/(greedy|evaluation)/],
  ...[/^rollouts\/\d+\/(samples|rewards|rows)/],
]

type Way = { by: 'time' | 'file' | 'operation' | 'system call'; what: string; options: Partial<StartOptions> }

const wayOf = ({ run, ms, log: { operations } }: Recorded, traced: boolean, draws: Draws): Way => {
  const kind = draws.below(traced ? 4 : 3)
  if (kind === 0) {
    const after = Math.round(draws.part() * ms)
    const watch = killer(run, { at: 'file', name: /^run\.lock/, ms: after })
    return { by: 'time', what: `${after} ms`, options: { watch } }
  }
  if (kind === 1) {
    const paths = operations.flatMap((op) => ('path' in op ? op.path : 'to' in op ? op.to : []))
    const seen = paths.map((path) => relative(run, path).replace(/^iterations\//, ''))
    const own = names.filter((name) => seen.some((path) => name.test(path)))
    const [name, delay] = [draws.pick(own.length ? own : [/^run\.lock/]), draws.below(12)]
    const watch = killer(run, { at: 'file', name, ms: delay })
    return { by: 'file', what: `${name.source} and ${delay} ms`, options: { watch } }
  }
  const at = 1 + draws.below(operations.length)
  if (kind === 2) return { by: 'operation', what: `${at}`, options: { disk: { kill: at, torn: true } } }
  const set = draws.pick([calls, writes])
  return { by: 'system call', what: `${at} of ${set.slice(0, 5)}...`, options: { by: strace(set, at) } }
}

export type Killed = {
  result: RunResult
  why: string
  what: string
  /** How and in which phase each kill happened. */
  kills: readonly { by: Way['by']; phase: string }[]
}

export const killAndResume = async (
  recorded: Recorded,
  warm: Warm,
  { seed, n, traced }: { seed: number; n: number; traced: boolean },
): Promise<Killed> => {
  const { argv, scenario, run, cache, whole } = recorded
  const draws = drawsOf(seed, 3, n)
  const kills: Killed['kills'][number][] = []
  const whats: string[] = []
  clear(recorded)
  const times = draws.pick([1, 1, 1, 2, 3])
  let ended: Ended | undefined
  for (let i = 0; i < times; i++) {
    const { by, what, options } = wayOf(recorded, traced, draws)
    whats.push(`${by} ${what}`)
    ended = await start([...argv, ...(i ? scenario.resumeFlags : [])], { cache, ...options })
    if (!isKilled(ended)) break
    kills.push({ by, phase: phaseOf(run) })
    ended = undefined
    // The cached reference log-probs may be lost as well
    if (!draws.below(3)) rmSync(cache, { recursive: true, force: true })
  }
  ended ??= await warm.run([...argv, ...scenario.resumeFlags], cache)
  return { ...resultOf(ended, () => outcomeOf(run, scenario), whole), what: `killed at ${whats.join(', ')}`, kills }
}

/** Resumes from the state that a kill between two operations leaves. The state is made from the log of the disk. */
export const resumeAfter = async (
  { log, root, run, cache, argv, scenario, whole }: Recorded,
  warm: Warm,
  { seed, n }: { seed: number; n: number },
): Promise<Omit<Killed, 'kills'>> => {
  const count = drawsOf(seed, 4, n).below(log.operations.length + 1)
  writeTree(root, treeAfter(log, count))
  const ended = await warm.run([...argv, ...scenario.resumeFlags], cache)
  const what = `after operation ${count} of ${log.operations.length}`
  return { ...resultOf(ended, () => outcomeOf(run, scenario), whole), what }
}

/** Whether the process was killed. strace ends with the status of the process that it followed. */
const isKilled = ({ signal, code }: Ended) => signal === 'SIGKILL' || code === 137
