/** Settings of `attune compare`. */
import { z } from 'zod'
import { count, engineFields, on, positive, text, texts } from '../../recipes/trainer/schema.ts'

export const compareSchema = z.object({
  policies: z
    .array(z.string().min(1))
    .min(2)
    .describe(
      'two or more models, runs or adapters of the SFT policy; NAME=RUN names one, NAME=RUN,RUN,... is one policy trained with several seeds',
    ),
  sft: text('MODEL').describe('the policy that all of them began with: rewards and distances are measured from it'),
  data: texts('FILE').describe('held-out prompts; repeatable'),
  reward: texts('SPEC')
    .optional()
    .describe(
      'who judges, and may have trained a policy: a reward model, a module, a verifier or a server, as --reward of attune reinforce; NAME=SPEC names it; repeatable',
    ),
  judge: texts('SPEC')
    .optional()
    .describe(
      'who judges and trained none of them, in the same words; one of --reward and --judge is needed; repeatable',
    ),
  samples: count().default(4).describe('answers of each policy to each prompt'),
  maxNewTokens: count().default(128).describe('tokens of an answer at most'),
  temperature: positive().default(1).describe('of the answers, and of the policies whose KL is estimated'),
  maxSamples: count().optional().describe('use the first so many prompts'),
  checkpoints: on('of each run its end alone').describe(
    'every checkpoint that a run kept is a point of reward against KL',
  ),
  rewardTimeout: positive().default(60).describe('seconds that a call of a reward function may take'),
  output: text('DIR')
    .default('attune-compare')
    .describe('the report, and answers and rewards, which are never made twice'),
  device: engineFields.device,
  threads: engineFields.threads,
  seed: engineFields.seed.describe('of the answers: the same random numbers for every policy; and of resamples'),
})

export type CompareSettings = z.output<typeof compareSchema>
export type EngineSettings = Pick<CompareSettings, 'device' | 'threads'>
