/** Every command: its name, a line about it, and where it is. Loading one loads what it needs and no more. */
import type { Command } from './command.ts'

export type Entry = { name: string; group: string; summary: string; load(): Promise<Command> }

const look = 'Look'
const data = 'Learn from data'
const samples = 'Learn from own answers'
const use = 'Use'
const measure = 'Measure'
const models = 'Models'
const labs = 'Labs'

export const commands: readonly Entry[] = [
  entry(
    'demo',
    look,
    'what alignment does, on a small model: offline, in about a minute',
    () => import('./commands/demo.ts'),
  ),
  entry('inspect', look, 'what a model is: parameters, types, tokenizer, files', () => import('./commands/inspect.ts')),
  entry('tokenize', look, 'text to ids and back, and chat templates', () => import('./commands/tokenize.ts')),
  entry('runs', look, 'list, show, compare, resume, push and delete runs', () => import('./commands/runs.ts')),
  entry('sft', data, 'fine-tune on texts, conversations or completions', () => import('./commands/sft.ts')),
  entry(
    'dpo',
    data,
    'align by preferences: DPO and its family, pairs or ranked lists',
    () => import('./commands/dpo.ts'),
  ),
  entry('kto', data, 'align by replies that are good or bad, without pairs', () => import('./commands/kto.ts')),
  entry('reward', data, 'train a reward model on pairs or rankings', () => import('./commands/reward.ts')),
  entry('spin', samples, 'self-play: the data against the last snapshot', () => import('./commands/spin.ts')),
  entry('asft', samples, "self-play with a larger model's help", () => import('./commands/asft.ts')),
  entry('reinforce', samples, 'rewards against a moving baseline', () => import('./commands/reinforce.ts')),
  entry('rloo', samples, "rewards against those of the prompt's other answers", () => import('./commands/rloo.ts')),
  entry('grpo', samples, 'rewards within a group of answers to one prompt', () => import('./commands/grpo.ts')),
  entry('ppo', samples, 'rewards against a value function', () => import('./commands/ppo.ts')),
  entry('online-dpo', samples, 'preferences among answers, by their rewards', () => import('./commands/onlineDpo.ts')),
  entry('generate', use, 'complete prompts', () => import('./commands/generate.ts')),
  entry('best-of-n', use, 'the best rewarded of N answers', () => import('./commands/bestOfN.ts')),
  entry('chat', use, 'talk with a model in the terminal', () => import('./commands/chat.ts')),
  entry('serve', use, 'an OpenAI-compatible server', () => import('./commands/serve.ts')),
  entry(
    'score',
    measure,
    'log-probabilities of completions; rewards, by a reward model',
    () => import('./commands/score.ts'),
  ),
  entry('credit', measure, 'which parts of a reply earned its reward', () => import('./commands/credit.ts')),
  entry(
    'compare',
    measure,
    'policies by their answers: rewards, win rates, KL, and what can be concluded',
    () => import('./commands/compare.ts'),
  ),
  entry('init', models, 'make a model with random weights', () => import('./commands/init.ts')),
  entry('merge', models, 'merge an adapter into its model', () => import('./commands/merge.ts')),
  entry('export', models, 'write a model for llama.cpp or transformers.js', () => import('./commands/export.ts')),
  entry(
    'scaling',
    labs,
    'scaling laws: loss against compute for several sizes, from scratch',
    () => import('./commands/scaling.ts'),
  ),
  entry(
    'cartpole',
    labs,
    'policy gradients on a pole: REINFORCE, PPO, and a PPO that never learns',
    () => import('./commands/cartpole.ts'),
  ),
]

function entry(name: string, group: string, summary: string, load: () => Promise<{ default: Command }>): Entry {
  return { name, group, summary, load: async () => (await load()).default }
}
