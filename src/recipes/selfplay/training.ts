/**
 * The training phase of an iteration: the training loop on the lists of the run's folder. The loop counts the iteration's own
 * steps, so that schedule, warm-up and optimizer begin anew in each iteration; events and checkpoints count the steps of the run.
 */
import { rowOrder } from '../../data/shuffle.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { schedule } from '../../optim/schedules.ts'
import type { Run } from '../../runs/run.node.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { type Progress, type StepBatches, train } from '../../train/loop.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { type Iteration, saveCheckpoint } from '../trainer/checkpoints.ts'
import { microBatches, microBatchTokens, rankedBatches, rankedTokens } from '../trainer/collate.ts'
import type { Policy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import type { TrainerSettings } from '../trainer/trainer.ts'
import { type List, rankedOf } from './lists.ts'

export type IterationSettings = Omit<TrainerSettings, 'learningRate' | 'bestMetric' | 'evalEvery' | 'patience'> & {
  iterations: number
  learningRate: readonly number[]
}

export type IterationTraining = {
  policy: Policy
  run: Run
  settings: IterationSettings
  signal: AbortSignal
  loss: LossFunction
  /** The loss reads the log-probs of the snapshot. */
  usesReference: boolean
  file: LineFile<List>
  /** The lines of the file that are trained on. */
  lines: readonly number[]
  iteration: Iteration
  /** Steps of the iterations to come, at most. */
  laterSteps: number
}

/** The value of a setting for an iteration, counted from 1. Iterations beyond the last value have that one. */
export const valueAt = (values: readonly number[], iteration: number): number =>
  values[Math.min(iteration, values.length) - 1]

/** Steps of an iteration on so many lists. */
export const iterationSteps = (settings: IterationSettings, lists: number): number =>
  Math.min(
    settings.maxSteps ?? Number.POSITIVE_INFINITY,
    Math.ceil((lists * settings.epochs) / (settings.batchSize * settings.gradAccum)),
  )

/** Lists to micro-batches of at most about `maxTokens` tokens. */
export const listBatches = (
  lists: readonly List[],
  batchSize: number,
  usesReference: boolean,
  maxTokens: number,
): MicroBatch[] => {
  const split = microBatches(lists.map(rankedOf), batchSize, ({ example }) => rankedTokens(example), maxTokens)
  const refLogps = usesReference ? split.map((lists) => lists.map(({ refLogps }) => refLogps)) : undefined
  return rankedBatches(
    split.map((lists) => lists.map(({ example }) => example)),
    refLogps,
    { prompts: false },
  )
}

/** Tokens of a list as `num_tokens` counts them: the prompt with each completion. */
const numTokens = ({ prompt, replies, ranks }: List) =>
  replies.reduce((n, reply, k) => n + (ranks[k] > 0 ? prompt.length + reply.length : 0), 0)

/** Trains from the iteration's own progress; yields events of the run. */
export async function* trainIteration(
  training: IterationTraining,
  from: Progress,
): AsyncGenerator<TrainEvent, { progress: Progress; interrupted: boolean }> {
  const { policy, run, settings, signal, loss, usesReference, file, lines, iteration, laterSteps } = training
  const { number, start } = iteration
  const seed = samplingSeed('selfPlay', settings.seed, number, 0)
  const order = rowOrder(lines.length, { seed, shuffle: settings.shuffle })
  const end = Math.ceil(lines.length * settings.epochs)
  const totalSteps = iterationSteps(settings, lines.length)
  const next = async (position: number): Promise<StepBatches | undefined> => {
    const until = Math.min(end, position + settings.batchSize * settings.gradAccum)
    if (until === position) return undefined
    const lists: List[] = []
    for (let at = position; at < until; at++) lists.push(await file.read(lines[order(at)]))
    return {
      batches: listBatches(lists, settings.batchSize, usesReference, microBatchTokens(policy, loss)),
      rows: lists.map(({ row }) => row),
      position: until,
      tokens: lists.reduce((n, list) => n + numTokens(list), 0),
    }
  }
  const loop = train({
    ...settings,
    trainer: { ...policy, loss, head: {}, share: policy.sharing?.step({ loss, head: {} }) },
    progress: from,
    totalSteps,
    rowsPerEpoch: lines.length,
    learningRate: schedule(settings.schedule, {
      warmupSteps: settings.warmupSteps,
      learningRate: valueAt(settings.learningRate, number),
      totalSteps,
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
      yield { ...value, step, total_steps: start + totalSteps + laterSteps, iteration: number } as TrainEvent
    else yield { ...value, step }
  }
}
