/** The settings of `attune reward`. */
import { z } from 'zod'
import { pairLosses } from '../../objectives/pairRanking.ts'
import { rewardKinds } from '../../rewards/notes.ts'
import { flag, grouped, sharedFields, text, weight } from '../trainer/fields.ts'
import { learningRates } from '../trainer/learningRates.ts'
import { withLike } from '../trainer/trlDefaults.ts'

const rewardSettings = z.object({
  ...grouped('Method', {
    kind: z
      .enum([...rewardKinds, 'pair'])
      .optional()
      .describe(
        'the objective (default: by the rows; pairs: pairwise, one best: best-of-n, lists: ranking); pair trains a pair ranker from an encoder',
      ),
    pairLoss: z
      .enum(pairLosses)
      .default('difference')
      .describe('loss of a pair ranker: of the difference of both scores, or of each score with a label'),
    centerRewards: weight().default(0).describe('weight of a penalty that keeps the mean reward near 0; 0.01 is usual'),
    labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('probability that the order of a pair is wrong'),
    margins: z
      .enum(['auto', 'ratings', 'none'])
      .default('auto')
      .describe(
        'margin by which the better response should win: the column "margin" (auto), or the difference of the ratings',
      ),
    numScores: z
      .number()
      .int()
      .min(2)
      .max(1000)
      .default(10)
      .describe('N of a probabilistic reward model, which gives a distribution over the scores 1 to N'),
    head: text('FILE').optional().describe('start from the score.weight in this safetensors file'),
    initBias: flag().describe(
      'add a bias with which the best responses of the rows have a mean reward of 0 before training',
    ),
  }),
  ...sharedFields({ rates: learningRates.reward, loraDropout: 0.05 }),
})

export const rewardSchema = withLike('reward', rewardSettings)

export type RewardConfig = z.output<typeof rewardSchema>
