/**
 * A recipe: a training method as a schema of its settings and a generator of events. The generator itself stores nothing:
 * `recipe` opens the run folder around it, logs every event, and on --resume cuts the log back to the checkpoint that the `start`
 * event names.
 */
import { relative } from 'node:path'
import type { z } from 'zod'
import { hubTarget, prepareRepo } from '../../checkpoint/hubUpload.node.ts'
import { endWithPush } from '../../publish/push.ts'
import { checkRewards, type RewardSettings } from '../../rewards/open.ts'
import type { ProgramFunctions } from '../../rewards/rewards.ts'
import type { ComputeEvent, EndEvent, ProgressEvent, SampleEvent, StartEvent, WarningEvent } from '../../runs/events.ts'
import { givenName } from '../../runs/modelName.node.ts'
import { openRun, type Run } from '../../runs/run.node.ts'
import { type Board, openBoard } from '../../runs/tensorboard.node.ts'
import type { LoopEvent } from '../../train/loop.ts'
import type { RateEvent } from '../../train/rangeTest.ts'
import { badInput } from '../../util/fault.ts'
import { makeResources, type Resources } from '../../util/resources.ts'
import type { Sharing } from '../../util/sharing.ts'
import type { Method } from '../methods.ts'
import { type WithLearningRate, withLearningRate } from './defaultLearningRate.ts'
import { defaultsOf } from './defaults.ts'
import { type FoundRateEvent, requireRangeTest } from './findLearningRate.ts'
import type { CustomLoss } from './objectives.ts'
import { makeRunDiagnostics, noDiagnostics } from './runDiagnostics.ts'
import { writeRunPage } from './runPage.ts'
import { settingsPaths } from './settingsPaths.ts'
import { likeDefaults } from './trlDefaults.ts'
import { refuseUnused } from './unusedSettings.ts'

/** What a training run tells: how it begins, its steps, evaluations, samples, warnings and checkpoints, and how it ends. */
export type TrainEvent =
  | StartEvent
  | LoopEvent
  | SampleEvent
  | WarningEvent
  | ComputeEvent
  | ProgressEvent
  | RateEvent
  | FoundRateEvent
  | EndEvent

/** The settings of schemas that concern the run folder, and the rewards of methods that have some. */
type RunSettings = {
  output: string
  resume: boolean
  findLr: boolean
  pushToHub?: string
  reportTo?: 'tensorboard'
} & Partial<Pick<RewardSettings, 'reward' | 'rewardWeights'>>

/** What a program may give a recipe beside settings. */
export type Extras = {
  signal?: AbortSignal
  /** The command line, for run.json. */
  command?: readonly string[]
  /** Instead of the named loss of a preference run. */
  loss?: CustomLoss
  /** Reward functions of the program. */
  functions?: ProgramFunctions
  /** Workers that may compute a part of the run, with the same result. */
  sharing?: Sharing
  /** Called while the model is fetched and read, before the first event. */
  onLoading?: (progress: ProgressEvent) => void
}

/** What is called while a model is fetched and read, and who may compute with it: `resolveModel` and `openPolicy` take it as it is. */
export type Loading = {
  sharing?: Sharing
  onProgress(fetched: { bytes: number; total: number }): void
  onTensor(done: number, total: number): void
  onCompute(found: ComputeEvent | WarningEvent): void
}

export type Recipe<S extends z.ZodObject = z.ZodObject> = {
  name: string
  schema: S
  /** Trains. After `signal` aborts: a checkpoint within one step, then an `end` event with stopped: 'interrupted'. */
  run(config: z.output<S>, extras?: Extras): AsyncIterable<TrainEvent>
}

export type Body<S extends z.ZodObject> = (
  config: WithLearningRate<z.output<S>>,
  context: {
    signal: AbortSignal
    /** Closes what was opened when the run ends, however it ends; the last opened first. */
    own: Resources['own']
    /** The run's folder: checkpoints go to `run.checkpoints`. Call `run.sync()` before writing one. */
    run: Run
    loading: Loading
    loss?: CustomLoss
    functions?: ProgramFunctions
  },
) => AsyncIterable<TrainEvent>

type RecipeOptions = {
  /** False where the training is done by runs of other recipes, which diagnose themselves. */
  diagnoses?: boolean
}

