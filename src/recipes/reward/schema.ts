/** The settings of `attune reward`; see ../schema.ts for what fields' notes mean. */

import { z } from 'zod'
import { rewardKinds } from '../../rewards/notes.ts'
import { flag, grouped, shared, text, weight } from '../trainer/schema.ts'

export const rewardSchema = z.object({
  ...grouped('Method', {
    kind: z
      .enum(rewardKinds)
      .optional()
      .describe('the objective (default: by the rows; pairs: pairwise, one best: best-of-n, lists: ranking)'),
    centerRewards: weight().default(0).describe('weight of what keeps the mean reward near 0; 0.01 is usual'),
    labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('how often the order of a pair is taken to be wrong'),
    margins: z
      .enum(['auto', 'ratings', 'none'])
      .default('auto')
      .describe('by how much the better response is to win: the column "margin" (auto), or the difference of ratings'),
    numScores: z.number().int().min(2).max(1000).default(10).describe('outputs of a probabilistic head: scores 1 to N'),
    head: text('FILE').optional().describe('begin with the score.weight of this safetensors file'),
    initBias: flag().describe("add a bias at which the mean reward of the rows' best responses is 0 before training"),
  }),
  ...shared({ learningRate: 1e-4, loraDropout: 0.05 }),
})

export type RewardConfig = z.output<typeof rewardSchema>
