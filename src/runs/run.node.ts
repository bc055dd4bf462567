/**
 * Writes a run folder: run.json (what the results depend on), events.jsonl, checkpoints/, and the model that the recipe adds.
 * Nothing but a lock is written before training starts, so that bad input leaves no folder behind. A folder takes one run,
 * which --resume continues.
 */
import { readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { assert, badInput } from '../util/fault.ts'
import { diskFault, makeFolders, writeWhole } from '../util/files.node.ts'
import { jsonOf } from '../util/json.ts'
import { sealedFile, unsealed } from '../util/sealed.node.ts'
import { takeLock } from './lock.node.ts'
import { bytesUpTo, emptyLog, type LoggedEvent, type LogMark, type LogWriter, logUpTo, openLog } from './log.node.ts'

export type RunOptions = {
  /** The recipe's name: sft, dpo, ... */
  method: string
  config: Readonly<Record<string, unknown>>
  resume: boolean
  /** The command line. */
  command: readonly string[]
  /** Keys of `config` that may differ when a run is resumed. */
  changeable: readonly string[]
  /**
   * The absolute paths of what `config` names, by its keys. Where the paths of two runs agree, `config` may spell them
   * differently.
   */
  places?: Places
  /** Default settings, for the settings that runs of earlier versions do not know. */
  defaults?: Readonly<Record<string, unknown>>
}

export type Places = Record<string, string | string[]>

export type Run = {
  /** The run's folder, absolute. */
  readonly dir: string
  /** Where its checkpoints go. */
  readonly checkpoints: string
  /** Whether the folder holds a run that is resumed. */
  readonly resumed: boolean
  /** What run.json said when the folder was opened. */
  readonly before?: RunInfo
  /** Messages for the user about the state in which the folder was found. */
  readonly warnings: readonly string[]
  /** To be called before `started` when a checkpoint is resumed, with the step and the log mark that it holds. */
  goOn(checkpoint: Checkpoint): void
  /**
   * Writes run.json with these facts. Where a checkpoint is resumed, the log is cut back to the line of that checkpoint.
   * @returns whether a checkpoint is resumed
   * Throws Faults 'changed' where files are not what they were, 'bad-log' where the log is not.
   */
  started(facts: Readonly<Record<string, unknown>>): Promise<boolean>
  append(event: LoggedEvent): Promise<void>
  /** Writes the log to the disk. */
  sync(): Promise<LogMark>
  /** To be called after the last event: adds size and hash of the log to run.json. */
  ended(): Promise<void>
  /** Releases the lock. Folders that were made for the run are removed again unless it was started. */
  close(): Promise<void>
}

type Checkpoint = {
  step: number
  log?: LogMark
  /** The mark covers the line of the checkpoint too, or there is no such line. */
  hasLine?: boolean
}

const fileHash = z.object({
  path: z.string(),
  absolute: z.string().optional(),
  size: z.number().optional(),
  sha256: z.string(),
})
const hashes = z.array(fileHash).optional()

const logMark = z.object({ bytes: z.number().int().nonnegative(), sha256: z.string() })

const infoSchema = z.looseObject({
  /** 1: of versions whose run.json had no hash and listed only the weights among the model's files. */
  format: z.literal([1, 2]),
  method: z.string(),
  created: z.string(),
  command: z.array(z.string()),
  config: z.record(z.string(), z.unknown()),
  /** Absolute paths of the files, folders and runs that settings name. */
  places: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  versions: z.record(z.string(), z.string()),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Each time the run was resumed: when, from which step, and settings that changed. */
  resumes: z.array(z.object({ at: z.string(), step: z.number(), changed: z.record(z.string(), z.unknown()) })),
  objective: z.string().optional(),
  plain_rows: z.number().optional(),
  /** The engine, on which results depend. */
  engine: z.looseObject({ threads: z.number().int().positive() }).optional(),
  model_files: hashes,
  data_files: hashes,
  /** The whole log, since the run ended. */
  log: logMark.optional(),
})
/** The content of run.json, which also holds the facts of the `start` event. */
export type RunInfo = z.infer<typeof infoSchema>

export const eventsFile = 'events.jsonl'
const infoFile = 'run.json'

/** Throws Faults 'taken' where another run lies, 'bad-flag' for a changed setting, 'locked', and 'disk'. */
export const openRun = async (output: string, options: RunOptions): Promise<Run> => {
  const dir = resolve(output)
  const made = await folder(dir)
  const unmake = async () => {
    for (const path of made.toReversed()) await rmdir(path).catch(() => {})
  }
  const before = await claim(dir, options)
  const warnings: string[] = []
  const unlock = await takeLock(dir, (message) => warnings.push(message)).catch(async (error) => {
    await unmake()
    throw diskFault(error, dir, undefined, badInput)
  })
  await removeLeftovers(dir)
  const path = join(dir, eventsFile)
  let checkpoint: Checkpoint | undefined
  let info: RunInfo
  let log: LogWriter | undefined
  return {
    dir,
    checkpoints: join(dir, 'checkpoints'),
    resumed: before !== undefined,
    before,
    warnings,
    goOn(from) {
      checkpoint = from
    },
    async started(facts) {
      if (before) sameFiles(before, facts)
      const { start, hasCheckpointLine } = checkpoint
        ? await logAt(path, checkpoint)
        : { start: emptyLog(), hasCheckpointLine: true }
      info = { ...(before ? continued(before, checkpoint?.step ?? 0, options) : fresh(options)), ...facts }
      await writeInfo(dir, info)
      log = await openLog(path, start)
      if (!hasCheckpointLine) await log.append(checkpointLine(checkpoint!.step))
      return checkpoint !== undefined
    },
    append: async (event) => log?.append(event),
    async sync() {
      assert(log, 'the run has not started')
      return log.sync()
    },
    async ended() {
      assert(log, 'the run has not started')
      await writeInfo(dir, { ...info, log: await log.sync() })
    },
    async close() {
      await log?.close()
      await unlock()
      if (!log) await unmake()
    },
  }
}

const checkpointLine = (step: number): LoggedEvent => ({
  event: 'checkpoint',
  step,
  path: join('checkpoints', `step-${step}`),
})

/** The log up to a checkpoint, and whether the line of the checkpoint itself is part of it. */
const logAt = async (path: string, { step, log, hasLine = false }: Checkpoint) => {
  if (log) return { start: await logUpTo(path, log), hasCheckpointLine: hasLine }
  const { bytes, checkpoint } = await bytesUpTo(path, step)
  return { start: await logUpTo(path, { bytes }), hasCheckpointLine: checkpoint }
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

/** Files that a process killed before its first event may have left. */
const leftover = /^run\.(lock.*|json(\.[0-9a-f]+)?\.tmp)$/

/** Removes unfinished copies of run.json. The lock is held, so no process is writing them. */
const removeLeftovers = async (dir: string) => {
  for (const name of await readdir(dir))
    if (/^run\.json\.[0-9a-f]+\.tmp$/.test(name)) await rm(join(dir, name), { recursive: true, force: true })
}

/** Checks what the folder holds. @returns the run to resume, if there is one */
const claim = async (dir: string, options: RunOptions): Promise<RunInfo | undefined> => {
  const { resume } = options
  const names = await readdir(dir).catch((error) => {
    throw error.code === 'ENOTDIR' ? aFile(dir) : noFolder(error, dir)
  })
  const info = names.includes(infoFile) ? await readInfo(dir) : undefined
  const foreign = names.find((name) => !leftover.test(name))
  if (!info && foreign)
    throw badInput('taken', `holds ${foreign} and is no run; choose another --output`, { file: dir })
  if (info && !resume)
    throw badInput(
      'taken',
      `already holds a run (${info.method}); go on with --resume, choose another --output, or remove it with attune runs delete`,
      {
        file: dir,
      },
    )
  if (info) sameRun(info, options, dir)
  return info
}

const plain = (config: Readonly<Record<string, unknown>>): Record<string, unknown> => JSON.parse(JSON.stringify(config))

const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** The settings that have changed. */
const changes = (info: RunInfo, { config, places = {}, defaults = {} }: RunOptions): string[] => {
  const [was, is] = [info.config, plain(config)]
  const isUnknown = (key: string) => !Object.hasOwn(was, key) && equal(is[key], defaults[key])
  const isThere = (key: string) => info.places?.[key] !== undefined && equal(info.places[key], places[key])
  return Object.keys({ ...was, ...is }).filter((key) => !(equal(was[key], is[key]) || isUnknown(key) || isThere(key)))
}

const sameRun = (info: RunInfo, options: RunOptions, dir: string) => {
  const { method, config, changeable } = options
  if (info.method !== method) throw badInput('taken', `holds a run of ${info.method}, not ${method}`, { file: dir })
  const key = changes(info, options).find((changed) => !changeable.includes(changed))
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

type FileHash = z.infer<typeof fileHash>

/** A checkpoint is only meaningful for the same rows and the same base model, so their files must be the same. */
const sameFiles = (before: RunInfo, facts: Readonly<Record<string, unknown>>) => {
  for (const key of ['model_files', 'data_files'] as const)
    if (before[key]) sameHashes(before[key], hashes.parse(facts[key]) ?? [], before.format > 1)
}

/** @param whole whether `before` lists all files, so that a file which it lacks is new */
const sameHashes = (before: readonly FileHash[], now: readonly FileHash[], whole: boolean) => {
  const advice = 'put it back, or begin a new run'
  const differs = (what: string, { path }: FileHash) => badInput('changed', `${what}; ${advice}`, { file: path })
  const elsewhere = now.filter((file) => !before.some((other) => isSame(file, other)))
  for (const file of before) {
    const found = now.find((other) => isSame(file, other)) ?? elsewhere.find((other) => isMoved(file, other))
    if (!found) throw differs('was there when the run began, and is not read now', file)
    if (found.sha256 !== file.sha256) throw differs('is not what it was when the run began', file)
  }
  const added = whole && elsewhere.find((file) => !before.some((other) => isMoved(file, other)))
  if (added)
    throw badInput('changed', 'was not there when the run began; take it away, or begin a new run', {
      file: added.path,
    })
}

const isSame = (a: FileHash, b: FileHash) =>
  a.path === b.path || (a.absolute !== undefined && a.absolute === b.absolute)

/** The same file in another place: the folder behind a hub's name may change while the file stays the same. */
const isMoved = (a: FileHash, b: FileHash) => a.sha256 === b.sha256 && basename(a.path) === basename(b.path)

const fresh = ({ method, config, command, places }: RunOptions): RunInfo => ({
  format: 2,
  method,
  created: new Date().toISOString(),
  command: [...command],
  config: plain({ ...config, resume: false }),
  places,
  versions: {},
  machine: {},
  resumes: [],
})

const continued = (info: RunInfo, step: number, options: RunOptions): RunInfo => {
  const now = plain({ ...options.config, resume: false })
  const keys = changes(info, { ...options, config: now })
  const changed = Object.fromEntries(keys.map((key) => [key, now[key] ?? null]))
  const resumes = [...info.resumes, { at: new Date().toISOString(), step, changed }]
  // Paths that are spelled differently now stay as they were spelled first
  const same = Object.keys(info.config).filter((key) => Object.hasOwn(now, key) && !keys.includes(key))
  const kept = Object.fromEntries(same.map((key) => [key, info.config[key]]))
  const { log: _, ...rest } = info
  return { ...rest, format: 2, config: { ...now, ...kept }, places: options.places, resumes }
}

const writeInfo = async (dir: string, info: RunInfo) => {
  const full = { ...info, versions: await versions(), machine: machine() }
  const path = join(dir, infoFile)
  await writeWhole(path, sealedFile(path, full, 2))
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
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') throw badInput('no-run', 'is not a run folder: it holds no run.json', { file: dir })
    throw badInput('bad-run', `cannot be read (${error.code}); put the settings of the run back`, { file })
  })
  try {
    const info = infoSchema.parse(jsonOf(text, { file }))
    if (info.format > 1 || 'hash' in info) return infoSchema.parse(unsealed(text, infoFile))
    return info
  } catch {
    throw badInput('bad-run', 'is damaged: not the settings that the run was begun with; put it back', { file })
  }
}
