/**
 * Runs the command line as a process that may be killed, and reads what it leaves.
 * A run can be killed after a time, when a file appears in its folder, or at the Nth disk operation.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { fixture } from './golden.ts'

const bin = fileURLToPath(new URL('../../bin/attune.js', import.meta.url))
const withSweep = fileURLToPath(new URL('./attune.mjs', import.meta.url))
const preload = (name: string) => pathToFileURL(fileURLToPath(new URL(name, import.meta.url))).href
const preloads = { disk: preload('./disk.mjs'), log: preload('./diskLog.mjs') }

export const stories = fixture('models/stories260K')
export const hh = fixture('data/hh-excerpt.jsonl.gz')

export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string; ms: number }

export type StartOptions = {
  /** The folder of the cache, separate for each campaign. */
  cache: string
  /** The plan of disk failures: see disk.mjs. */
  disk?: object
  /** Logs disk operations: see diskLog.mjs. */
  log?: { log: string; under: string }
  /** A program, with its arguments, that starts node. */
  by?: readonly string[]
  /** Called when the process has started. @returns a function that ends the watching */
  watch?(kill: (signal: NodeJS.Signals) => void): () => void
}

export const start = (argv: readonly string[], { cache, disk, log, by = [], watch }: StartOptions): Promise<Ended> =>
  new Promise((resolve) => {
    const plans = {
      ...(disk && { ATTUNE_DISK: JSON.stringify(disk) }),
      ...(log && { ATTUNE_DISK_LOG: JSON.stringify(log) }),
    }
    const env = { ...process.env, ATTUNE_CACHE: cache, ...plans }
    const began = performance.now()
    const program = argv[0] === 'sweep' ? withSweep : bin
    const first = [...(disk ? ['--import', preloads.disk] : []), ...(log ? ['--import', preloads.log] : [])]
    const [command, ...rest] = [...by, process.execPath, ...first, program, ...argv]
    const child = spawn(command, rest, { env })
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk))
      return chunks
    })
    const stop = watch?.((signal) => child.kill(signal))
    child.on('close', (code, signal) => {
      stop?.()
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString()
      resolve({ code, signal, stdout: text(stdout), stderr: text(stderr), ms: performance.now() - began })
    })
  })

/** The error lines of stderr. */
export const errorOf = ({ stderr }: Pick<Ended, 'stderr'>) =>
  stderr.split('\n').filter((line) => line.startsWith('error:'))

const volatile = new Set(['seconds', 'tokens_per_second', 'peak_memory', 'output'])

/** The log without times. Paths of checkpoints are relative already. */
export const logOf = (dir: string, without: readonly string[] = []): string[] =>
  readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => !without.includes(event as string))
    .map((event) =>
      JSON.stringify(Object.entries(event).filter(([key]) => !volatile.has(key) && !key.startsWith('time/'))),
    )

/** SHA-256 of the resulting weights. */
export const weightsOf = (dir: string): string => {
  const file = ['model/model.safetensors', 'adapter/adapter_model.safetensors'].find((name) =>
    existsSync(join(dir, name)),
  )
  return file
    ? createHash('sha256')
        .update(readFileSync(join(dir, file)))
        .digest('hex')
    : 'none'
}

const namesIn = (dir: string) => (existsSync(dir) ? readdirSync(dir) : [])

/** The phase in which a run died, judged by the files in its folder. */
export const phaseOf = (dir: string): string => {
  const names = namesIn(dir)
  if (!names.includes('run.json')) return 'before run.json'
  if (names.some((name) => /^(model|adapter)\.tmp$/.test(name))) return 'writing the result'
  if (namesIn(join(dir, 'checkpoints')).some((name) => name.endsWith('.tmp'))) return 'writing a checkpoint'
  const log = names.includes('events.jsonl') ? readFileSync(join(dir, 'events.jsonl'), 'utf8').trimEnd() : ''
  const last = /"event":"(\w+)"/.exec(log.slice(log.lastIndexOf('\n') + 1))?.[1]
  if (names.includes('rollouts') && last !== 'end') return phaseOfRollout(dir)
  const playing = names.includes('iterations') && phaseOfPlay(dir, last)
  if (playing) return playing
  const phases: Record<string, string> = {
    start: 'reference log-probs or first step',
    checkpoint: 'just after a checkpoint',
    end: 'after the last line of the log',
    warning: 'before the result',
  }
  return phases[last ?? 'start'] ?? 'between checkpoints'
}

/** The phase of a self-play run, by the files of the newest iteration. */
const phaseOfPlay = (dir: string, last: string | undefined): string | undefined => {
  const newest = Math.max(...namesIn(join(dir, 'iterations')).map(Number))
  const files = namesIn(join(dir, 'iterations', String(newest)))
  if (last === 'checkpoint') return 'evaluation of an iteration'
  if (last !== 'start' && last !== 'eval') return undefined
  return files.some((name) => name.endsWith('lists.jsonl')) ? 'log-probs of the snapshot' : 'own completions'
}

/** The phase of an RL run, by the files of the newest rollout. */
const phaseOfRollout = (dir: string): string => {
  const newest = Math.max(...namesIn(join(dir, 'rollouts')).map(Number))
  const files = namesIn(join(dir, 'rollouts', String(newest)))
  if (files.includes('rows.jsonl')) return 'updates of a rollout'
  return files.includes('rewards.jsonl') ? 'after the rewards of a rollout' : 'samples of a rollout'
}

export type Moment = { at: 'time'; ms: number } | { at: 'file'; name: RegExp; ms: number }

/** Kills the process some time after its start, or some time after a file of this name appears in its folder. */
export const killer =
  (dir: string, moment: Moment, signal: NodeJS.Signals = 'SIGKILL') =>
  (kill: (signal: NodeJS.Signals) => void) => {
    if (moment.at === 'time') {
      const timer = setTimeout(() => kill(signal), moment.ms)
      return () => clearTimeout(timer)
    }
    const there = new Set(filesIn(dir))
    const timer = setInterval(() => {
      if (!filesIn(dir).some((name) => moment.name.test(name) && !there.has(name))) return
      clearInterval(timer)
      setTimeout(() => kill(signal), moment.ms)
    }, 1)
    return () => clearInterval(timer)
  }

const filesIn = (dir: string) => [
  ...namesIn(dir),
  ...namesIn(join(dir, 'checkpoints')).map((name) => `checkpoints/${name}`),
  ...namesIn(join(dir, 'iterations')).flatMap((n) => [
    n,
    ...namesIn(join(dir, 'iterations', n)).map((f) => `${n}/${f}`),
  ]),
  ...namesIn(join(dir, 'rollouts')).flatMap((n) => namesIn(join(dir, 'rollouts', n)).map((f) => `rollouts/${n}/${f}`)),
]
