/**
 * The training methods: what `attune --help` and `attune METHOD --help` say of each, and where its settings are. Every
 * command, library function and check that goes over all methods takes them from this table.
 *
 * Nothing is loaded with it: `attune --help` needs neither the engine nor a schema. load.ts loads a method itself.
 */
import type { z } from 'zod'

export type Method<S extends z.ZodObject = z.ZodObject> = {
  /** Of the command, `attune NAME`, and in run.json. */
  name: string
  /** The heading that it stands under in `attune --help`. */
  group: string
  /** Its line in `attune --help`. */
  brief: string
  /** The first sentence of its own help. */
  summary: string
  /** A command line that works, without `attune`. */
  example: string
  schema(): Promise<S>
}

const fromData = 'Learn from data'
const fromCompletions = 'Learn from own answers'

/** In the order of the help. */
export const methods = {
  sft: {
    name: 'sft',
    group: fromData,
    brief: 'fine-tune on texts, conversations or completions (SFT)',
    summary: 'Supervised fine-tuning (SFT) on texts, conversations, or prompts with completions',
    example: 'sft --model HuggingFaceTB/SmolLM2-135M --data CHATS.jsonl --epochs 1 --lora-r 16',
    schema: async () => (await import('./trainer/schema.ts')).sftSchema,
  },
  dpo: {
    name: 'dpo',
    group: fromData,
    brief: 'learn from preferences: DPO and its family, on pairs or rankings',
    summary: 'Learn from preferences: DPO and its family, on pairs of responses or rankings of several (Plackett-Luce)',
    example: 'dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data PAIRS.jsonl --beta 0.1 --lora-r 32',
    schema: async () => (await import('./trainer/schema.ts')).preferenceSchema,
  },
  kto: {
    name: 'kto',
    group: fromData,
    brief: 'learn from single completions that are good or bad (KTO)',
    summary: 'Learn from single completions that are marked good or bad, without pairs (KTO, APO-zero)',
    example: 'kto --model HuggingFaceTB/SmolLM2-135M-Instruct --data THUMBS.jsonl --undesirable-weight 1.5',
    schema: async () => (await import('./trainer/schema.ts')).ktoSchema,
  },
  reward: {
    name: 'reward',
    group: fromData,
    brief: 'train a reward model on pairs or rankings',
    summary: 'Train a reward model on pairs of responses, rankings or best-of-N choices',
    example: 'reward --model HuggingFaceTB/SmolLM2-135M-Instruct --data PAIRS.jsonl --lora-r 16 --eval-split 0.1',
    schema: async () => (await import('./reward/schema.ts')).rewardSchema,
  },
  spin: {
    name: 'spin',
    group: fromCompletions,
    brief: 'self-play against the last snapshot of the model (SPIN)',
    summary: "Self-play: learn to prefer the data to the completions of the model's last snapshot (SPIN, T-SPIN)",
    example: 'spin --model HuggingFaceTB/SmolLM2-135M-Instruct --data CHATS.jsonl --iterations 3 --lora-r 32',
    schema: async () => (await import('./selfplay/schema.ts')).spinSchema,
  },
  asft: {
    name: 'asft',
    group: fromCompletions,
    brief: 'self-play with the help of stronger models (aSFT)',
    summary:
      "Self-play with helper models: learn to rank the data first, then the helpers' completions, then those of the model's last snapshot (aSFT)",
    example: 'asft --model HuggingFaceTB/SmolLM2-135M-Instruct --data CHATS.jsonl --helper column:better --lora-r 32',
    schema: async () => (await import('./selfplay/schema.ts')).asftSchema,
  },
  distill: {
    name: 'distill',
    group: fromCompletions,
    brief: 'distillation: learn from a larger model on own completions (GKD)',
    summary:
      'On-policy distillation: learn at each token of its own completions what a teacher model would have said there (GKD, forward and reverse KL)',
    example:
      'distill --model HuggingFaceTB/SmolLM2-135M-Instruct --teacher HuggingFaceTB/SmolLM2-360M-Instruct --data CHATS.jsonl --lmbda 1 --lora-r 32',
    schema: async () => (await import('./distill/schema.ts')).distillSchema,
  },
  selfreward: {
    name: 'selfreward',
    group: fromCompletions,
    brief: 'self-rewarding: write prompts, answer and score them, and learn from the scores',
    summary:
      'Self-rewarding: the model writes prompts, answers them, scores its answers as a judge, and learns to prefer the best (iterative DPO)',
    example:
      'selfreward --model HuggingFaceTB/SmolLM2-135M-Instruct --data CHATS.jsonl --rankings RANKED.jsonl --iterations 2 --lora-r 32',
    schema: async () => (await import('./selfreward/schema.ts')).selfRewardSchema,
  },
  reinforce: {
    name: 'reinforce',
    group: fromCompletions,
    brief: 'REINFORCE: policy gradient with a moving baseline',
    summary: 'Learn from the rewards of its own completions, less a moving baseline (REINFORCE)',
    example:
      'reinforce --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --reward REWARD-MODEL --lora-r 32',
    schema: async () => (await import('./rl/schema.ts')).reinforceSchema,
  },
  rloo: {
    name: 'rloo',
    group: fromCompletions,
    brief: 'RLOO: the baseline is the mean reward of the other completions of a prompt',
    summary:
      'Learn from the rewards of its own completions, each less the mean of the others of its prompt (REINFORCE leave-one-out, RLOO)',
    example: 'rloo --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --reward REWARD-MODEL --lora-r 32',
    schema: async () => (await import('./rl/schema.ts')).rlooSchema,
  },
  grpo: {
    name: 'grpo',
    group: fromCompletions,
    brief: 'GRPO: rewards relative to the group of completions of a prompt',
    summary:
      'Learn from the rewards of its own completions, relative to the group of completions of the same prompt (GRPO, DAPO, Dr. GRPO, GSPO)',
    example: 'grpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data SUMS.jsonl --reward exact:answer --lora-r 32',
    schema: async () => (await import('./rl/schema.ts')).grpoSchema,
  },
  ppo: {
    name: 'ppo',
    group: fromCompletions,
    brief: 'PPO: advantages from a learned value function',
    summary: 'Learn from the rewards of its own completions, with advantages from a value function (PPO, PPO-ptx)',
    example: 'ppo --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --reward REWARD-MODEL --lora-r 32',
    schema: async () => (await import('./rl/ppoSchema.ts')).ppoSchema,
  },
  onlineDpo: {
    name: 'online-dpo',
    group: fromCompletions,
    brief: 'online DPO: preferences between its own completions, by their rewards',
    summary: 'Learn from preferences between its own completions, ranked by their rewards (online DPO, K-wise)',
    example:
      'online-dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --reward REWARD-MODEL --lora-r 32',
    schema: async () => (await import('./rl/schema.ts')).onlineDpoSchema,
  },
} satisfies Record<string, Method>

export type MethodKey = keyof typeof methods

/** The zod schema of a method's settings. */
export type SchemaOf<K extends MethodKey> = Awaited<ReturnType<(typeof methods)[K]['schema']>>

export const methodKeys = Object.keys(methods) as MethodKey[]
