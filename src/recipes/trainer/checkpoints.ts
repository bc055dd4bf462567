/** Checkpoints of a run: what they hold beside the arrays, how they are written and resumed from, and the disk space they take. */

import { readdir } from 'node:fs/promises'
import { z } from 'zod'
import { requireSpace } from '../../checkpoint/space.node.ts'
import { newestState, type State, writeState } from '../../checkpoint/state.node.ts'
import type { WarningEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import { beginning, type Progress } from '../../train/loop.ts'
import { stateBytes, stateFiles } from '../../train/state.ts'
import { badInput } from '../../util/fault.ts'
import type { Policy } from './policy.ts'

const count = z.number().int().nonnegative()
const evaluated = z.object({ step: count, value: z.number() })
const checkpointSchema = z.object({
  step: count,
  position: count,
  num_tokens: count,
  best: evaluated.optional(),
  last: evaluated.optional(),
  waited: count,
  evalDue: z.boolean().optional(),
  plan: z.enum(['fast', 'low']),
  /** The event log when the checkpoint was written. */
  log: z.object({ bytes: count, sha256: z.string() }).optional(),
  /** Of self-play: the iteration, counted from 1, and the steps before it. */
  iteration: z.object({ number: count, start: count }).optional(),
  /** Of reinforcement learning: the rollout that is trained on, and the method's own state. */
  rollout: z
    .object({ number: count, updates: count, position: count, state: z.record(z.string(), z.unknown()) })
    .optional(),
})
/** The rollout under way, counted from 1; the updates made on it; the position in the order of prompts after it. */
export type RolloutState = NonNullable<z.infer<typeof checkpointSchema>['rollout']>
export type Iteration = NonNullable<z.infer<typeof checkpointSchema>['iteration']>

export type TrainingStart = {
  state?: State
  progress: Progress
  iteration?: Iteration
  rollout?: RolloutState
  warnings: WarningEvent[]
}

/** The newest sound checkpoint of a run that is resumed, if any. The policy takes over its memory plan. */
export const resumeTraining = async (run: Run, asked: boolean, policy: Policy): Promise<TrainingStart> => {
  const message = 'there was no run to resume: this one begins at its first step'
  if (!run.resumed)
    return { progress: beginning, warnings: asked ? [{ event: 'warning', code: 'nothing-to-resume', message }] : [] }
  const found = await newestState(run.checkpoints)
  const warnings = found.warnings.map(
    (text): WarningEvent => ({ event: 'warning', code: 'bad-checkpoint', message: text }),
  )
  if (!found.state) return { progress: beginning, warnings }
  const { plan, iteration, rollout, log, ...progress } = contentOf(found.state)
  run.goOn({ step: progress.step, log })
  policy.plan = plan
  return { state: found.state, progress, iteration, rollout, warnings }
}

const contentOf = ({ json, step, path }: State): z.infer<typeof checkpointSchema> => {
  const { data } = checkpointSchema.safeParse(json)
  if (data?.step === step) return data
  throw badInput(
    'bad-checkpoint',
    'is of another version of attune, or not of attune; remove it to use an earlier one',
    { file: path },
  )
}

export type CheckpointSettings = { saveEvery: number; keep: number; saveDtype: 'float32' | 'bfloat16' | 'float16' }

/** @returns the checkpoint's folder */
export const saveCheckpoint = async (
  run: Run,
  policy: Policy,
  { keep }: CheckpointSettings,
  progress: Progress,
  more: { iteration?: Iteration; rollout?: RolloutState } = {},
): Promise<string> => {
  const log = await run.sync()
  const plan = policy.plan === 'low' ? 'low' : 'fast'
  const json: z.infer<typeof checkpointSchema> = { ...progress, plan, log, ...more }
  const content = { files: stateFiles(policy.backend, policy.arenas), json }
  const protect = progress.best ? [progress.best.step] : []
  return writeState(run.checkpoints, progress.step, content, { keep, protect, bytes: stateBytes(policy.arenas) })
}

/** Throws a Fault 'disk' where the result and the most checkpoints that so many steps leave at a time do not fit. */
export const requireDiskSpace = async (
  run: Run,
  policy: Policy,
  settings: CheckpointSettings,
  steps: number,
  evaluates: boolean,
) => {
  const { adapter, arenas, counts } = policy
  const present = (await readdir(run.checkpoints).catch(() => [])).length
  // While a checkpoint is written, all that are kept are there, and the best one
  const most = Math.min(Math.ceil(steps / settings.saveEvery), settings.keep + 1) + Number(evaluates)
  const weights =
    (adapter ? counts.trainable : counts.parameters) * (adapter || settings.saveDtype === 'float32' ? 4 : 2)
  await requireSpace(run.dir, Math.max(0, most - present) * stateBytes(arenas) + weights, badInput)
}
