/** The page of a run on the disk: what its folder says, read, and the page written into the folder. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { writeText } from '../../report/files.node.ts'
import { readRun, runEvents } from '../../runs/find.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'
import { type RunInfo, readInfo } from '../../runs/run.node.ts'
import { runReport } from './runReport.ts'
import { readSamples } from './samples.ts'

/** In the run's folder. */
export const runPageFile = 'report.html'

export type RunPageOptions = {
  /** Of the method's schema. */
  defaults: Readonly<Record<string, unknown>>
  /** The run has written its last event, though its lock is not released yet. */
  isOver?: boolean
  /** The page lies in the folder of the run, and may link to its files. */
  links?: boolean
}

/** @returns the page as text. Throws the Faults of `readRun`. */
export const runPage = async (
  dir: string,
  { defaults, isOver = false, links = true }: RunPageOptions,
): Promise<string> => {
  const run = await readRun(dir)
  const events: LoggedEvent[] = []
  for await (const event of runEvents(dir)) events.push(event)
  const end = events.findLast(({ event }) => event === 'end')
  return runReport({
    ...run,
    state: isOver && typeof end?.stopped === 'string' ? end.stopped : run.state,
    events,
    defaults,
    links,
    beforeAfter: await readSamples(dir),
    chats: await hasChatTemplate(run.info),
    files: (await readdir(dir)).sort(),
  })
}

/** Writes the page, into the run's folder by default. @returns its path */
export const writeRunPage = async (
  dir: string,
  options: RunPageOptions,
  path = join(dir, runPageFile),
): Promise<string> => {
  const links = resolve(dirname(path)) === resolve(dir)
  await writeText(path, await runPage(dir, { ...options, links }))
  return path
}

const templateFiles = /^chat_template\.|^default\.jinja$/

/** Whether the tokenizer of the run's model has a chat template, by the files that the run read; false where they are gone. */
export const hasChatTemplate = async ({ model_files = [] }: RunInfo): Promise<boolean> => {
  const paths = model_files.map(({ path, absolute = path }) => absolute)
  // Files of value models and reward models come after those of the policy
  const own = paths.filter((path) => dirname(path) === dirname(paths[0]))
  if (own.some((path) => templateFiles.test(basename(path)))) return true
  const config = own.find((path) => basename(path) === 'tokenizer_config.json')
  if (config === undefined) return false
  return readFile(config, 'utf8').then(
    (text) => Boolean(JSON.parse(text).chat_template),
    () => false,
  )
}

/** The same of a run's folder; false where run.json cannot be read. */
export const runChats = (dir: string): Promise<boolean> =>
  readInfo(dir)
    .then(hasChatTemplate)
    .catch(() => false)
