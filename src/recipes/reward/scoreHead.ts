/** The score head that a run begins with: a file's, the model's own, or a fresh one of the size that the kind needs. */

import { openSafetensors } from '../../checkpoint/safetensors.ts'
import type { StoredTensor } from '../../checkpoint/stored.ts'
import { scoreWeight } from '../../models/architecture.ts'
import type { Base } from '../../models/merge.ts'
import { asRewardModel, newScoreWeight } from '../../models/scored.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { badInput } from '../../util/fault.ts'
import { fileSource } from '../../util/files.node.ts'
import { kindFor, type RewardRows, refuseKind } from './kind.ts'
import type { RewardConfig } from './schema.ts'

/** Throws Faults 'no-score-head' for a file without score.weight [outputs, C], and those of reading it. */
export const openHead = async (file: string): Promise<StoredTensor> => {
  const { tensors } = await openSafetensors(await fileSource(file))
  const head = tensors.get(scoreWeight)
  if (head?.shape.length === 2) return head
  const names = [...tensors.keys()].slice(0, 3).join(', ')
  throw badInput('no-score-head', `holds no matrix ${scoreWeight}; it has ${names || 'no tensors'}`, { file })
}

/**
 * What `openPolicy` does to the model. `chosen` is known after it: the rows to train on say which kind, held-out rows must fit.
 * @param start the head of --head
 */
export const headOf = (
  config: RewardConfig,
  { rows, evalRows }: { rows: RewardRows; evalRows?: RewardRows },
  start: StoredTensor | undefined,
) => {
  let chosen: ReturnType<typeof kindFor> | undefined
  return {
    withHead: (base: Base): Base => {
      const isReward = base.architecture.scores === 'alone'
      const outputs = start?.shape[0] ?? (isReward ? base.config.num_labels : undefined)
      chosen = kindFor(config, rows, outputs)
      refuseKind(chosen.kind, config, rows)
      if (evalRows) refuseKind(chosen.kind, config, evalRows, 'held-out rows')
      refuseHead(chosen.kind, outputs, start ? 'the head of --head' : "the model's score head")
      if (start && start.shape[1] !== base.config.hidden_size)
        throw badInput(
          'wrong-shape',
          `${scoreWeight} is [${start.shape}]; the model's hidden size is ${base.config.hidden_size}`,
          {
            file: config.head,
          },
        )
      if (isReward && !start) return base
      const labels = chosen.kind === 'probabilistic' ? config.numScores : 1
      return asRewardModel(base, start ?? newScoreWeight(base.config, labels, config.seed))
    },
    chosen: () => chosen!,
  }
}

/** Throws a Fault 'bad-flag' where a kind needs one output, or many, and the head that there is has not. */
const refuseHead = (kind: RewardKind, outputs: number | undefined, whose: string): void => {
  if (outputs === undefined || (kind === 'probabilistic' ? outputs > 1 : outputs === 1)) return
  const advice = kind === 'probabilistic' ? 'pairwise, best-of-n or ranking' : 'probabilistic'
  throw badInput('bad-flag', `${kind} does not go with ${whose}, which has ${outputs} outputs; use ${advice}`, {
    flag: '--kind',
  })
}
