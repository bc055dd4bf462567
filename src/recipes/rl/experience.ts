/**
 * One rollout from its prompts to what is learnt from it, phase by phase: samples, rewards, log-probs of policy and
 * reference, credit. Peculiar: samples and rewards that a stopped run left in the rollout's folder are taken from there.
 */

import { join } from 'node:path'
import type { PromptExample } from '../../data/prompts.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import type { Aggregation } from '../../objectives/aggregation.ts'
import { rewardsOf, type Scored } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { mean } from '../../statistics/summary.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import type { Trainer } from '../../train/step.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import type { Ground } from './context.ts'
import { rolloutMeasures, sampleKls } from './metrics.ts'
import type { Columns, Lesson } from './minibatches.ts'
import { rollOut, rolloutSeed } from './rollout.ts'
import { sampleStats } from './sampleStats.ts'

/** What a method carries from rollout to rollout, plain data. */
export type State = Readonly<Record<string, unknown>>

export type Experience = {
  rollout: Rollout
  scored: Scored
  /** Samples that may count: not those whose reward failed, nor those cut off, where they are masked. */
  counts: boolean[]
  /** [samples][tokens] under the policy that sampled and under the reference, where the method reads them. */
  oldLogps?: number[][]
  refLogps?: number[][]
  /** What the policy's own value head says before each token. */
  values?: number[][]
}

export type Credited = { columns: Columns; state: State; measures?: Record<string, number> }

/** What makes a method what it is. */
export type Method = {
  /** Log-probs that it reads beside those of the update's own pass. */
  reads: { old: boolean; ref: boolean; values?: boolean }
  credit(experience: Experience, state: State): Credited | Promise<Credited>
  loss: LossFunction
  aggregation: Aggregation
  /** The batches of a step on these prompts, where they are not those of a policy gradient. */
  batches?(lesson: Lesson, numbers: readonly number[]): MicroBatch[]
  /** A model that learns from the same batches. */
  beside?: Trainer['beside']
  /** Batches of other rows for an update, counted from 0 over the whole run. */
  more?(update: number): Promise<MicroBatch[]>
}

export type Learnt = {
  lesson: Lesson
  state: State
  measures: Record<string, number>
  kl?: number
  /** What the lesson was made of, for who wants to make it again. */
  seen: Pick<Experience, 'oldLogps' | 'refLogps' | 'scored'>
}

export const rolloutFolder = ({ run }: Pick<Ground, 'run'>, number: number) => join(run.dir, 'rollouts', String(number))

const timed = () => {
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

/** After an abort undefined; what was finished lies in the rollout's folder. */
export async function* experience(
  ground: Ground,
  method: Method,
  { number, prompts, state }: { number: number; prompts: readonly PromptExample[]; state: State },
): AsyncGenerator<ProgressEvent, Learnt | undefined> {
  const { settings, tokenization, scheduler, signal } = ground
  const dir = rolloutFolder(ground, number)
  await makeFolders(dir).catch((error) => {
    throw diskFault(error, dir)
  })
  const clock = timed()
  // rollout
  const seed = rolloutSeed(settings.seed, number)
  const rollout = yield* rollOut({ scheduler, tokenization, settings, seed, dir, signal }, prompts)
  if (!rollout) return undefined
  clock.lap('rollout')
  // rewards
  const given = yield* rewardsOf(ground.rewards, rollout, { dir, signal })
  if (!given) return undefined
  clock.lap('reward')
  // reference
  const { near, error, ...logps } = await logpsOf(ground, method, rollout, { number, state })
  const kls = logps.oldLogps && logps.refLogps && sampleKls(logps.oldLogps, logps.refLogps)
  clock.lap('reference')
  // credit
  const scored = penalized(given, rollout, settings.missingEosPenalty)
  const counts = rollout.samples.map(
    ({ finish_reason }, i) =>
      !Number.isNaN(scored.rewards[i]) && !(settings.maskTruncated && finish_reason === 'length'),
  )
  const credited = await method.credit({ rollout, scored, counts, ...logps }, state)
  const kl = kls && mean(kls)
  return {
    lesson: { rollout, columns: credited.columns, counts, rewards: scored.rewards.map(orNull) },
    state: { ...credited.state, near },
    measures: {
      ...rolloutMeasures(rollout, scored),
      ...(settings.klBudget !== undefined && kl !== undefined && { kl_sequence: kl }),
      ...(error !== undefined && { 'sampling/ratio_error': error }),
      ...credited.measures,
      ...clock.seconds,
    },
    kl,
    seen: { oldLogps: logps.oldLogps, refLogps: logps.refLogps, scored },
  }
}

const orNull = (reward: number) => (Number.isNaN(reward) ? null : reward)

/** The actual stop token is what counts, not the length. */
const penalized = (scored: Scored, { samples }: Rollout, penalty: number | undefined): Scored =>
  penalty === undefined
    ? scored
    : { ...scored, rewards: scored.rewards.map((r, i) => (samples[i].finish_reason === 'length' ? r - penalty : r)) }

/** How far the decoder's log-probs may be from those of training to stand for them. */
const nearEnough = 1e-4

/** Rollouts 1, 2, 4, 8, ...: a new adapter does nothing in the first, so that one alone would say little. */
const isCompared = (number: number) => (number & (number - 1)) === 0

/**
 * Log-probs that the method reads. Those of the policy are the decoder's own while the last comparison found them `near` to
 * a pass of training: from rollout to rollout that is part of the state, so a resumed run takes the same ones.
 */
const logpsOf = async (
  { policy, reference, settings }: Ground,
  { reads }: Method,
  rollout: Rollout,
  { number, state }: { number: number; state: State },
): Promise<Pick<Experience, 'oldLogps' | 'refLogps' | 'values'> & { near?: boolean; error?: number }> => {
  const { temperature } = settings
  const measured = settings.klBudget !== undefined
  const pass = async (model: typeof policy.model, at = temperature) =>
    (await sampleStats(model, rollout, ['logps'], { temperature: at })).logps
  const plain = { ...policy.model, dropout: 0 }
  const refLogps = reference && (reads.ref || measured) ? await pass(reference) : undefined
  const read = reads.old || measured
  if (read && !reads.values && temperature === 1 && state.near === true && !isCompared(number))
    return { oldLogps: rollout.samples.map(({ logps }) => logps), refLogps, near: true }
  const valued = reads.values ? await sampleStats(plain, rollout, ['logps', 'scores'], { temperature }) : undefined
  const oldLogps = valued?.logps ?? (read ? await pass(plain) : undefined)
  const compared = oldLogps && temperature === 1 ? oldLogps : number === 1 ? await pass(plain, 1) : undefined
  const error = compared && ratioError(rollout, compared)
  return { oldLogps, refLogps, values: valued?.scores, error, near: error !== undefined && error <= nearEnough }
}

/** max |pi(token) by this pass / pi(token) by the decoder - 1|, both at temperature 1: what "on policy" is worth. */
const ratioError = ({ samples }: Rollout, logps: readonly (readonly number[])[]): number => {
  let worst = 0
  for (const [i, sample] of samples.entries())
    for (const [t, logp] of sample.logps.entries()) worst = Math.max(worst, Math.abs(Math.expm1(logps[i][t] - logp)))
  return worst
}
