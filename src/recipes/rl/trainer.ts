/**
 * What all methods that learn from their own samples do alike: rollout, rewards, reference, updates, and again. Peculiar:
 * the loop is every recipe's, and asks for a rollout when the last one is used up. A resumed run begins with the rollout of
 * its checkpoint; samples and rewards of later ones that lie in the run's folder are the ones that it would make again.
 */

import { schedule } from '../../optim/schedules.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { type LoopEnd, train } from '../../train/loop.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { restoreState } from '../../train/state.ts'
import { type EventStream, makeEventStream } from '../../util/eventStream.ts'
import { requireDiskSpace, resumeTraining } from '../trainer/checkpoints.ts'
import { microBatchTokens } from '../trainer/collate.ts'
import { rowWarnings, surveyRows, unreadWarnings } from '../trainer/dataset.ts'
import { planFor } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import { finishRun } from '../trainer/result.ts'
import { startEvent } from '../trainer/trainer.ts'
import type { RlContext } from './context.ts'
import { summarizeDiagnostics } from './diagnostics.ts'
import { evaluatePolicy } from './evaluation.ts'
import type { RlMethod } from './experience.ts'
import { promptsPerRollout } from './minibatches.ts'
import { openRolloutBuffer, type RolloutBuffer } from './rolloutBuffer.ts'

/** Trains, from the beginning or the newest checkpoint, to the result on disk. */
export async function* runRlTrainer(given: RlContext, method: RlMethod): AsyncGenerator<TrainEvent> {
  const over = new AbortController()
  const rl = { ...given, signal: AbortSignal.any([given.signal, over.signal]) }
  const channel = makeEventStream<TrainEvent>()
  try {
    yield* trained(rl, method, channel, over.signal)
  } finally {
    // Who reads no further ends a rollout under way too, before its engine goes
    over.abort()
    await channel.settled()
  }
}

async function* trained(
  rl: RlContext,
  method: RlMethod,
  channel: EventStream<TrainEvent>,
  over: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const { settings, policy, run, trainPrompts, evalPrompts, signal } = rl
  const begin = await resumeTraining(run, settings.resume, policy)
  yield* begin.warnings
  yield* surveyRows([trainPrompts, evalPrompts, rl.pretraining?.stream], signal)
  const totalSteps = stepsOf(rl)
  await requireDiskSpace(run, policy, settings, totalSteps - begin.progress.step, evalPrompts !== undefined)
  if (!begin.state) policy.plan = await planOf(rl, method)
  yield await started(rl, begin.progress.step, totalSteps)
  if (begin.state) await restoreState(policy.backend, policy.arenas, begin.state.file)
  else yield* startWarnings(rl)
  if (!begin.state) yield* rowWarnings(trainPrompts, unusedPrompts)
  const buffer = await openRolloutBuffer(rl, method, channel, begin.rollout)
  /** What was begun for a reader who has left counts for nothing. */
  const unlessOver = <T>(made: T): T => {
    over.throwIfAborted()
    return made
  }
  const evaluate = evalPrompts && (() => channel.drain(evaluatePolicy(rl)).then(unlessOver))
  let { progress } = begin
  // The first evaluation is due until it is in the log
  if (evaluate && progress.step === 0 && (!begin.state || progress.evalDue)) {
    if (!signal.aborted) yield* channel.beside(firstEvaluation(evaluate, signal))
    progress = { ...progress, evalDue: signal.aborted }
  }
  const loop = train({
    ...settings,
    trainer: { ...policy, loss: method.loss, head: { temperature: settings.temperature }, beside: method.valueModel },
    progress,
    totalSteps,
    rowsPerEpoch: trainPrompts.length,
    learningRate: schedule(settings.schedule, { ...settings, ...settings.scheduleOption, totalSteps }),
    next: (position) => buffer.next(position).then(unlessOver),
    evaluate,
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(totalSteps / Math.max(1, Math.ceil(settings.epochs)))),
    save: buffer.save,
    signal,
  })
  const end = yield* measured(channel.beside(loop as AsyncGenerator<TrainEvent, LoopEnd>), buffer, rl)
  yield* summarizeDiagnostics(buffer.diagnostics())
  // What ended the buffer ended the loop, which knows no reason
  const stopped = end.stopped === 'done' ? (buffer.stopped() ?? 'done') : end.stopped
  yield await finishRun({ policy, settings, run }, { progress: end.progress, stopped })
}

