/** Settings as a program gives them, made into those of the command line: rows become files, functions become names. */
import type { z } from 'zod'
import type { CustomLoss } from '../recipes/trainer/objectives.ts'
import type { ProgramFunctions } from '../rewards/rewards.ts'
import { storeRows } from '../store/content.node.ts'
import { badInput, Fault } from '../util/fault.ts'
import { nearest } from '../util/nearest.ts'
import { quoted } from '../util/quote.ts'
import { withoutFunctions } from './rewards.ts'

type Settings = Readonly<Record<string, unknown>>

/** Settings that hold rows, and those that hold rewards. */
const rowSettings = ['data', 'evalData', 'ptxData']
const rewardSettings = ['reward', 'judge']

export type Plain = {
  /** As on the command line. */
  settings: Record<string, unknown>
  functions: ProgramFunctions
  loss?: CustomLoss
}

/** Rows are written into the cache, named by their content. */
export const plainSettings = async (given: Settings): Promise<Plain> => {
  const settings: Record<string, unknown> = { ...given }
  for (const key of rowSettings) if (given[key] !== undefined) settings[key] = await filesOf(given[key])
  const functions = new Map<string, NonNullable<ReturnType<ProgramFunctions['get']>>>()
  for (const key of rewardSettings) {
    if (given[key] === undefined) continue
    const made = withoutFunctions([given[key]].flat())
    settings[key] = made.specs
    for (const [spec, reward] of made.functions) functions.set(spec, reward)
  }
  if (typeof given.loss !== 'function') return { settings, functions }
  delete settings.loss
  return { settings, functions, loss: given.loss as CustomLoss }
}

const isFiles = (data: unknown): data is string[] =>
  Array.isArray(data) && data.length > 0 && data.every((item) => typeof item === 'string')

const isRows = (data: unknown): data is Iterable<object> | AsyncIterable<object> =>
  typeof data === 'object' && data !== null && (Symbol.iterator in data || Symbol.asyncIterator in data)

const filesOf = async (data: unknown): Promise<unknown> => {
  if (typeof data === 'string') return [data]
  return isRows(data) && !isFiles(data) ? [await storeRows(data)] : data
}

/** Checks settings and fills in defaults. Throws a Fault 'bad-setting' for the first wrong one. */
export const checked = <S extends z.ZodObject>(schema: S, settings: Settings, name: string): z.output<S> => {
  if (settings.findLr)
    throw badInput(
      'bad-setting',
      `findLr is of the command line, where it suggests a learning rate: attune ... --find-lr`,
      {
        flag: name,
      },
    )
  const unknown = Object.keys(settings).find((key) => settings[key] !== undefined && !(key in schema.shape))
  if (unknown !== undefined) {
    const near = nearest(unknown, Object.keys(schema.shape))
    const advice = near === undefined ? '' : `; did you mean ${near}?`
    throw badInput('bad-setting', `${quoted(unknown)} is not a setting of it${advice}`, { flag: name })
  }
  const parsed = schema.safeParse(settings)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]
  throw badInput('bad-setting', `${path.join('.')}: ${message}`, { flag: name })
}

/** A message that speaks of flags, in the words of a program: `--grad-accum` is the setting gradAccum. */
export const inSettings = (message: string): string =>
  message.replace(/(?<![\w-])--(no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)/g, (_, no: string | undefined, flag: string) => {
    const key = flag.replace(/-([a-z0-9])/g, (__, letter: string) => letter.toUpperCase())
    return no ? `${key}: false` : key
  })

/** The same error with the settings' names instead of flags, where it is a Fault. */
export const faultInSettings = (error: unknown): unknown => {
  if (!(error instanceof Fault)) return error
  const { code, where, exitCode } = error
  const message = inSettings(error.message)
  if (message === error.message) return error
  const { flag, ...rest } = where
  const fault = new Fault(code, message, {}, exitCode)
  return Object.assign(fault, { where: flag === undefined ? rest : { ...rest, flag: inSettings(flag) } })
}

/** Does work that may throw Faults. */
export const inWordsOfSettings = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw faultInSettings(error)
  }
}
