/**
 * The rollouts of a run, one at a time, as the loop asks for steps. Peculiar: where it is in them, and what the method
 * carries along, is one mark in each checkpoint; of a rollout that lies behind a checkpoint the rows stay,
 * or nothing with --no-keep-rollouts.
 */

import { readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promptText } from '../../data/prompts.ts'
import { rewardPath } from '../../rewards/rewards.ts'
import type { EndEvent, SampleEvent, WarningEvent } from '../../runs/events.ts'
import type { LoopParts, StepBatches, StepEvent } from '../../train/loop.ts'
import type { EventStream } from '../../util/eventStream.ts'
import { type RolloutState, saveCheckpoint } from '../trainer/checkpoints.ts'
import { microBatchTokens } from '../trainer/collate.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import type { RlContext } from './context.ts'
import { type Diagnostics, diagnose, diagnosticsOf } from './diagnostics.ts'
import { type ExperienceResult, makeExperience, type RlMethod, rolloutFolder } from './experience.ts'
import { minibatches, promptsOfUpdates, promptsPerRollout, updatesPerRollout } from './minibatches.ts'
import { samplePath } from './rollout.ts'
import { readRollout, rowsFile, type StoredRollout, storeRollout } from './rolloutFile.ts'

export type RolloutBuffer = {
  /** The batches of the next step. */
  next(position: number): Promise<StepBatches | undefined>
  save: LoopParts['save']
  /** Measures of the rollout that the last step learnt from, and its samples. */
  metrics(): Record<string, number>
  samples(step: number): SampleEvent[]
  /** What is odd about a step, told the first time; counted to the end. */
  diagnose(step: StepEvent): WarningEvent[]
  diagnostics(): Diagnostics
  /** Why there is no next step, where it is not for want of prompts. */
  stopped(): Extract<EndEvent['stopped'], 'kl-budget' | 'interrupted'> | undefined
}

export const openRolloutBuffer = async (
  rl: RlContext,
  method: RlMethod,
  channel: EventStream<TrainEvent>,
  from: RolloutState | undefined,
): Promise<RolloutBuffer> => {
  const { settings, trainPrompts: stream, run, policy } = rl
  let mark: RolloutState = from ?? { number: 0, updates: 0, position: 0, state: {} }
  let current: { learnt: StoredRollout; updates: number[][]; rows: readonly number[]; end: number } | undefined
  let stopped: ReturnType<RolloutBuffer['stopped']>
  let tidied = 0
  const atOnce = microBatchTokens(policy, method.loss)
  const take = async (position: number, number: number) => {
    const { examples, rows, position: end } = await stream.take(position, promptsPerRollout(settings))
    return { examples, rows, end, updates: promptsOfUpdates(examples.length, settings, number) }
  }
  if (mark.number > 0) {
    const { examples, ...taken } = await take(mark.position, mark.number)
    if (mark.updates < taken.updates.length)
      current = { ...taken, learnt: await readRollout(rolloutFolder(rl, mark.number), examples) }
  }
  const begin = async (position: number) => {
    const number = mark.number + 1
    const { examples, ...taken } = await take(position, number)
    if (examples.length === 0) return
    const learnt = await channel.drain(makeExperience(rl, method, { number, prompts: examples, state: mark.state }))
    const isReadAgain = taken.updates.length > 1
    if (learnt && (settings.keepRollouts || isReadAgain))
      await storeRollout(rolloutFolder(rl, number), learnt, taken.rows, isReadAgain)
    if (!learnt) stopped = 'interrupted'
    else if (learnt.kl !== undefined && learnt.kl > (settings.klBudget ?? Number.POSITIVE_INFINITY))
      stopped = 'kl-budget'
    if (!learnt || stopped) return
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
      const update = (mark.number - 1) * updatesPerRollout(settings) + mark.updates
      mark = { ...mark, updates: mark.updates + 1 }
      const own =
        method.batches?.(learnt.batch, numbers) ??
        minibatches(learnt.batch, numbers, { ...settings, aggregation: method.aggregation, atOnce })
      const batches = [...own, ...((await method.extraBatches?.(update)) ?? [])]
      return { batches, rows: numbers.map((g) => rows[g]), position: end, tokens: tokensOf(learnt.batch, numbers) }
    },
    async save(at) {
      const path = await saveCheckpoint(run, policy, settings, at, { rollout: mark })
      tidied = await tidy(rl, tidied, mark.number)
      return path
    },
    metrics: () => ({
      rollout: mark.number,
      // Later updates of a rollout wait for none of its phases
      ...(current && mark.updates > 1 ? withoutTimes(current.learnt.measures) : current?.learnt.measures),
    }),
    samples: (step) => (current ? tableOf(rl, current.learnt.batch, step) : []),
    diagnose(step) {
      if (mark.updates > 1) return []
      const { watch, warnings } = diagnose(diagnosticsOf(mark.state.watch), step)
      mark = { ...mark, state: { ...mark.state, watch } }
      return warnings
    },
    diagnostics: () => diagnosticsOf(mark.state.watch),
    stopped: () => stopped,
  }
}

const tokensOf = ({ rollout }: ExperienceResult['batch'], numbers: readonly number[]) => {
  const G = rollout.perPrompt
  const samples = numbers.flatMap((g) => rollout.samples.slice(g * G, (g + 1) * G))
  return samples.reduce((n, { ids, prompt }) => n + ids.length + rollout.prompts[prompt].ids.length, 0)
}

const withoutTimes = (measures: Record<string, number>) =>
  Object.fromEntries(Object.entries(measures).filter(([name]) => !name.startsWith('time/')))

/**
 * Rollouts from one number to before another: no checkpoint to come needs them. Where they are kept, their rows hold all
 * that the other files do. @returns up to which they are tidied
 */
const tidy = async (rl: RlContext, from: number, to: number): Promise<number> => {
  const names = await readdir(dirname(rolloutFolder(rl, 0))).catch(() => [])
  for (const number of names.map(Number).filter((number) => number >= from && number < to)) {
    const folder = rolloutFolder(rl, number)
    const isKept = rl.settings.keepRollouts && (await stat(join(folder, rowsFile)).catch(() => undefined))
    const paths = isKept ? [samplePath(folder), rewardPath(folder)] : [folder]
    for (const path of paths) await rm(path, { recursive: true, force: true })
  }
  return to
}

/** Samples of the first prompts, as many as one looks at. */
const tableRows = 4

const tableOf = (
  { tokenization }: RlContext,
  { rollout, rewards }: ExperienceResult['batch'],
  step: number,
): SampleEvent[] =>
  rollout.samples.slice(0, tokenization.tokenizer ? tableRows : 0).map(({ prompt, text = '' }, i) => ({
    ...{ event: 'sample', step, prompt: promptText(tokenization, rollout.prompts[prompt].prompt), completion: text },
    reward: rewards[i],
  }))