const unusedPrompts = {
  'prompt-too-long': 'prompts not used: longer than --max-prompt-length, or no room for an answer',
  'empty-prompt': 'prompts not used: they are empty',
}

function* startWarnings({ settings, rewards, data }: RlContext): Generator<WarningEvent> {
  yield* unreadWarnings([data.rows, data.evalRows])
  yield* rewards.warnings
  const { topP, topK, minP } = settings
  if (topP < 1 || topK !== undefined || minP > 0)
    yield {
      event: 'warning',
      code: 'cut-sampling',
      message:
        'samples are drawn from a cut distribution (top-p, top-k or min-p) and trained on the whole: biased ratios',
    }
}

/** The policy before any training, so that every later evaluation has something to be evalPrompts against. */
async function* firstEvaluation(
  evaluate: () => Promise<Record<string, number>>,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent, void> {
  const measures = await evaluate()
  if (!signal.aborted) yield { event: 'eval', step: 0, ...measures }
}

/** Steps of all rollouts, at most. */
const stepsOf = ({ settings, trainPrompts }: RlContext): number => {
  const prompts = Math.ceil(trainPrompts.length * settings.epochs)
  const size = promptsPerRollout(settings)
  const whole = Math.floor(prompts / size)
  const steps = (count: number) => Math.ceil(count / (settings.batchSize * settings.gradAccum)) * settings.numIterations
  return Math.min(settings.maxSteps ?? Number.POSITIVE_INFINITY, whole * steps(size) + steps(prompts % size))
}

/** Steps that say how large a batch gets. */
const firstSteps = 8

/** By the prompts of the first steps, with samples as long as they may get, and by what is learnt from beside them. */
const planOf = async ({ policy, settings, trainPrompts }: RlContext, { loss, valueModel, extraBatches }: RlMethod) => {
  const { examples } = await trainPrompts.take(0, firstSteps * settings.batchSize)
  const longest = Math.max(...examples.map(({ ids }) => ids.length))
  const T = longest + settings.maxNewTokens
  const each = longest + settings.numGenerations * settings.maxNewTokens
  const prompts = Math.max(1, Math.min(settings.batchSize, Math.floor(microBatchTokens(policy, loss) / each)))
  const B = prompts * settings.numGenerations
  const others: MicroBatch[] = []
  for (let update = 0; extraBatches && update < firstSteps; update++) others.push(...(await extraBatches(update)))
  const plans = [
    planFor(policy, settings.memory, { N: B * T, B, T }, valueModel),
    ...others.map(({ packs }) => planFor(policy, settings.memory, sizesOf(packs))),
  ]
  return plans.includes('low') ? 'low' : plans[0]
}

const sizesOf = (packs: MicroBatch['packs']) => ({
  N: packs.reduce((n, { ids }) => n + ids.length, 0),
  B: packs.reduce((n, { B }) => n + B, 0),
  T: Math.max(...packs.map(({ T }) => T)),
})

const started = (
  { policy, rewards, data, trainPrompts, evalPrompts, pretraining }: RlContext,
  step: number,
  totalSteps: number,
) => {
  const files = [...data.rows.files, ...(data.evalRows?.files ?? []), ...(pretraining?.files ?? [])]
  const dropped = { train: data.rows.dropped, eval: data.evalRows?.dropped ?? {} }
  const models = { ...policy, files: [...policy.files, ...rewards.files] }
  return startEvent(
    { policy: models, examples: { train: trainPrompts, eval: evalPrompts, dropped, files } },
    step,
    totalSteps,
  )
}

/** Steps with what their rollout measured, and now and then some of its samples. */
async function* measured(
  events: AsyncGenerator<TrainEvent, LoopEnd>,
  buffer: RolloutBuffer,
  { settings: { sampleEvery } }: RlContext,
): AsyncGenerator<TrainEvent, LoopEnd> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    if (value.event !== 'step') yield value
    else {
      const measures = buffer.metrics()
      const before = Object.entries(measures).reduce((sum, [name, s]) => sum + (name.startsWith('time/') ? s : 0), 0)
      const step = { ...value, ...measures, 'time/update': Number(value.seconds) - before }
      yield step
      yield* buffer.diagnose(step)
      if (step.step === 1 || step.step % sampleEvery === 0) yield* buffer.samples(step.step)
    }
  }
}
