/**
 * A run folder while it is written: run.json (what the results depend on), events.jsonl, checkpoints/, and the model
 * that the recipe puts beside them. Peculiar: nothing but a lock is written before training starts, so bad input leaves
 * no folder behind; a folder takes one run, and --resume goes on with that one.
 */
import { readdir, readFile, rmdir } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, writeWhole } from '../util/files.node.ts'
import { takeLock } from './lock.node.ts'
import { bytesUpTo, type LoggedEvent, type LogWriter, openLog } from './log.node.ts'

export type RunOptions = {
  /** The recipe's name: sft, dpo, ... */
  method: string
  config: Readonly<Record<string, unknown>>
  resume: boolean
  /** The command line. */
  command: readonly string[]
  /** Keys of `config` that may differ when a run is resumed. */
  changeable: readonly string[]
}

export type Run = {
  /** The run's folder, absolute. */
  readonly dir: string
  /** Where its checkpoints go. */
  readonly checkpoints: string
  /** Whether to go on from the newest checkpoint. */
  readonly resumed: boolean
  /** What run.json said when the folder was opened. */
  readonly before?: RunInfo
  /** Writes run.json with these facts; a resumed run's log is cut back to the checkpoint of this step. */
  started(step: number, facts: Readonly<Record<string, unknown>>): Promise<void>
  append(event: LoggedEvent): Promise<void>
  /** The log is on the disk afterwards. */
  sync(): Promise<void>
  /** Gives the folder back; without `started`, folders that were made for it go away. */
  close(): Promise<void>
}

const hashes = z.array(z.object({ path: z.string(), sha256: z.string() })).optional()

const infoSchema = z.looseObject({
  format: z.literal(1),
  method: z.string(),
  created: z.string(),
  command: z.array(z.string()),
  config: z.record(z.string(), z.unknown()),
  versions: z.record(z.string(), z.string()),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Each time the run was resumed: when, from which step, and settings that changed. */
  resumes: z.array(z.object({ at: z.string(), step: z.number(), changed: z.record(z.string(), z.unknown()) })),
  objective: z.string().optional(),
  /** What the results depend on. */
  engine: z.looseObject({ threads: z.number().int().positive() }).optional(),
  model_files: hashes,
  data_files: hashes,
})
/** run.json, with the facts of the `start` event beside these. */
export type RunInfo = z.infer<typeof infoSchema>

export const eventsFile = 'events.jsonl'
const infoFile = 'run.json'

/** Throws Faults: 'taken' where another run lies, 'changed' where its files differ now, 'bad-flag', 'locked', 'disk'. */
export const openRun = async (output: string, options: RunOptions): Promise<Run> => {
  const dir = resolve(output)
  const made = await folder(dir)
  const unmake = async () => {
    for (const path of made.toReversed()) await rmdir(path).catch(() => {})
  }
  const before = await claim(dir, options)
  const unlock = await takeLock(dir).catch(async (error) => {
    await unmake()
    throw diskFault(error, dir, undefined, badInput)
  })
  let log: LogWriter | undefined
  const path = join(dir, eventsFile)
  return {
    dir,
    checkpoints: join(dir, 'checkpoints'),
    resumed: before !== undefined,
    before,
    async started(step, facts) {
      if (before && step > 0) sameFiles(before, facts)
      const { bytes, checkpoint } = step > 0 ? await bytesUpTo(path, step) : { bytes: 0, checkpoint: true }
      await writeInfo(dir, { ...(before ? continued(before, step, options) : fresh(options)), ...facts })
      log = await openLog(path, bytes)
      // Its line was lost in a crash right after it was written
      if (!checkpoint) await log.append({ event: 'checkpoint', step, path: join('checkpoints', `step-${step}`) })
    },
    append: async (event) => log?.append(event),
    sync: async () => log?.sync(),
    async close() {
      await log?.close()
      await unlock()
      if (!log) await unmake()
    },
  }
}

/** @returns the folders that it made */
const folder = (dir: string): Promise<string[]> =>
  makeFolders(dir).catch((error) => {
    throw error.code === 'ENOTDIR' ? aFile(dir) : noFolder(error, dir)
  })

const aFile = (dir: string) => badInput('taken', 'is a file, or below one; choose another --output', { file: dir })

