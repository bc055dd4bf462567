/** Settings of `attune compare`. */
import { z } from 'zod'
import {
  count,
  dataFields,
  engineFields,
  on,
  positive,
  text,
  texts,
  workersFields,
} from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'

const baseMeaning =
  'the model before training, from which rewards and KL are measured: a folder, a hub id or the name of a run'

export const compareSchema = z.object({
  policies: z
    .array(z.string().min(1))
    .min(1)
    .describe(
      'models, runs or adapters of the model before training; one alone is compared with that model; NAME=RUN names one, NAME=RUN,RUN,... is one way of training with several seeds',
    ),
  base: text('MODEL').optional().describe(`${baseMeaning} (required)`),
  sft: text('MODEL').optional().describe('another name of --base'),
  data: texts('FILE').describe('held-out prompts; repeatable'),
  reward: texts('SPEC')
    .optional()
    .describe(
      'a judge that may have trained one of the models: a reward model, a module, a verifier or a server, as --reward of attune reinforce; NAME=SPEC names it; repeatable',
    ),
  judge: texts('SPEC')
    .optional()
    .describe(
      'a judge that none of the models was trained on, given as --reward is; one of --reward and --judge is needed; repeatable',
    ),
  judgeMode: z
    .enum(['single', 'pairwise'])
    .optional()
    .describe(
      'what a judge that is a language model does: single (the default) grades each completion from 1 to 10; pairwise compares it with that of the model before training at the same place, in both orders',
    ),
  judgePrompt: text('FILE')
    .optional()
    .describe("a prompt for judges in place of attune's own, as `attune judge` takes it"),
  samples: count().default(4).describe('completions of each model per prompt'),
  maxNewTokens: count().default(128).describe('maximum number of tokens of a completion'),
  temperature: positive().default(1).describe('of sampling the answers; KL is estimated at this temperature, too'),
  column: dataFields.column,
  cluster: text('COLUMN')
    .optional()
    .describe(
      'a column of --data that says which prompts are alike, such as their kind: intervals and tests take prompts of one value together, and want six values or more (default: each prompt stands for itself)',
    ),
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
    'of the answers, with the same random numbers for every model, and of the bootstrap',
  ),
  ...workersFields,
})

export type CompareSettings = z.output<typeof compareSchema>

/** The model before training, by either of its names. @throws Fault bad-flag without one, or with two */
export const baseOf = ({ base, sft }: Pick<CompareSettings, 'base' | 'sft'>): string => {
  const model = base ?? sft
  if (model === undefined) throw badInput('bad-flag', `is required: ${baseMeaning}`, { flag: '--base' })
  if (base !== undefined && sft !== undefined && base !== sft)
    throw badInput('bad-flag', 'is another name of --base, and both are given', { flag: '--sft' })
  return model
}
export type EngineSettings = Pick<CompareSettings, 'device' | 'threads'>
