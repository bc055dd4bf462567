/**
 * Finds and reads runs on the disk. There is no index: a run is a folder with a run.json, found by its path or by its name in
 * a folder of runs, so that it can be moved or copied freely.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { badInput, runFailure } from '../util/fault.ts'
import { nearest } from '../util/nearest.ts'
import { type Change, changeOf, judgingMetrics } from './change.ts'
import { addPoints } from './curves.ts'
import { isRunning } from './lock.node.ts'
import { type LoggedEvent, logUpTo, readLog } from './log.node.ts'
import { runFolderOf } from './resultFolder.node.ts'
import { resultStep } from './resultStep.ts'
import { eventsFile, type RunInfo, readInfo } from './run.node.ts'

/** The folder where runs are written by default and looked for by name. */
export const runsRoot = 'attune-runs'

/** How a run stands: it is being written, it ended for the reason named, or its process is gone ('broken off'). */
export type RunState = 'running' | 'done' | 'interrupted' | 'patience' | 'converged' | 'broken off'

/** A run in short. */
export type RunSummary = {
  /** The name of its folder. */
  name: string
  /** Its folder. */
  dir: string
  /** The content of run.json: method, settings, files. */
  info: RunInfo
  /** How it stands. */
  state: RunState
  /** Steps in the log. */
  steps: number
  /** Steps that it is to have. */
  totalSteps: number
  /** Metrics of the first step. */
  first: Metrics
  /** Metrics of the last step. */
  last: Metrics
  /** Metrics of the first evaluation. */
  firstEvaluation?: Metrics
  /** Metrics of the last evaluation. */
  evaluation?: Metrics
  /** The step whose weights the result has; undefined while there is none. */
  resultStep?: number
  /** What the run changed, by the metric that it is judged by. */
  change?: Change
  /** The trained model or adapter. */
  result?: {
    /** All weights, or an adapter of them. */
    kind: 'model' | 'adapter'
    /** Its folder. */
    path: string
  }
}
type Metrics = Record<string, number>

const isRun = (dir: string) =>
  stat(join(dir, 'run.json')).then(
    (info) => info.isFile(),
    () => false,
  )

/** The folders of runs, sorted by name: each root that is a run, and the runs directly inside a root. */
export const runFolders = async (roots: readonly string[]): Promise<string[]> => {
  const found = new Set<string>()
  for (const root of roots) {
    if (await isRun(root)) found.add(resolve(root))
    for (const entry of await readdir(root, { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory() && (await isRun(join(root, entry.name)))) found.add(resolve(root, entry.name))
  }
  return [...found].sort((a, b) => basename(a).localeCompare(basename(b), 'en', { numeric: true }))
}

/** Folders are looked into so deep below the current one, and so many of them, for runs that --output put elsewhere. */
const searchDepth = 3
const searchFolders = 2000

/**
 * The folders of runs below a folder, but for those inside runs, hidden folders and packages. Links are not followed.
 * @param folder is looked into, but is not itself given back
 * @param limits how deep it looks, and into how many folders
 */
export const runsBelow = async (
  folder = '.',
  limits: {
    /** Levels below the folder. */
    depth: number
    /** Folders at most. */
    folders: number
  } = { depth: searchDepth, folders: searchFolders },
): Promise<string[]> => {
  const found: string[] = []
  let level = [folder]
  let seen = 0
  for (let depth = 0; depth <= limits.depth && level.length > 0; depth++) {
    const next: string[] = []
    for (const dir of level) {
      if (seen++ >= limits.folders) break
      if (depth > 0 && (await isRun(dir))) found.push(resolve(dir))
      else
        for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => []))
          if (entry.isDirectory() && !/^\.|^node_modules$/.test(entry.name)) next.push(join(dir, entry.name))
    }
    level = next
  }
  return found.sort()
}

/** The folder of a run, given by path or by name; undefined where there is none. */
export const findRun = async (name: string, root = runsRoot): Promise<string | undefined> => {
  for (const dir of [name, join(root, name)]) if (await isRun(dir)) return resolve(dir)
  return undefined
}

/** The same, but throws a Fault 'no-run' that suggests the most similar name. */
export const requireRun = async (name: string, root = runsRoot): Promise<string> => {
  const dir = await findRun(name, root)
  if (dir) return dir
  const elsewhere = root === runsRoot ? await runsBelow() : []
  const same = elsewhere.find((path) => basename(path) === name)
  const names = (await runFolders([root])).map((path) => basename(path))
  const near = same === undefined ? nearest(name, names) : relative('.', same)
  const advice = near ? `; did you mean ${near}?` : '; give its folder, or with --root the folder that holds it'
  throw badInput('no-run', `there is no run of this name in ${root}${advice}`, { file: name })
}

