/**
 * One rollout from its prompts to what is learnt from it, phase by phase: samples, rewards, log-probs of policy and
 * reference, credit. Peculiar: samples and rewards that a stopped run left in the rollout's folder are taken from there.
 */

import { join } from 'node:path'
import type { PromptExample } from '../../data/prompts.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import type { Aggregation } from '../../objectives/aggregation.ts'
import { type RolloutRewards, rewardsOf } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { mean } from '../../statistics/summary.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import type { Trainer } from '../../train/step.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import type { RlContext } from './context.ts'
import { rolloutMetrics, sampleKls } from './metrics.ts'
import type { Columns, ExperienceBatch } from './minibatches.ts'
import { rollOut, rolloutSeed } from './rollout.ts'
import { sampleStats } from './sampleStats.ts'

/** What a method carries from rollout to rollout, plain data. */
export type MethodState = Readonly<Record<string, unknown>>

export type Experience = {
  rollout: Rollout
  scored: RolloutRewards
  /** Samples that may count: not those whose reward failed, nor those cut off, where they are masked. */
  mask: boolean[]
  /** [samples][tokens] under the policy that sampled and under the reference, where the method needs them. */
  oldLogps?: number[][]
  refLogps?: number[][]
  /** What the policy's own value head says before each token. */
  values?: number[][]
}

export type AdvantageColumns = { columns: Columns; state: MethodState; measures?: Record<string, number> }

/** What makes a method what it is. */
export type RlMethod = {
  /** Log-probs that it needs beside those of the update's own pass. */
  needs: { old: boolean; ref: boolean; values?: boolean }
  computeAdvantages(experience: Experience, state: MethodState): AdvantageColumns | Promise<AdvantageColumns>
  loss: LossFunction
  aggregation: Aggregation
  /** The batches of a step on these prompts, where they are not those of a policy gradient. */
  batches?(batch: ExperienceBatch, numbers: readonly number[]): MicroBatch[]
  /** A model that learns from the same batches. */
  valueModel?: Trainer['beside']
  /** Batches of other rows for an update, counted from 0 over the whole run. */
  extraBatches?(update: number): Promise<MicroBatch[]>
}

export type ExperienceResult = {
  batch: ExperienceBatch
  state: MethodState
  measures: Record<string, number>
  kl?: number
  /** What the batch was made of, for who wants to make it again. */
  inputs: Pick<Experience, 'oldLogps' | 'refLogps' | 'scored'>
}

export const rolloutFolder = ({ run }: Pick<RlContext, 'run'>, number: number) =>
  join(run.dir, 'rollouts', String(number))

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
export async function* makeExperience(
  rl: RlContext,
  method: RlMethod,
  { number, prompts, state }: { number: number; prompts: readonly PromptExample[]; state: MethodState },
): AsyncGenerator<ProgressEvent, ExperienceResult | undefined> {
  const { settings, tokenization, scheduler, signal } = rl
  const dir = rolloutFolder(rl, number)
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
  const given = yield* rewardsOf(rl.rewards, rollout, { dir, signal })
  if (!given) return undefined
  clock.lap('reward')
  // reference
  const { near, error, ...logps } = await logpsOf(rl, method, rollout, { number, state })
  const kls = logps.oldLogps && logps.refLogps && sampleKls(logps.oldLogps, logps.refLogps)
  clock.lap('reference')
  // credit
  const scored = penalized(given, rollout, settings.missingEosPenalty)
  const mask = rollout.samples.map(
    ({ finish_reason }, i) =>
      !Number.isNaN(scored.rewards[i]) && !(settings.maskTruncated && finish_reason === 'length'),
  )
  const credited = await method.computeAdvantages({ rollout, scored, mask, ...logps }, state)
  const kl = kls && mean(kls)
  return {
    batch: { rollout, columns: credited.columns, mask, rewards: scored.rewards.map(orNull) },
    state: { ...credited.state, near },
    measures: {
      ...rolloutMetrics(rollout, scored),
      ...(settings.klBudget !== undefined && kl !== undefined && { kl_sequence: kl }),
      ...(error !== undefined && { 'sampling/ratio_error': error }),
      ...credited.measures,
      ...clock.seconds,
    },
    kl,
    inputs: { oldLogps: logps.oldLogps, refLogps: logps.refLogps, scored },
  }
}

const orNull = (reward: number) => (Number.isNaN(reward) ? null : reward)

/** The actual stop token is what mask, not the length. */
const penalized = (scored: RolloutRewards, { samples }: Rollout, penalty: number | undefined): RolloutRewards =>
  penalty === undefined
    ? scored
    : { ...scored, rewards: scored.rewards.map((r, i) => (samples[i].finish_reason === 'length' ? r - penalty : r)) }

/** How far the decoder's log-probs may be from those of training to stand for them. */
const nearEnough = 1e-4

/** Rollouts 1, 2, 4, 8, ...: a new adapter does nothing in the first, so that one alone would say little. */
const isCompared = (number: number) => (number & (number - 1)) === 0

/**
 * Log-probs that the method needs. Those of the policy are the decoder's own while the last comparison found them `near` to
 * a pass of training: from rollout to rollout that is part of the state, so a resumed run takes the same ones.
 */
const logpsOf = async (
  { policy, reference, settings }: RlContext,
  { needs }: RlMethod,
  rollout: Rollout,
  { number, state }: { number: number; state: MethodState },
): Promise<Pick<Experience, 'oldLogps' | 'refLogps' | 'values'> & { near?: boolean; error?: number }> => {
  const { temperature } = settings
  const measured = settings.klBudget !== undefined
  const pass = async (model: typeof policy.model, at = temperature) =>
    (await sampleStats(model, rollout, ['logps'], { temperature: at })).logps
  const plain = { ...policy.model, dropout: 0 }
  const refLogps = reference && (needs.ref || measured) ? await pass(reference) : undefined
  const read = needs.old || measured
  if (read && !needs.values && temperature === 1 && state.near === true && !isCompared(number))
    return { oldLogps: rollout.samples.map(({ logps }) => logps), refLogps, near: true }
  const valued = needs.values ? await sampleStats(plain, rollout, ['logps', 'scores'], { temperature }) : undefined
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
