/** Simulates one loss of power, and resumes the run. */
import { join } from 'node:path'
import { newestState } from '../../src/checkpoint/state.node.ts'
import { drawsOf, outcomeOf, type RunResult, resultOf } from './campaign.ts'
import { type ModelName, models, treeAfterLoss, writeTree } from './powerLoss.ts'
import type { Recorded } from './recorded.ts'
import type { Warm } from './warm.ts'

export type Loss = {
  result: RunResult
  why: string
  /** The moment and the disk model. */
  what: string
  /** Whether a checkpoint had been written and none is left. */
  begunAnew: boolean
}

export const losePower = async (
  { log, root, run, cache, argv, scenario, whole }: Recorded,
  warm: Warm,
  { seed, n }: { seed: number; n: number },
): Promise<Loss> => {
  const draws = drawsOf(seed, 1, n)
  const model = draws.pick(Object.keys(models) as ModelName[])
  const count = draws.below(log.operations.length + 1)
  writeTree(root, treeAfterLoss(log, count, model, draws))
  const { state } = await newestState(join(run, 'checkpoints'))
  const written = log.operations
    .slice(0, count)
    .some((op) => op.name === 'rename' && op.to.startsWith(join(run, 'checkpoints')))
  const ended = await warm.run([...argv, ...scenario.resumeFlags], cache)
  const { result, why } = resultOf(ended, () => outcomeOf(run, scenario), whole)
  const what = `${model} after operation ${count} of ${log.operations.length}`
  const lost = result === 'refused' && state
  return {
    what,
    begunAnew: written && !state,
    ...(lost
      ? { result: 'not refused by name', why: `a sound checkpoint is there, and yet: ${why}` }
      : { result, why }),
  }
}
