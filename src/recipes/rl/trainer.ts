/**
 * The trainer of all RL methods: rollout, rewards, log-probs of policy and reference model, advantages, updates, and again.
 *
 * The loop over steps is that of every recipe (train/loop.ts). It asks for the micro-batches of one step at a time, and a
 * new rollout is made when the last one is used up. A resumed run begins with the rollout of its checkpoint. Samples and
 * rewards of a later rollout that lie in the run's folder are taken from there: it would make the same again.
 */

import { schedule } from '../../optim/schedules.ts'
import { type RolloutRewards, scoreRollout } from '../../rewards/rewards.ts'
import type { EndEvent, ProgressEvent, WarningEvent } from '../../runs/events.ts'
import { mean } from '../../statistics/summary.ts'
import { type LoopEnd, type StepBatches, train } from '../../train/loop.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { type EventStream, makeEventStream } from '../../util/eventStream.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import { checkedBefore } from '../check/beforeTraining.ts'
import { requireDiskSpace, resumeTraining, saveCheckpoint } from '../trainer/checkpoints.ts'
import { microBatchTokens } from '../trainer/collate.ts'
import { rowWarnings, surveyRows, unreadWarnings } from '../trainer/dataset.ts'
import { planFor, restorePolicy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import { finishRun } from '../trainer/result.ts'
import { sampleAfter, sampleBefore } from '../trainer/samples.ts'
import { startEvent } from '../trainer/trainer.ts'
import type { RlContext } from './context.ts'
import { summarizeDiagnostics } from './diagnostics.ts'
import { evaluatePolicy } from './evaluation.ts'
import { sampleKls } from './klReward.ts'
import { experienceLogps } from './logps.ts'
import type { MethodState, RlMethod } from './method.ts'
import { rolloutMetrics } from './metrics.ts'
import { minibatches, totalUpdates } from './minibatches.ts'
import { rollOut, rolloutSeed } from './rollout.ts'
import {
  type CollectedExperience,
  openRolloutBuffer,
  type RolloutBuffer,
  type RolloutPrompts,
  rolloutFolder,
} from './rolloutBuffer.ts'

/** Trains, from the beginning or the newest checkpoint, to the result on disk. */
export async function* runRlTrainer(context: RlContext, method: RlMethod): AsyncGenerator<TrainEvent> {
  const readerLeft = new AbortController()
  const rl = { ...context, signal: AbortSignal.any([context.signal, readerLeft.signal]) }
  const events = makeEventStream<TrainEvent>()
  try {
    yield* trainPolicy(rl, method, events, readerLeft.signal)
  } finally {
    // A reader who leaves ends a rollout under way too, before its engine closes
    readerLeft.abort()
    await events.settled()
  }
}

async function* trainPolicy(
  rl: RlContext,
  method: RlMethod,
  events: EventStream<TrainEvent>,
  readerLeft: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const { settings, policy, run, trainPrompts, evalPrompts, signal } = rl
  const resumed = await resumeTraining(run, settings.resume, policy)
  const isNew = !resumed.state
  let { progress } = resumed
  const totalSteps = Math.min(
    settings.maxSteps ?? Number.POSITIVE_INFINITY,
    totalUpdates(Math.ceil(trainPrompts.length * settings.epochs), settings),
  )

  // start
  yield* resumed.warnings
  yield* surveyRows([trainPrompts, evalPrompts, rl.pretraining?.stream], signal)
  const warnings = isNew && !signal.aborted ? checkedBefore(rl.checks, trainPrompts) : []
  await requireDiskSpace(run, policy, settings, totalSteps - progress.step, evalPrompts !== undefined)
  if (isNew) policy.plan = await memoryPlan(rl, method)
  yield await startEvent(startFacts(rl), progress.step, totalSteps)
  if (resumed.state) await restorePolicy(policy, resumed.state.file, method.valueModel?.model)
  else yield* [...startWarnings(rl), ...warnings]
  const sampling = { run, policy, tokenization: rl.tokenization, rows: rl.sampledRows, signal }
  if (progress.step === 0) yield* sampleBefore(sampling)
  const buffer = await openRolloutBuffer(rl, resumed.rollout)

  /** What was under way when the reader left counts for nothing. */
  const unlessReaderLeft = <T>(result: T): T => {
    readerLeft.throwIfAborted()
    return result
  }

  // rollout, rewards, log-probs, advantages
  let stopped: Extract<EndEvent['stopped'], 'interrupted' | 'kl-budget'> | undefined
  const fillBuffer = async (position: number): Promise<void> => {
    const next = await buffer.nextPrompts(position)
    if (next.prompts.length === 0) return
    const collected = await events.drain(collectExperience(rl, method, next, buffer.methodState()))
    if (collected) await buffer.store(next, collected)
    if (!collected) stopped = 'interrupted'
    else if ((collected.kl ?? 0) > (settings.klBudget ?? Number.POSITIVE_INFINITY)) stopped = 'kl-budget'
    else buffer.fill(next, collected)
  }

  // updates
  const tokensAtOnce = microBatchTokens(policy, method.loss)
  const nextBatches = async (position: number): Promise<StepBatches | undefined> => {
    if (buffer.isUsedUp()) await fillBuffer(position)
    const update = buffer.nextUpdate()
    if (!update) return undefined
    const { batch, promptNumbers, rows, position: end, tokens } = update
    const batches =
      method.batches?.(batch, promptNumbers) ??
      minibatches(batch, promptNumbers, { ...settings, aggregation: method.aggregation, tokensAtOnce })
    const extraBatches = (await method.extraBatches?.(update.number)) ?? []
    return { batches: [...batches, ...extraBatches], rows, position: end, tokens }
  }

  // evaluation, the first of which is due until it is in the log
  const evaluate = evalPrompts && (() => events.drain(evaluatePolicy(rl, evalPrompts)).then(unlessReaderLeft))
  if (evaluate && progress.step === 0 && (isNew || progress.evalDue)) {
    if (!signal.aborted) yield* events.merge(firstEvaluation(evaluate, signal))
    progress = { ...progress, evalDue: signal.aborted }
  }

  // loop
  const [loss, head] = [method.loss, { temperature: settings.temperature }]
  const loop = train({
    ...settings,
    trainer: { ...policy, loss, head, share: policy.sharing?.step({ loss, head }), beside: method.valueModel },
    progress,
    totalSteps,
    rowsPerEpoch: trainPrompts.length,
    learningRate: schedule(settings.schedule, { ...settings, ...settings.scheduleOption, totalSteps }),
    next: (position) => nextBatches(position).then(unlessReaderLeft),
    evaluate,
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(totalSteps / Math.max(1, Math.ceil(settings.epochs)))),
    save: async (at) => {
      const path = await saveCheckpoint(run, policy, settings, at, { rollout: buffer.state() })
      await buffer.tidy()
      return path
    },
    signal,
  })
  const steps = events.merge(loop as AsyncGenerator<TrainEvent, LoopEnd>)
  const end = yield* withRolloutMetrics(steps, buffer, settings.sampleEvery)
  yield* summarizeDiagnostics(buffer.diagnostics())
  // Where no batches came, the loop ends as 'done' and does not know why
  const reason = end.stopped === 'done' ? (stopped ?? 'done') : end.stopped
  yield* finishRun(
    { policy, settings, run, afterwards: () => sampleAfter(sampling) },
    { progress: end.progress, stopped: reason },
  )
}

