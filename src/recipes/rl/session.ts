/**
 * What all methods that learn from their own samples do alike: rollout, rewards, reference, updates, and again. Peculiar:
 * the loop is every recipe's, and asks for a rollout when the last one is used up. A resumed run begins with the rollout of
 * its checkpoint; samples and rewards of later ones that lie in the run's folder are the ones that it would make again.
 */
import { readdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { schedule } from '../../optim/schedules.ts'
import { sameFiles } from '../../runs/run.node.ts'
import { type LoopEnd, type StepBatches, train } from '../../train/loop.ts'
import { restoreState } from '../../train/state.ts'
import { type RolloutMark, requireRoom, resumed, saveCheckpoint } from '../checkpoints.ts'
import { planFor } from '../policy.ts'
import type { EndEvent, TrainEvent, WarningEvent } from '../recipe.ts'
import { finish, meaning, startEvent } from '../session.ts'
import { type Channel, makeChannel } from './channel.ts'
import { evaluateHeld } from './evaluation.ts'
import { experience, keepLesson, keptLesson, type Learnt, type Method, rolloutFolder } from './experience.ts'
import type { Ground } from './ground.ts'
import { promptsPerRollout, updateBatches, updatesOf } from './updates.ts'

/** Trains, from the beginning or the newest checkpoint, to the result on disk. */
export async function* rlSession(ground: Ground, method: Method): AsyncGenerator<TrainEvent> {
  const { settings, policy, run, train: prompts, held, signal } = ground
  const begin = await resumed(run, settings.resume, policy)
  yield* begin.warnings
  if (begin.tally) prompts.restore(begin.tally)
  const totalSteps = stepsOf(ground)
  await requireRoom(run, policy, settings, totalSteps - begin.progress.step, held !== undefined)
  if (!begin.state) policy.plan = await planOf(ground)
  const start = await started(ground, begin.progress.step, totalSteps)
  // Samples may lie there before the first checkpoint does
  if (run.before) sameFiles(run.before, start)
  yield start
  if (begin.state) await restoreState(policy.backend, policy.arenas, begin.state.file)
  const channel = makeChannel<TrainEvent>()
  const course = await openCourse(ground, method, channel, begin.rollout)
  const evaluate = held && (() => channel.drain(evaluateHeld(ground)))
  const loop = train({
    ...settings,
    trainer: { ...policy, loss: method.loss, head: { temperature: settings.temperature } },
    progress: begin.progress,
    totalSteps,
    rowsPerEpoch: prompts.length,
    learningRate: schedule(settings.schedule, { ...settings, ...settings.scheduleOption, totalSteps }),
    next: course.next,
    evaluate,
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(totalSteps / Math.max(1, Math.ceil(settings.epochs)))),
    save: course.save,
    signal,
  })
  if (!begin.state && evaluate && !signal.aborted) yield* channel.beside(firstEvaluation(evaluate))
  const end = yield* measured(channel.beside(loop as AsyncGenerator<TrainEvent, LoopEnd>), course)
  yield* oddities(ground)
  yield await finish({ policy, settings, run }, { ...end, stopped: stoppedBy(ground, course, end) })
}

/** The policy before any training, so that every later evaluation has something to be held against. */
async function* firstEvaluation(evaluate: () => Promise<Record<string, number>>): AsyncGenerator<TrainEvent, void> {
  yield { event: 'eval', step: 0, ...(await evaluate()) }
}

const stoppedBy = ({ signal }: Ground, course: Course, { stopped }: LoopEnd): EndEvent['stopped'] => {
  if (stopped !== 'done') return stopped
  if (course.spent()) return 'kl-budget'
  return signal.aborted && course.cut() ? 'interrupted' : 'done'
}

/** Steps of all rollouts, at most. */
const stepsOf = ({ settings, train }: Ground): number => {
  const prompts = Math.ceil(train.length * settings.epochs)
  const size = promptsPerRollout(settings)
  const whole = Math.floor(prompts / size)
  const steps = (count: number) => Math.ceil(count / (settings.batchSize * settings.gradAccum)) * settings.numIterations
  return Math.min(settings.maxSteps ?? Number.POSITIVE_INFINITY, whole * steps(size) + steps(prompts % size))
}

/** Prompts of the first steps, with samples as long as they may get. */
const planOf = async ({ policy, settings, train }: Ground) => {
  const { examples } = await train.take(0, 8 * settings.batchSize)
  const longest = Math.max(...examples.map(({ ids }) => ids.length))
  const T = longest + settings.maxNewTokens
  return planFor(policy, settings.memory, {
    N: settings.batchSize * settings.numGenerations * T,
    B: settings.batchSize * settings.numGenerations,
    T,
  })
}

const started = ({ policy, rewards, data, train, held }: Ground, step: number, totalSteps: number) => {
  const files = [...data.rows.files, ...(data.held?.files ?? [])]
  const models = { ...policy, files: [...policy.files, ...rewards.files] }
  return startEvent(
    { policy: models, examples: { train, eval: held, dropped: data.rows.dropped, files } },
    step,
    totalSteps,
  )
}

