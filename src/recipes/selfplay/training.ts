/**
 * The training phase of an iteration: the loop of every recipe, on the lists that lie in the run's folder. Peculiar: the
 * loop counts the iteration's own steps, so that schedule, warm-up and optimizer begin anew in each; events and checkpoints
 * count the steps of the run.
 */

import { rowOrder } from '../../data/shuffle.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { schedule } from '../../optim/schedules.ts'
import type { Run } from '../../runs/run.node.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { type Progress, type StepBatches, train } from '../../train/loop.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { evaluate } from '../../train/step.ts'
import { type Iteration, saveCheckpoint } from '../trainer/checkpoints.ts'
import { chunks, microBatches, microBatchTokens, rankedBatches, rankedTokens } from '../trainer/collate.ts'
import type { Policy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import type { TrainerSettings } from '../trainer/trainer.ts'
import { type List, rankedOf } from './lists.ts'

export type TrainingSettings = Omit<TrainerSettings, 'learningRate' | 'bestMetric' | 'evalEvery' | 'patience'> & {
  iterations: number
  learningRate: readonly number[]
}

export type Training = {
  policy: Policy
  run: Run
  settings: TrainingSettings
  signal: AbortSignal
  loss: LossFunction
  /** Whether lists come with the snapshot's log-probs. */
  reference: boolean
  file: LineFile<List>
  /** Lines of the file that are trained on. */
  lines: readonly number[]
  iteration: Iteration
  /** Steps of the iterations to come, at most. */
  later: number
}

/** The value for an iteration, counted from 1: the last of them goes on. */
export const valueAt = (values: readonly number[], iteration: number): number =>
  values[Math.min(iteration, values.length) - 1]

export const stepsOf = (settings: TrainingSettings, lists: number): number =>
  Math.min(
    settings.maxSteps ?? Number.POSITIVE_INFINITY,
    Math.ceil((lists * settings.epochs) / (settings.batchSize * settings.gradAccum)),
  )

const batches = (lists: readonly List[], size: number, reference: boolean, atOnce: number): MicroBatch[] => {
  const ranked = microBatches(lists.map(rankedOf), size, ({ example }) => rankedTokens(example), atOnce)
  const refs = reference ? ranked.map((micro) => micro.map(({ refs }) => refs)) : undefined
  return rankedBatches(
    ranked.map((micro) => micro.map(({ example }) => example)),
    refs,
    { prompts: false },
  )
}

const tokensOf = ({ prompt, replies, ranks }: List) =>
  replies.reduce((n, reply, k) => n + (ranks[k] > 0 ? prompt.length + reply.length : 0), 0)

/** Trains from the iteration's own progress; yields events of the run. */
export async function* trainIteration(
  training: Training,
  from: Progress,
): AsyncGenerator<TrainEvent, { progress: Progress; interrupted: boolean }> {
  const { policy, run, settings, signal, loss, reference, file, lines, iteration, later } = training
  const { number, start } = iteration
  const seed = samplingSeed('selfPlay', settings.seed, number, 0)
  const order = rowOrder(lines.length, { seed, shuffle: settings.shuffle })
  const end = Math.ceil(lines.length * settings.epochs)
  const totalSteps = stepsOf(settings, lines.length)
  const next = async (position: number): Promise<StepBatches | undefined> => {
    const until = Math.min(end, position + settings.batchSize * settings.gradAccum)
    if (until === position) return undefined
    const taken: List[] = []
    for (let at = position; at < until; at++) taken.push(await file.read(lines[order(at)]))
    return {
      batches: batches(taken, settings.batchSize, reference, microBatchTokens(policy, loss)),
      rows: taken.map(({ row }) => row),
      position: until,
      tokens: taken.reduce((n, list) => n + tokensOf(list), 0),
    }
  }
  const learningRate = valueAt(settings.learningRate, number)
  const loop = train({
    ...settings,
    trainer: { ...policy, loss, head: {} },
    progress: from,
    totalSteps,
    rowsPerEpoch: lines.length,
    learningRate: schedule(settings.schedule, {
      ...{ warmupSteps: settings.warmupSteps, learningRate, totalSteps },
      ...settings.scheduleOption,
    }),
    next,
    seed,
    evalEvery: 1,
    bestMetric: 'eval_loss',
    save: (at) => saveCheckpoint(run, policy, settings, { ...at, step: start + at.step }, { iteration }),
    signal,
  })
  for (;;) {
    const { done, value } = await loop.next()
    if (done) return { progress: value.progress, interrupted: value.stopped === 'interrupted' }
    const step = start + value.step
    if (value.event === 'step')
      yield { ...value, step, total_steps: start + totalSteps + later, iteration: number } as TrainEvent
    else yield { ...value, step }
  }
}

/** Means over lists, by the names of `eval` events: the loss, rewards and log-probs of training. */
export const evaluateLists = (training: Pick<Training, 'policy' | 'loss' | 'reference' | 'settings'>, lists: List[]) =>
  evaluate(
    { model: training.policy.model, loss: training.loss, head: {} },
    (async function* () {
      for (const chunk of chunks(lists, training.settings.batchSize))
        yield* batches(chunk, chunk.length, training.reference, Number.POSITIVE_INFINITY)
    })(),
  )