/**
 * One rollout, from its prompts to what its updates learn from. Undefined after an abort: what was finished then lies in the
 * rollout's folder.
 * @returns with `kl`, the mean KL(policy || reference) of a sample in nats, where both log-probs are there
 */
async function* collectExperience(
  rl: RlContext,
  method: RlMethod,
  { number, prompts }: RolloutPrompts,
  stateBefore: MethodState,
): AsyncGenerator<ProgressEvent, (CollectedExperience & { kl?: number }) | undefined> {
  const { settings, tokenization, scheduler, signal } = rl
  const dir = rolloutFolder(rl.run, number)
  await makeFolders(dir).catch((error) => {
    throw diskFault(error, dir)
  })
  const clock = makeClock()

  // rollout
  const seed = rolloutSeed(settings.seed, number)
  const rollout = yield* rollOut({ scheduler, tokenization, settings, seed, dir, signal }, prompts)
  if (!rollout) return undefined
  clock.lap('rollout')

  // rewards
  const scored = yield* scoreRollout(rl.rewards, rollout, { dir, signal })
  if (!scored) return undefined
  const isTruncated = rollout.samples.map(({ finish_reason }) => finish_reason === 'length')
  const rewards = withEosPenalty(scored.rewards, isTruncated, settings.missingEosPenalty)
  const mask = rewards.map((reward, i) => !Number.isNaN(reward) && !(settings.maskTruncated && isTruncated[i]))
  clock.lap('reward')

  // log-probs of policy and reference
  const { isDecoderExact, ratioError, ...logps } = await experienceLogps(rl, method, rollout, {
    number,
    state: stateBefore,
  })
  const { oldLogps, refLogps } = logps
  const kl = oldLogps && refLogps && mean(sampleKls(oldLogps, refLogps))
  clock.lap('reference')

  // advantages
  const { columns, state, metrics } = await method.computeAdvantages(
    { ...scored, rewards, rollout, mask, ...logps },
    stateBefore,
  )
  return {
    batch: { rollout, columns, mask, rewards: rewards.map((reward) => (Number.isNaN(reward) ? null : reward)) },
    made: { oldLogps, refLogps, by: scored.by, sigmas: scored.sigmas },
    state: { ...stateBefore, ...state, near: isDecoderExact },
    metrics: {
      ...rolloutMetrics(rollout, { ...scored, rewards }),
      ...(settings.klBudget !== undefined && kl !== undefined && { kl_sequence: kl }),
      ...(ratioError !== undefined && { 'sampling/ratio_error': ratioError }),
      ...metrics,
      ...clock.seconds,
    },
    kl,
  }
}

