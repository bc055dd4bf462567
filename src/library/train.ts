/** The training methods as functions: their events as a stream, their result as a promise. */
import { resolve } from 'node:path'
import { loadRecipe } from '../recipes/load.ts'
import { type MethodKey, methods } from '../recipes/methods.ts'
import { completeSettings } from '../recipes/trainer/completeSettings.ts'
import type { Recipe, TrainEvent } from '../recipes/trainer/recipe.ts'
import type { EndEvent } from '../runs/events.ts'
import { newRunFolder, runsRoot } from '../runs/find.node.ts'
import { assert } from '../util/fault.ts'
import { openSharing } from '../workers/sharing.ts'
import { checked, faultInSettings, inSettings, plainSettings } from './given.ts'
import { makeRun, type Run } from './run.ts'

/** What a training function takes beside its settings. */
export type TrainingOptions = {
  /** After it aborts, the current step is finished and saved: the result says `interrupted`, and `resume: true` goes on. */
  signal?: AbortSignal
}

/** What a training run ends with. */
export type TrainingResult = {
  /**
   * The folder of the trained model, or of its adapter, which names its base. Any `model` setting and `load` take it. Of a run
   * that was interrupted, the run's folder.
   */
  model: string
  /** The run's folder: settings, log, checkpoints, and report.html. */
  output: string
  /** Steps that were done, those before a resumption included. */
  steps: number
  /**
   * Why it ended: all steps are done, `signal` aborted, `patience` found nothing better, self-play changed nothing more, or
   * `klBudget` is spent.
   */
  stopped: EndEvent['stopped']
  /** Of the last step and the last evaluation, by their published names: `loss`, `rewards/margins`, `eval_loss`, ... */
  metrics: Record<string, number>
  /** The page of the repository that the result was uploaded to. */
  hub?: string
}

/** A training run: iterate over its events, or await its result. */
export type TrainingRun = Run<TrainEvent, TrainingResult>

export const trainingRun = (key: MethodKey, settings: object, options: TrainingOptions = {}): TrainingRun =>
  makeRun(() => training(key, settings, options))

/** Folders of runs that began in this process: another one that begins at the same time gets a folder of its own. */
const taken = new Set<string>()
const claim = (path: string): boolean => {
  const place = resolve(path)
  if (taken.has(place)) return false
  taken.add(place)
  return true
}

const withFolder = async (method: string, settings: Record<string, unknown>): Promise<Record<string, unknown>> => {
  const isNew = settings.output === undefined && !settings.resume
  const output = isNew ? { output: await newRunFolder(method, runsRoot, claim) } : {}
  return completeSettings(method, { ...settings, ...output })
}

async function* training(
  key: MethodKey,
  given: object,
  { signal }: TrainingOptions,
): AsyncGenerator<TrainEvent, TrainingResult> {
  try {
    const recipe = (await loadRecipe(key)) as unknown as Recipe
    const { settings, functions, loss } = await plainSettings({ ...given })
    const config = checked(recipe.schema, await withFolder(recipe.name, settings), `${methods[key].name}()`)
    const metrics: Record<string, number> = {}
    let end: EndEvent | undefined
    const { settings: own, sharing, close } = await openSharing(config, { name: String(config.output), note: () => {} })
    try {
      for await (const event of recipe.run(own, { signal, functions, loss, sharing })) {
        if (event.event === 'step' || event.event === 'eval') Object.assign(metrics, numbersOf(event))
        yield event.event === 'warning' ? { ...event, message: inSettings(event.message) } : event
        if (event.event === 'end') end = event
      }
    } finally {
      await close()
    }
    assert(end, 'a run ended without an end event')
    return {
      model: end.output,
      output: resolve(String(config.output)),
      steps: end.steps,
      stopped: end.stopped,
      metrics,
      hub: end.hub,
    }
  } catch (error) {
    throw faultInSettings(error)
  }
}

/** Numbers of an event but for its own place in the run. */
const numbersOf = ({ step: _, total_steps: __, ...rest }: TrainEvent & { step: number; total_steps?: number }) =>
  Object.fromEntries(Object.entries(rest).filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
