/** Settings of the classic-control lab, and its methods. */
import { z } from 'zod'

export const methodNames = [
  'reinforce',
  'reinforce-batch',
  'ppo',
  'ppo-resampled',
  'ppo-resampled-only',
  'ppo-crossed-only',
  'ppo-mended',
] as const
export type Method = (typeof methodNames)[number]

/** Episodes for each update of `reinforce-batch`, one in each environment. */
export const episodesPerBatch = 4

export const methodNotes: Record<Method, string> = {
  reinforce: 'REINFORCE, one update per episode',
  'reinforce-batch': `REINFORCE, one update per ${episodesPerBatch} episodes`,
  ppo: 'PPO: stored actions, GAE, a value network',
  'ppo-resampled': "the tutorial's PPO, both faults",
  'ppo-resampled-only': "the tutorial's PPO, actions drawn anew",
  'ppo-crossed-only': "the tutorial's PPO, steps crossed",
  'ppo-mended': "the tutorial's PPO, both mended",
}

export const cartpoleSchema = z.object({
  method: z
    .array(z.enum([...methodNames, 'all']))
    .min(1)
    .default(['all'])
    .meta({ value: 'NAMES', separator: ',' })
    .describe(
      "what is trained: REINFORCE and PPO done right, and the tutorial's PPO with both, one or none of its faults",
    ),
  seeds: z.number().int().positive().max(1000).default(5).describe('how many seeds each method is trained with'),
  seed: z
    .number()
    .int()
    .nonnegative()
    .max(2 ** 31)
    .default(42)
    .describe('first seed; the others follow it'),
  episodes: z
    .number()
    .int()
    .positive()
    .max(100_000)
    .default(1000)
    .describe("training episodes of REINFORCE and of the tutorial's PPO"),
  steps: z
    .number()
    .int()
    .positive()
    .max(10_000_000)
    .default(100_000)
    .describe('environment steps that PPO trains for, those of all its poles together'),
  envs: z.number().int().positive().max(256).default(8).describe('number of poles that PPO plays at once'),
  output: z
    .string()
    .min(1)
    .default('attune-cartpole')
    .meta({ value: 'DIR' })
    .describe('the folder to write; the results of an earlier lab in it are replaced'),
  jobs: z.number().int().positive().max(64).optional().describe('runs at once (default: one a core)'),
  open: z.boolean().default(false).describe('open the report in a browser'),
})

export type Settings = z.output<typeof cartpoleSchema>
/** What one training run needs of them. */
export type RunSettings = Pick<Settings, 'episodes' | 'steps' | 'envs'>

/** The methods to train, in the order of `methodNames`; 'all' stands for every one. */
export const chosenMethods = ({ method }: Pick<Settings, 'method'>): Method[] =>
  methodNames.filter((name) => method.includes('all') || method.includes(name))