/** Rewards less `penalty` where the completion has no end-of-sequence token. */
const withEosPenalty = (
  rewards: RolloutRewards['rewards'],
  isTruncated: readonly boolean[],
  penalty: number | undefined,
): number[] =>
  penalty === undefined ? rewards : rewards.map((reward, i) => (isTruncated[i] ? reward - penalty : reward))

/** Seconds of each phase, as metrics `time/...`. */
const makeClock = () => {
  let last = performance.now()
  const seconds: Record<string, number> = {}
  return {
    seconds,
    lap(phase: string) {
      const now = performance.now()
      seconds[`time/${phase}`] = (now - last) / 1000
      last = now
    },
  }
}

/** Of the policy before any training, so that later evaluations can be compared with it. */
async function* firstEvaluation(
  evaluate: () => Promise<Record<string, number>>,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent, void> {
  const metrics = await evaluate()
  if (!signal.aborted) yield { event: 'eval', step: 0, ...metrics }
}

/** Steps with the metrics of their rollout, then warnings about it, and now and then some of its samples. */
async function* withRolloutMetrics(
  events: AsyncGenerator<TrainEvent, LoopEnd>,
  buffer: RolloutBuffer,
  sampleEvery: number,
): AsyncGenerator<TrainEvent, LoopEnd> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    if (value.event !== 'step') {
      yield value
      continue
    }
    const metrics = buffer.metrics()
    const phases = Object.entries(metrics).filter(([name]) => name.startsWith('time/'))
    const update = phases.reduce((rest, [, seconds]) => rest - seconds, Number(value.seconds))
    const step = { ...value, ...metrics, 'time/update': update }
    yield step
    yield* buffer.diagnose(step)
    if (step.step === 1 || step.step === step.total_steps || step.step % sampleEvery === 0)
      yield* buffer.samples(step.step)
  }
}

const unusedPrompts = {
  'prompt-too-long': 'prompts not used: longer than --max-prompt-length, or no room for a completion',
  'empty-prompt': 'prompts not used: they are empty',
}

function* startWarnings({ settings, rewards, dataset, trainPrompts }: RlContext): Generator<WarningEvent> {
  yield* unreadWarnings([dataset.rows, dataset.evalRows])
  yield* rewards.warnings
  const { topP, topK, minP } = settings
  if (topP < 1 || topK !== undefined || minP > 0)
    yield {
      event: 'warning',
      code: 'cut-sampling',
      message:
        'samples are drawn from a truncated distribution (top-p, top-k or min-p) and trained on the whole one: biased ratios',
    }
  yield* rowWarnings(trainPrompts, unusedPrompts)
}

/** The start event speaks of every file that results depend on: of rewards and pretraining rows too. */
const startFacts = ({
  policy,
  rewards,
  dataset,
  trainPrompts,
  evalPrompts,
  pretraining,
  checks,
}: RlContext): Parameters<typeof startEvent>[0] => {
  const { rows, evalRows } = dataset
  return {
    policy: { ...policy, files: [...policy.files, ...rewards.files] },
    examples: {
      train: trainPrompts,
      eval: evalPrompts,
      checks,
      dropped: { train: rows.dropped, eval: evalRows?.dropped ?? {} },
      files: [...rows.files, ...(evalRows?.files ?? []), ...(pretraining?.files ?? [])],
    },
  }
}

/** Updates whose prompts and extra batches say how large a micro-batch gets. */
const measuredUpdates = 8

/** Whether the activations of the largest micro-batch fit into memory: all samples as long as they may get. */
const memoryPlan = async ({ policy, settings, trainPrompts }: RlContext, method: RlMethod) => {
  const { loss, valueModel, extraBatches } = method
  const { examples } = await trainPrompts.take(0, measuredUpdates * settings.batchSize)
  const longestPrompt = Math.max(...examples.map(({ ids }) => ids.length))
  const T = longestPrompt + settings.maxNewTokens
  const tokensOfPrompt = longestPrompt + settings.numGenerations * settings.maxNewTokens
  const fittingPrompts = Math.floor(microBatchTokens(policy, loss) / tokensOfPrompt)
  const B = Math.max(1, Math.min(settings.batchSize, fittingPrompts)) * settings.numGenerations
  const extra: MicroBatch[] = []
  for (let update = 0; extraBatches && update < measuredUpdates; update++) extra.push(...(await extraBatches(update)))
  const plans = [
    planFor(policy, settings.memory, { N: B * T, B, T }, valueModel),
    ...extra.map(({ packs }) => planFor(policy, settings.memory, sizesOf(packs))),
  ]
  return plans.includes('low') ? 'low' : plans[0]
}

const sizesOf = (packs: MicroBatch['packs']) => ({
  N: packs.reduce((n, { ids }) => n + ids.length, 0),
  B: packs.reduce((n, { B }) => n + B, 0),
  T: Math.max(...packs.map(({ T }) => T)),
})
