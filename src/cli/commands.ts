/** Every command: its name, a line about it, and where it is. Loading one loads what it needs and no more. */
import type { Command } from './command.ts'

export type Entry = { name: string; group: string; summary: string; load(): Promise<Command> }

const look = 'Look'
const train = 'Train'
const use = 'Use'

export const commands: readonly Entry[] = [
  entry(
    'demo',
    look,
    'what alignment does, on a small model: offline, in about a minute',
    () => import('./commands/demo.ts'),
  ),
  entry(
    'scaling',
    look,
    'scaling laws: loss against compute for several sizes, from scratch',
    () => import('./commands/scaling.ts'),
  ),
  entry(
    'cartpole',
    look,
    'policy gradients on a pole: REINFORCE, PPO, and a PPO that never learns',
    () => import('./commands/cartpole.ts'),
  ),
  entry('sft', train, 'fine-tune on texts, conversations or completions', () => import('./commands/sft.ts')),
  entry(
    'dpo',
    train,
    'align by preferences: DPO and its family, pairs or ranked lists',
    () => import('./commands/dpo.ts'),
  ),
  entry('kto', train, 'align by replies that are good or bad, without pairs', () => import('./commands/kto.ts')),
  entry('reward', train, 'train a reward model on pairs or rankings', () => import('./commands/reward.ts')),
  entry('spin', train, 'self-play: the data against the last snapshot', () => import('./commands/spin.ts')),
  entry('asft', train, "self-play with a larger model's help", () => import('./commands/asft.ts')),
  entry(
    'reinforce',
    train,
    'rewards of its own samples, against a moving baseline',
    () => import('./commands/reinforce.ts'),
  ),
  entry('rloo', train, "rewards, each sample against the prompt's others", () => import('./commands/rloo.ts')),
  entry('grpo', train, 'rewards, each sample within its group', () => import('./commands/grpo.ts')),
  entry('online-dpo', train, 'its own samples, ranked by their rewards', () => import('./commands/onlineDpo.ts')),
  entry('ppo', train, 'rewards of its own samples, against a value function', () => import('./commands/ppo.ts')),
  entry('init', train, 'make a model with random weights', () => import('./commands/init.ts')),
  entry('merge', train, 'merge an adapter into its model', () => import('./commands/merge.ts')),
  entry('export', use, 'write a model for llama.cpp or transformers.js', () => import('./commands/export.ts')),
  entry('generate', use, 'complete prompts', () => import('./commands/generate.ts')),
  entry('best-of-n', use, 'the answer of most reward among N', () => import('./commands/bestOfN.ts')),
  entry('chat', use, 'talk with a model in the terminal', () => import('./commands/chat.ts')),
  entry('serve', use, 'an OpenAI-compatible server', () => import('./commands/serve.ts')),
  entry('score', use, 'log-probabilities of completions', () => import('./commands/score.ts')),
  entry('credit', use, 'which parts of a reply earned its reward', () => import('./commands/credit.ts')),
  entry('inspect', look, 'what a model is: parameters, types, tokenizer, files', () => import('./commands/inspect.ts')),
  entry('tokenize', look, 'text to ids and back, and chat templates', () => import('./commands/tokenize.ts')),
  entry(
    'compare',
    look,
    'compare policies by their answers: rewards, win rates, KL, and what can be concluded',
    () => import('./commands/compare.ts'),
  ),
  entry('runs', look, 'list, show, compare, resume, push and delete runs', () => import('./commands/runs.ts')),
]

function entry(name: string, group: string, summary: string, load: () => Promise<{ default: Command }>): Entry {
  return { name, group, summary, load: async () => (await load()).default }
}
