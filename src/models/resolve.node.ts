/** Where the model of a `--model` setting lies: a folder, a hub id, the result of a run, or a PEFT adapter with its base. */
import { stat } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { resolveHubModel } from '../checkpoint/hub.node.ts'
import type { OnProgress } from '../checkpoint/hubRepo.node.ts'
import { modelOfRun } from '../runs/find.node.ts'
import { badInput, Fault } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { namedBase } from './load.node.ts'

/** The folder of a model or its GGUF file, and the folder of its adapter where it has one. */
export type ModelFolders = { dir: string; adapter?: string }

type Options = { onProgress?: OnProgress }

/** Adapters whose bases are adapters again; more than this is a circle. */
const deepest = 8

/**
 * The model's folder, and the adapter's: that of the setting, of the run that `model` names, or `model` itself if it is an adapter,
 * whose base its adapter_config.json names. Faults: those of `modelOfRun` and `resolveHubModel`, no-base, bad-flag.
 */
export const resolveModel = async (
  { model, adapter }: { model: string; adapter?: string },
  options: Options = {},
  depth = 0,
): Promise<ModelFolders> => {
  if (depth > deepest) throw badInput('no-base', 'is an adapter whose base is an adapter, and so on', { file: model })
  const run = await modelOfRun(model)
  const given = adapter === undefined ? run?.adapter : await resolveAdapter(adapter, options)
  // A run may have begun with another run or with an adapter
  if (run?.adapter !== undefined)
    return { dir: (await resolveModel({ model: run.model }, options, depth + 1)).dir, adapter: given }
  const dir = await resolveHubModel(run?.model ?? model, options)
  const base = await namedBase(dir)
  if (base === undefined) return { dir, adapter: given }
  if (given === undefined) return { dir: await baseOf(dir, base, options, depth), adapter: dir }
  throw badInput('bad-flag', `cannot be given beside ${dir}, which is an adapter itself; give its base as --model`, {
    flag: '--adapter',
  })
}

/** The folder of an adapter: a PEFT folder, a hub id, or the adapter that a run made. */
export const resolveAdapter = async (name: string, options: Options = {}): Promise<string> => {
  const run = await modelOfRun(name)
  if (run === undefined) return resolveHubModel(name, options)
  if (run.adapter !== undefined) return run.adapter
  throw badInput(
    'bad-flag',
    `${name} is a run that trained the whole model, so it has no adapter; give it as --model`,
    {
      flag: '--adapter',
    },
  )
}

/** The base model of an adapter: that of its run, or the folder or hub id that adapter_config.json names. */
const baseOf = async (
  adapter: string,
  { name, revision }: { name: unknown; revision: unknown },
  options: Options,
  depth: number,
): Promise<string> => {
  const run = await modelOfRun(dirname(adapter)).catch(() => undefined)
  const advice = 'give the base as --model and this folder as --adapter'
  // Of a run that was moved with its project, run.json knows more than the adapter
  if (run !== undefined && (await isThere(run.model)))
    return (await resolveModel({ model: run.model }, options, depth + 1)).dir
  if (typeof name !== 'string' || name === '')
    throw badInput('no-base', `is a PEFT adapter whose adapter_config.json names no base model; ${advice}`, {
      file: adapter,
    })
  const beside = join(adapter, name)
  const near = isAbsolute(name) || (await isThere(name)) || !(await isThere(beside)) ? name : beside
  const pinned = typeof revision === 'string' && revision && !(await isThere(near)) ? `${near}@${revision}` : near
  try {
    return (await resolveModel({ model: pinned }, options, depth + 1)).dir
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Fault(
      error.code,
      `is a PEFT adapter of the base model ${quoted(name)}, which cannot be opened (${error.message}); ${advice}`,
      { file: adapter },
      error.exitCode,
    )
  }
}

/** A folder, or a GGUF file. */
const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
