/** Settings of `attune compare`. */
import { z } from 'zod'
import { count, dataFields, engineFields, on, positive, text, texts } from '../../recipes/trainer/fields.ts'

export const compareSchema = z.object({
  policies: z
    .array(z.string().min(1))
    .min(1)
    .describe(
      'models, runs or adapters of the SFT policy; one alone is compared with the SFT policy; NAME=RUN names one, NAME=RUN,RUN,... is one policy trained with several seeds',
    ),
  sft: text('MODEL').describe('the SFT policy that all of them were trained from: rewards and KL are measured from it'),
  data: texts('FILE').describe('held-out prompts; repeatable'),
  reward: texts('SPEC')
    .optional()
    .describe(
      'a judge that may have trained one of the policies: a reward model, a module, a verifier or a server, as --reward of attune reinforce; NAME=SPEC names it; repeatable',
    ),
  judge: texts('SPEC')
    .optional()
    .describe(
      'a judge that none of the policies was trained on, given as --reward is; one of --reward and --judge is needed; repeatable',
    ),
  samples: count().default(4).describe('completions of each policy per prompt'),
  maxNewTokens: count().default(128).describe('maximum number of tokens of a completion'),
  temperature: positive().default(1).describe('of sampling the answers; KL is estimated at this temperature, too'),
  column: dataFields.column,
  maxSamples: count().optional().describe('use the first so many prompts'),
  chat: z
    .boolean()
    .optional()
    .describe("give each plain prompt as a user's message (default: if one of the runs was trained with --chat)"),
  checkpoints: on('compare the final model of each run alone').describe(
    'compare every checkpoint that a run kept, too: each is a point of reward against KL',
  ),
  rewardTimeout: positive().default(60).describe('seconds that a call of a reward function may take'),
  output: text('DIR')
    .default('attune-compare')
    .describe('folder of the report, the answers and the rewards; what is there already is not computed again'),
  device: engineFields.device,
  threads: engineFields.threads,
  seed: engineFields.seed.describe(
    'of the answers, with the same random numbers for every policy, and of the bootstrap',
  ),
})

export type CompareSettings = z.output<typeof compareSchema>
export type EngineSettings = Pick<CompareSettings, 'device' | 'threads'>
