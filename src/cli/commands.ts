/** Every command: its name, its line in `attune --help`, and its file, which is loaded only when the command is run. */
import { methodKeys, methods } from '../recipes/methods.ts'
import type { Command } from './command.ts'

export type Entry = {
  name: string
  group: string
  summary: string
  /** @param argv what follows the name */
  load(argv: readonly string[]): Promise<Command>
}

const look = 'Look'
const use = 'Use'
const measure = 'Measure'
const models = 'Models'
const machines = 'Machines'
const labs = 'Labs'

export const commands: readonly Entry[] = [
  entry(
    'demo',
    look,
    'what alignment does, shown on a small model: offline, in about a minute',
    () => import('./commands/demo.ts'),
  ),
  entry(
    'create',
    look,
    'make a first project: settings, rows, a reward function',
    () => import('./commands/create.ts'),
  ),
  entry(
    'data',
    look,
    'what is in a file of rows, what each command could do with it, and conversions',
    () => import('./commands/data.ts'),
  ),
  entry(
    'import',
    look,
    'exports of labelling tools, leaderboards and judges as rows, and votes as a consensus',
    () => import('./commands/import.ts'),
  ),
  entry(
    'label',
    look,
    'label the rows of a file in the browser: rank, compare, rate or edit responses',
    () => import('./commands/label.ts'),
  ),
  entry(
    'studio',
    look,
    'label answers, watch runs, compare models and talk to them, in one local page',
    () => import('./commands/studio.ts'),
  ),
  entry('inspect', look, 'what a model is: parameters, types, tokenizer, files', () => import('./commands/inspect.ts')),
  entry('tokenize', look, 'text to token ids and back, and chat templates', () => import('./commands/tokenize.ts')),
  {
    name: 'check',
    group: look,
    summary: 'see what would be trained, token by token, and what is wrong with the rows',
    load: async (argv) => (await import('./commands/check.ts')).checkCommand(argv),
  },
  entry('runs', look, 'list, show, compare, resume, push and delete runs', () => import('./commands/runs.ts')),
  ...methodKeys.map((key) => ({
    name: methods[key].name,
    group: methods[key].group,
    summary: methods[key].brief,
    load: async () => (await import('./commands/train.ts')).trainCommand(key),
  })),
  entry('generate', use, 'complete prompts', () => import('./commands/generate.ts')),
  entry('best-of-n', use, 'the completion with the highest reward of N', () => import('./commands/bestOfN.ts')),
  entry('chat', use, 'talk with a model in the terminal', () => import('./commands/chat.ts')),
  entry(
    'critique',
    use,
    'let a model criticise and revise its answers under a constitution: rows to learn from',
    () => import('./commands/critique.ts'),
  ),
  entry('serve', use, 'an OpenAI-compatible server', () => import('./commands/serve.ts')),
  entry('worker', machines, 'compute a part of the runs of other machines', () => import('./commands/worker.ts')),
  entry('workers', machines, 'the workers and runs at a Redis', () => import('./commands/workers.ts')),
  entry(
    'rank',
    measure,
    'which of several candidates for a prompt are better, by a pair ranker',
    () => import('./commands/rank.ts'),
  ),
  entry(
    'score',
    measure,
    'log-probabilities of completions; rewards of a reward model, hidden states of an encoder',
    () => import('./commands/score.ts'),
  ),
  entry(
    'credit',
    measure,
    'how much each token and sentence of a completion adds to its reward',
    () => import('./commands/credit.ts'),
  ),
  entry(
    'compare',
    measure,
    'compare policies by their completions: rewards, win rates, KL, and what follows from them',
    () => import('./commands/compare.ts'),
  ),
  entry(
    'judge',
    measure,
    'let a model judge answers: pairs in both orders, grades, with a reference, or by probabilities',
    () => import('./commands/judge.ts'),
  ),
  entry(
    'winrate',
    measure,
    'which model is better, from judgements: win rates, at equal length, ratings, by category',
    () => import('./commands/winrate.ts'),
  ),
  entry(
    'bias',
    measure,
    'may a judge be believed: position, length, mathematics, itself, agreement with people',
    () => import('./commands/bias.ts'),
  ),
  entry('agree', measure, 'how far annotators or judges agree, beyond chance', () => import('./commands/agree.ts')),
  entry(
    'metrics',
    measure,
    'how near completions are to references: BLEU, ROUGE, BERTScore',
    () => import('./commands/metrics.ts'),
  ),
  entry('init', models, 'make a model with random weights', () => import('./commands/init.ts')),
  entry('merge', models, 'merge an adapter into its base model', () => import('./commands/merge.ts')),
  entry('export', models, 'convert a model for llama.cpp or transformers.js', () => import('./commands/export.ts')),
  entry(
    'scaling',
    labs,
    'scaling laws: loss against compute for several model sizes, trained from scratch',
    () => import('./commands/scaling.ts'),
  ),
  entry(
    'cartpole',
    labs,
    'policy gradients on CartPole: REINFORCE, PPO, and a PPO that never learns',
    () => import('./commands/cartpole.ts'),
  ),
]

function entry(name: string, group: string, summary: string, load: () => Promise<{ default: Command }>): Entry {
  return { name, group, summary, load: async () => (await load()).default }
}
