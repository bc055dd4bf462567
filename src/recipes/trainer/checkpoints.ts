/**
 * What a checkpoint knows beside the arrays, how it is written and read back, and the room that all of a run takes.
 */

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
const savedSchema = z.object({
  step: count,
  position: count,
  num_tokens: count,
  best: z.object({ step: count, value: z.number() }).optional(),
  waited: count,
  evalDue: z.boolean().optional(),
  plan: z.enum(['fast', 'low']),
  /** What the log was when this was written. */
  log: z.object({ bytes: count, sha256: z.string() }).optional(),
  /** Of a run that plays against itself: which iteration, counted from 1, and the steps before it. */
  iteration: z.object({ number: count, start: count }).optional(),
  /** Of a run that learns from its own samples: where it is in them, and what its method carries along. */
  rollout: z
    .object({ number: count, updates: count, position: count, state: z.record(z.string(), z.unknown()) })
    .optional(),
})
/** The rollout under way, counted from 1; how many updates it has seen; the order's position after its prompts. */
export type RolloutState = NonNullable<z.infer<typeof savedSchema>['rollout']>
export type Iteration = NonNullable<z.infer<typeof savedSchema>['iteration']>

export type TrainingStart = {
  state?: State
  progress: Progress
  iteration?: Iteration
  rollout?: RolloutState
  warnings: WarningEvent[]
}

/** Where training begins: the newest sound checkpoint of a run that is resumed, or nothing; its plan is taken over. */
export const resumeTraining = async (run: Run, asked: boolean, policy: Policy): Promise<TrainingStart> => {
  const message = 'there was nothing to go on with: this run begins at its first step'
  if (!run.resumed)
    return { progress: beginning, warnings: asked ? [{ event: 'warning', code: 'nothing-to-resume', message }] : [] }
  const found = await newestState(run.checkpoints)
  const warnings = found.warnings.map(
    (text): WarningEvent => ({ event: 'warning', code: 'bad-checkpoint', message: text }),
  )
  if (!found.state) return { progress: beginning, warnings }
  const { plan, iteration, rollout, log, ...progress } = savedOf(found.state)
  run.goOn({ step: progress.step, log })
  policy.plan = plan
  return { state: found.state, progress, iteration, rollout, warnings }
}

const savedOf = ({ json, step, path }: State): z.infer<typeof savedSchema> => {
  const { data } = savedSchema.safeParse(json)
  if (data?.step === step) return data
  throw badInput(
    'bad-checkpoint',
    'is of another version of attune, or not of attune; remove it to use an earlier one',
    {
      file: path,
    },
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
  const json: z.infer<typeof savedSchema> = { ...progress, plan, log, ...more }
  const content = { files: stateFiles(policy.backend, policy.arenas), json }
  const protect = progress.best ? [progress.best.step] : []
  return writeState(run.checkpoints, progress.step, content, { keep, protect, bytes: stateBytes(policy.arenas) })
}

/** Throws a Fault 'disk' where the checkpoints of so many steps, at their most, and the result do not fit. */
export const requireRoom = async (
  run: Run,
  policy: Policy,
  kept: CheckpointSettings,
  steps: number,
  evaluates: boolean,
) => {
  const { adapter, arenas, counts } = policy
  const there = (await readdir(run.checkpoints).catch(() => [])).length
  // While one is written, the ones to keep are all there, and the best
  const most = Math.min(Math.ceil(steps / kept.saveEvery), kept.keep + 1) + Number(evaluates)
  const weights = (adapter ? counts.trainable : counts.parameters) * (adapter || kept.saveDtype === 'float32' ? 4 : 2)
  await requireSpace(run.dir, Math.max(0, most - there) * stateBytes(arenas) + weights, badInput)
}