/** Makes a recipe of a method's generator. `schema` is that of the method's row in methods.ts, loaded. */
export const recipe = <S extends z.ZodObject>(
  { name }: Pick<Method<S>, 'name' | 'schema'>,
  schema: S,
  body: Body<S>,
  { diagnoses = true }: RecipeOptions = {},
): Recipe<S> => ({
  name,
  schema,
  async *run(given, extras = {}) {
    const {
      signal = new AbortController().signal,
      command = [],
      loss,
      functions,
      sharing,
      onLoading = () => {},
    } = extras
    const { output, resume, pushToHub, reportTo, findLr, reward, rewardWeights } = given as unknown as RunSettings
    if (findLr) requireRangeTest(name, resume)
    if (sharing && unshared.includes(name)) throw nothingToShare(name)
    if (!resume) refuseUnused(schema, given, likeDefaults(name, given))
    // Before a model is fetched
    if (reward) await checkRewards({ reward, rewardWeights }, functions)
    const target = pushToHub === undefined ? undefined : await hubTarget(pushToHub, '--push-to-hub')
    const config = await withLearningRate(name, schema, given)
    const places = await settingsPaths(config)
    const defaults = defaultsOf(schema)
    const run = await openRun(output, { method: name, config, resume, command, changeable, places, defaults })
    const { own, close } = makeResources()
    own(run)
    const of = givenName({ config, places })
    const speeds: (ComputeEvent | WarningEvent)[] = []
    const loading: Loading = {
      sharing,
      onProgress: ({ bytes, total }) => onLoading({ event: 'progress', phase: 'download', of, done: bytes, total }),
      onTensor: (done, total) => onLoading({ event: 'progress', phase: 'load', of, done, total }),
      onCompute: (found) => speeds.push(found),
    }
    const context = { signal, own, run, loading, loss, functions }
    let board: Board | undefined
    const diagnostics = diagnoses ? makeRunDiagnostics(name, config, run) : noDiagnostics
    const warn = async function* (warnings: readonly WarningEvent[]) {
      for (const warning of warnings) {
        await store(run, warning)
        yield warning
      }
    }
    try {
      if (findLr) return yield* body(config, context)
      for (const message of run.warnings) yield { event: 'warning', code: 'lock', message }
      for await (const yielded of body(config, context)) {
        const event = finite(yielded)
        if (event.event === 'start' && target) await prepareRepo(target)
        if (event.event === 'end') yield* warn(diagnostics.diagnose(event))
        const resumed = await store(run, event)
        if (event.event === 'start' && reportTo) board = own(await openBoard(run.dir, event.step + 1))
        await board?.write(event)
        if (event.event === 'end') yield* reported(run.dir, defaults)
        if (event.event === 'end' && target) yield* endWithPush(target, run.dir, event, signal)
        else yield event
        if (event.event === 'start') {
          yield* speeds.filter(isCompute)
          if (!resumed) yield* warn(speeds.filter(isWarning))
          yield* warn(await diagnostics.start(event, resumed))
        }
        if (event.event !== 'start' && event.event !== 'end') yield* warn(diagnostics.diagnose(event))
      }
    } finally {
      await close()
    }
  },
})

/** Methods whose models have heads that workers do not build. */
const unshared = ['reward']

const nothingToShare = (name: string) =>
  badInput('bad-flag', `has nothing to share out in attune ${name}, which trains a score head; leave it out`, {
    flag: '--workers',
  })

const isCompute = (event: ComputeEvent | WarningEvent) => event.event === 'compute'
const isWarning = (event: ComputeEvent | WarningEvent) => event.event === 'warning'

/** Settings that may differ when a run is resumed: how long it goes, what is kept, and what results do not depend on. */
const changeable = [
  'output',
  'resume',
  'epochs',
  'maxSteps',
  'saveEvery',
  'keep',
  'evalEvery',
  'patience',
  'iterations',
  'logEvery',
  'keepRollouts',
  'memory',
  'device',
  'threads',
  'workers',
  'workersFiles',
  'workersHost',
  'saveDtype',
  'pushToHub',
  'reportTo',
]

/** Without metrics that have no value in this step, such as those of rejected responses where a batch has none. */
const finite = (event: TrainEvent): TrainEvent =>
  Object.fromEntries(Object.entries(event).filter(([, value]) => !Number.isNaN(value))) as TrainEvent

/** @returns whether the event is the start of a run that goes on from a checkpoint */
const store = async (run: Run, event: TrainEvent): Promise<boolean> => {
  if (event.event === 'progress') return false
  if (event.event === 'start') {
    const { event: _, step: __, ...facts } = event
    if (await run.started(facts)) return true
  }
  // Relative, so that a run may be moved
  await run.append(event.event === 'checkpoint' ? { ...event, path: relative(run.dir, event.path) } : event)
  if (event.event === 'checkpoint') await run.sync()
  if (event.event === 'end') await run.ended()
  return false
}

/** The page of the run, in its folder. That it cannot be written is told, and spoils no run. */
async function* reported(dir: string, defaults: Readonly<Record<string, unknown>>): AsyncGenerator<WarningEvent> {
  const failure = await writeRunPage(dir, { defaults, isOver: true }).then(
    () => undefined,
    (error) => (error instanceof Error ? error.message : String(error)),
  )
  if (failure !== undefined)
    yield { event: 'warning', code: 'no-report', message: `the page of the run could not be written: ${failure}` }
}
