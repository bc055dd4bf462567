/**
 * The training phases: runs of `sft` and `dpo` in `models/` of the run's folder, with checkpoints and a log of their own. Their
 * steps are steps of this run too, so its log tells all of them in order.
 */
import { join, resolve } from 'node:path'
import type { z } from 'zod'
import type { ProgressEvent } from '../../runs/events.ts'
import { readLog } from '../../runs/log.node.ts'
import { eventsFile, readInfo } from '../../runs/run.node.ts'
import { dpo } from '../dpo.ts'
import { valueAt } from '../selfplay/training.ts'
import { sft } from '../sft.ts'
import type { Recipe, TrainEvent } from '../trainer/recipe.ts'
import {
  closeModels,
  modelDir,
  modelName,
  modelSettings,
  type Phase,
  pathIn,
  type SelfRewardContext,
  type Settings,
} from './context.ts'

/** Settings that a training takes over from the run. */
const sharedSettings = [
  ...['model', 'adapter', 'shuffle', 'maxLength', 'maxPromptLength', 'batchSize', 'gradAccum', 'schedule'],
  ...['scheduleOption', 'warmupSteps', 'optimizer', 'weightDecay', 'maxGradNorm', 'memory', 'loraR', 'loraAlpha'],
  ...[
    'loraDropout',
    'loraTarget',
    'useDora',
    'quantize',
    'compute',
    'saveEvery',
    'keep',
    'saveDtype',
    'logEvery',
    'device',
    'threads',
    'seed',
  ],
] as const

const shared = (settings: Settings): Record<string, unknown> =>
  Object.fromEntries(sharedSettings.map((key) => [key, settings[key as keyof Settings]]))

/** Trains on rows of the instruction data and of judging, from the model that is given. @param data rows as lines */
export const trainOnSeedRows = (context: SelfRewardContext, name: string, data: string): Phase => {
  const { settings } = context
  const { sftEpochs: epochs, sftMaxSteps: maxSteps, sftLearningRate: learningRate } = settings
  return trainModel(context, name, sft as unknown as Recipe, { epochs, maxSteps, learningRate, data: [data] }, 0)
}

/** Trains the model of an iteration on its pairs, from the one before, which is the reference model. */
export async function* trainOnPairs(context: SelfRewardContext, iteration: number): Phase {
  const { beta, epochs, maxSteps, learningRate } = context.settings
  const data = [pathIn(context, 'iterations', `${iteration}`, 'pairs.jsonl')]
  const own = { beta, epochs, maxSteps, learningRate: valueAt(learningRate, iteration), data }
  const from = await modelSettings(context, modelName(iteration))
  const name = modelName(iteration + 1)
  return yield* trainModel(context, name, dpo as unknown as Recipe, { ...own, ...from }, iteration)
}

async function* trainModel(
  context: SelfRewardContext,
  name: string,
  recipe: Recipe,
  own: Record<string, unknown>,
  iteration: number,
): Phase {
  const { settings, signal, loading, steps } = context
  await closeModels(context)
  const dir = modelDir(context, name)
  const path = join(dir, eventsFile)
  const from = steps.before
  let last = 0
  const forwarded = function* (event: Logged): Generator<TrainEvent> {
    if (event.event === 'step') {
      last = event.step as number
      const numbers = { step: from + last, total_steps: from + (event.total_steps as number) }
      yield { ...event, ...numbers, model: name, iteration } as unknown as TrainEvent
    } else if (event.event === 'checkpoint')
      yield { event: 'checkpoint', step: from + (event.step as number), path: resolve(dir, event.path as string) }
    else if (event.event === 'warning' && event.code !== 'nothing-to-resume') yield event as unknown as TrainEvent
  }
  const replayed = async function* () {
    for await (const event of readLog(path)) yield* forwarded(event)
  }
  const isOver = await readInfo(dir).then(
    ({ log }) => log !== undefined,
    () => false,
  )
  if (isOver) yield* replayed()
  else {
    const config = recipe.schema.parse({ ...shared(settings), ...own, output: dir, resume: true })
    let isDone = false
    for await (const event of recipe.run(config as z.output<typeof recipe.schema>, {
      signal,
      command: ['attune', 'selfreward', name],
      onLoading: (progress) => loadingOf(loading, progress),
    })) {
      if (event.event === 'progress') yield event
      else if (event.event === 'start' && event.step > 0) yield* replayed()
      else yield* forwarded(event as unknown as Logged)
      if (event.event === 'end') isDone = event.stopped !== 'interrupted'
    }
    if (!isDone) {
      steps.before = from + last
      return false
    }
  }
  steps.before = from + last
  return true
}

type Logged = { event: string } & Record<string, unknown>

const loadingOf = ({ onProgress, onTensor }: SelfRewardContext['loading'], { phase, done, total }: ProgressEvent) =>
  phase === 'download' ? onProgress({ bytes: done, total }) : onTensor(done, total)