const noFolder = (error: NodeJS.ErrnoException, dir: string) => {
  const fault = diskFault(error, dir, undefined, badInput)
  return fault === error
    ? badInput('disk', `cannot be used (${error.code}); choose another --output`, { file: dir })
    : fault
}

/** What a process that was killed before its first line may have left. */
const leftover = /^run\.(lock.*|json\.tmp)$/

/** Looks at what the folder holds. @returns the run to resume, if any */
const claim = async (dir: string, { method, config, resume, changeable }: RunOptions): Promise<RunInfo | undefined> => {
  const names = await readdir(dir).catch((error) => {
    throw error.code === 'ENOTDIR' ? aFile(dir) : noFolder(error, dir)
  })
  const info = names.includes(infoFile) ? await readInfo(dir) : undefined
  const foreign = names.find((name) => !leftover.test(name))
  if (!info && foreign)
    throw badInput('taken', `holds ${foreign} and is no run; choose another --output`, { file: dir })
  if (info && !resume)
    throw badInput('taken', `already holds a run (${info.method}); go on with --resume or choose another --output`, {
      file: dir,
    })
  if (info) sameRun(info, method, config, changeable, dir)
  return info
}

const plain = (config: Readonly<Record<string, unknown>>): Record<string, unknown> => JSON.parse(JSON.stringify(config))

/** Settings whose value is not what it was. */
const changes = (info: RunInfo, config: RunOptions['config']) => {
  const [was, is] = [info.config, plain(config)]
  return Object.keys({ ...was, ...is }).filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]))
}

const sameRun = (
  info: RunInfo,
  method: string,
  config: RunOptions['config'],
  changeable: readonly string[],
  dir: string,
) => {
  if (info.method !== method) throw badInput('taken', `holds a run of ${info.method}, not ${method}`, { file: dir })
  const key = changes(info, config).find((changed) => !changeable.includes(changed))
  if (key === undefined) return
  const [was, is] = [info.config[key], config[key]].map((value) => JSON.stringify(value) ?? 'unset')
  throw badInput(
    'bad-flag',
    `was ${was} in the run that is resumed and is ${is} now; give the same, or begin a new run in another --output`,
    {
      flag: `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    },
  )
}

/** A position in rows, and what was learned from them, mean nothing for other rows or another model. */
export const sameFiles = (before: RunInfo, facts: Readonly<Record<string, unknown>>) => {
  for (const key of ['model_files', 'data_files'] as const) {
    const now = hashes.parse(facts[key])
    const other = before[key]?.find(({ sha256 }, i) => now && now[i]?.sha256 !== sha256)
    if (other)
      throw badInput('changed', 'is not what it was when the run began; put it back, or begin a new run', {
        file: other.path,
      })
  }
}

const fresh = ({ method, config, command }: RunOptions): RunInfo => ({
  format: 1,
  method,
  created: new Date().toISOString(),
  command: [...command],
  config: plain({ ...config, resume: false }),
  versions: {},
  machine: {},
  resumes: [],
})

const continued = (info: RunInfo, step: number, { config }: RunOptions): RunInfo => {
  const now = plain({ ...config, resume: false })
  const changed = Object.fromEntries(changes(info, now).map((key) => [key, now[key] ?? null]))
  const resumes = [...info.resumes, { at: new Date().toISOString(), step, changed }]
  return { ...info, config: now, resumes }
}

const writeInfo = async (dir: string, info: RunInfo) => {
  const full = { ...info, versions: await versions(), machine: machine() }
  await writeWhole(join(dir, infoFile), [new TextEncoder().encode(`${JSON.stringify(full, null, 2)}\n`)])
}

const versions = async () => {
  const own = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
  return { attune: String(own.version), node: process.versions.node }
}

const machine = () => ({
  platform: process.platform,
  arch: process.arch,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory: totalmem(),
})

/** Throws Faults: 'no-run' where there is none, 'bad-run' where run.json is damaged. */
export const readInfo = async (dir: string): Promise<RunInfo> => {
  const file = join(dir, infoFile)
  const text = await readFile(file, 'utf8').catch(() => {
    throw badInput('no-run', 'is not a run folder: it holds no run.json', { file: dir })
  })
  try {
    return infoSchema.parse(JSON.parse(text))
  } catch {
    throw badInput('bad-run', 'is damaged: not the settings of a run', { file })
  }
}