/** The rollouts of a run, one at a time. */
type Course = {
  /** The batches of the next step. */
  next(position: number): Promise<StepBatches | undefined>
  save: Parameters<typeof train>[0]['save']
  /** Measures of the rollout that the last step learnt from. */
  measures(): Record<string, number>
  /** The KL budget is spent; a rollout was cut short. */
  spent(): boolean
  cut(): boolean
}

const openCourse = async (
  ground: Ground,
  method: Method,
  channel: Channel<TrainEvent>,
  from: RolloutMark | undefined,
): Promise<Course> => {
  const { settings, train: stream, run, policy } = ground
  let mark: RolloutMark = from ?? { number: 0, updates: 0, position: 0, state: {} }
  let current:
    | { learnt: Pick<Learnt, 'lesson' | 'measures'>; updates: number[][]; rows: readonly number[]; end: number }
    | undefined
  let [spent, cut] = [false, false]
  const take = async (position: number, number: number) => {
    const { examples, rows, position: end } = await stream.take(position, promptsPerRollout(settings))
    return { examples, rows, end, updates: updatesOf(examples.length, settings, number) }
  }
  if (mark.number > 0) {
    const { examples, ...taken } = await take(mark.position, mark.number)
    if (mark.updates < taken.updates.length)
      current = { ...taken, learnt: await keptLesson(ground, mark.number, examples) }
  }
  const begin = async (position: number) => {
    const number = mark.number + 1
    const { examples, ...taken } = await take(position, number)
    if (examples.length === 0) return
    const learnt = await channel.drain(experience(ground, method, { number, prompts: examples, state: mark.state }))
    cut = learnt === undefined
    if (!learnt) return
    spent = settings.klBudget !== undefined && learnt.kl !== undefined && learnt.kl > settings.klBudget
    if (spent) return
    if (taken.updates.length > 1) await keepLesson(ground, number, learnt)
    mark = { number, updates: 0, position, state: { ...learnt.state } }
    current = { ...taken, learnt }
  }
  return {
    async next(position) {
      if (!current || mark.updates === current.updates.length) {
        current = undefined
        await begin(position)
      }
      if (!current) return undefined
      const { learnt, updates, rows, end } = current
      const numbers = updates[mark.updates]
      mark = { ...mark, updates: mark.updates + 1 }
      const batches = updateBatches(learnt.lesson, numbers, { ...settings, aggregation: method.aggregation })
      return { batches, rows: numbers.map((g) => rows[g]), position: end, tokens: tokensOf(learnt.lesson, numbers) }
    },
    async save(at) {
      const path = await saveCheckpoint(run, policy, settings, at, stream.tally(), { rollout: mark })
      await forget(ground, mark.number)
      return path
    },
    measures: () => ({
      rollout: mark.number,
      // Later updates of a rollout wait for none of its phases
      ...(current && mark.updates > 1 ? withoutTimes(current.learnt.measures) : current?.learnt.measures),
    }),
    spent: () => spent,
    cut: () => cut,
  }
}

const tokensOf = ({ rollout }: Learnt['lesson'], numbers: readonly number[]) => {
  const G = rollout.perPrompt
  const samples = numbers.flatMap((g) => rollout.samples.slice(g * G, (g + 1) * G))
  return samples.reduce((n, { ids, prompt }) => n + ids.length + rollout.prompts[prompt].ids.length, 0)
}

const withoutTimes = (measures: Record<string, number>) =>
  Object.fromEntries(Object.entries(measures).filter(([name]) => !name.startsWith('time/')))

/** Rollouts before this one: no checkpoint to come needs them. */
const forget = async (ground: Ground, number: number) => {
  const folder = dirname(rolloutFolder(ground, 0))
  for (const name of await readdir(folder).catch(() => []))
    if (Number(name) < number) await rm(`${folder}/${name}`, { recursive: true, force: true })
}

/** Steps with what their rollout measured, and some of its samples. */
async function* measured(
  events: AsyncGenerator<TrainEvent, LoopEnd>,
  course: Course,
): AsyncGenerator<TrainEvent, LoopEnd> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    if (value.event !== 'step') yield value
    else {
      const measures = course.measures()
      const before = Object.entries(measures).reduce((sum, [name, s]) => sum + (name.startsWith('time/') ? s : 0), 0)
      yield { ...value, ...measures, 'time/update': Number(value.seconds) - before }
    }
  }
}

const oddMeaning: Record<string, string> = {
  'prompt-too-long': 'prompts not used: longer than --max-prompt-length, or no room for an answer',
  'empty-prompt': 'prompts not used: they are empty',
}

function* oddities({ train }: Ground): Generator<WarningEvent> {
  for (const [code, count] of Object.entries(train.tally().counts))
    yield { event: 'warning', code, message: oddMeaning[code] ?? meaning[code] ?? code, count }
}