/** Reads the summary of a run. Throws Faults 'no-run', 'bad-run', 'bad-log'. */
export const readRun = async (dir: string): Promise<RunSummary> => {
  const info = await readInfo(dir)
  const tally: Tally = { first: {}, last: {}, steps: 0 }
  const judging = judgingMetrics(info.config.bestMetric)
  const curves = new Map<string, (readonly [number, number])[]>()
  for await (const event of loggedEvents(dir, info)) {
    addTo(tally, event)
    addPoints(curves, event, judging)
  }
  const { end, ...numbers } = tally
  const state = (await isRunning(dir)) ? 'running' : ((end?.stopped as RunState | undefined) ?? 'broken off')
  const totalSteps = typeof info.total_steps === 'number' ? info.total_steps : numbers.steps
  const through = end && resultStep(end, info.config)
  const change = changeOf(curves, { bestMetric: info.config.bestMetric, heldRows: info.eval_rows, through })
  const more = { ...(through !== undefined && { resultStep: through }), ...(change && { change }) }
  return { name: basename(dir), dir, info, state, totalSteps, ...numbers, ...more, result: await resultOf(dir) }
}

type Tally = Pick<RunSummary, 'first' | 'last' | 'firstEvaluation' | 'evaluation' | 'steps'> & { end?: LoggedEvent }

const addTo = (tally: Tally, event: LoggedEvent) => {
  if (event.event === 'step') {
    tally.last = numbersOf(event)
    if (tally.steps === 0) tally.first = tally.last
    tally.steps = event.step as number
  } else if (event.event === 'eval') {
    tally.evaluation = numbersOf(event)
    tally.firstEvaluation ??= tally.evaluation
  } else if (event.event === 'end') tally.end = event
}

const numbersOf = (event: LoggedEvent): Metrics =>
  Object.fromEntries(Object.entries(event).filter((entry): entry is [string, number] => typeof entry[1] === 'number'))

/** The trained model or adapter in a run's folder; undefined where it has none yet. */
export const resultOf = async (dir: string): Promise<RunSummary['result']> => {
  for (const [kind, file] of [
    ['model', 'config.json'],
    ['adapter', 'adapter_config.json'],
  ] as const)
    if (await stat(join(dir, kind, file)).catch(() => undefined)) return { kind, path: join(dir, kind) }
  return undefined
}

/** Every event of a run. Throws the Faults of `readRun`. */
export async function* runEvents(dir: string): AsyncGenerator<LoggedEvent> {
  yield* loggedEvents(dir, await readInfo(dir))
}

async function* loggedEvents(dir: string, { log }: RunInfo): AsyncGenerator<LoggedEvent> {
  const path = join(dir, eventsFile)
  if (log) await logUpTo(path, log)
  yield* readLog(path)
}

/** Removes a run's folder. Throws a Fault 'locked' while a process writes it. */
export const deleteRun = async (dir: string): Promise<void> => {
  await readInfo(dir)
  if (await isRunning(dir)) throw runFailure('locked', 'is being written; stop it first', { file: dir })
  await rm(dir, { recursive: true })
}

/** What `--model RUN` stands for: the run's model, or its base model with its adapter. Undefined where the name is no run. */
export const modelOfRun = async (
  name: string,
  root = runsRoot,
): Promise<{ model: string; adapter?: string } | undefined> => {
  const dir = (await stat(join(name, 'config.json')).catch(() => undefined)) ? undefined : await findRun(name, root)
  if (!dir) return undefined
  const result = await resultOf(dir)
  if (!result)
    throw badInput('no-file', 'has not made a model yet; let it end, or resume it with attune runs resume', {
      file: dir,
    })
  if (result.kind === 'model') return { model: result.path }
  const { config, places } = await readInfo(dir)
  const place = places?.model
  const isThere = typeof place === 'string' && (await stat(place).catch(() => undefined))
  return { model: isThere ? place : String(config.model), adapter: result.path }
}

/** Whether the run that made a model or an adapter was trained with `--chat`; undefined for what no run made. */
export const trainedWithChat = async (name: string): Promise<boolean | undefined> => {
  const dir = runFolderOf(name) ?? (await findRun(name))
  return dir === undefined ? undefined : (await readInfo(dir)).config.chat === true
}

/** Whether the run that made a model or an adapter learned from conversations alone, of messages or by `--chat`; undefined where no run says so. */
export const learnedChats = async (name: string): Promise<boolean | undefined> => {
  const dir = runFolderOf(name) ?? (await findRun(name))
  if (dir === undefined) return undefined
  const { config, plain_rows: plain } = await readInfo(dir)
  return config.chat === true || (plain === undefined ? undefined : plain === 0)
}

/**
 * A name under `root` that no folder has yet: dpo-1, dpo-2, ...
 * @param method begins the name
 * @param root the folder in which it is looked for
 * @param claim takes the name for a run that has not made its folder yet; false where another one has it
 */
export const newRunFolder = async (
  method: string,
  root = runsRoot,
  claim: (path: string) => boolean = () => true,
): Promise<string> => {
  const taken = new Set(await readdir(root).catch(() => []))
  const path = (n: number) => join(root, `${method}-${n}`)
  let n = 1
  while (taken.has(`${method}-${n}`) || !claim(path(n))) n++
  return path(n)
}
