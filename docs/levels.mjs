/**
 * Trains and compares the policies of docs/levels.md, and writes the results into the page, between the two marks.
 * `node docs/levels.mjs FOLDER --model MODEL --alpaca-eval DIR --fastchat DIR [--small]`. MODEL is SmolLM2-135M-Instruct; DIR are clones of
 * github.com/tatsu-lab/alpaca_eval and github.com/lm-sys/FastChat. Finished runs are kept and interrupted ones resume. `--small` only tests that
 * every part works, and does not change the page.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { winnersFirst } from '../dist/labs/compare/verdicts.js'
import { wilson } from '../dist/statistics/intervals.js'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'
import { attune, eventsOf, fill, sideBySide, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const {
  values: flags,
  positionals: [folder],
} = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string' },
    'alpaca-eval': { type: 'string' },
    fastchat: { type: 'string' },
    small: { type: 'boolean', default: false },
  },
})
if (!folder || !flags.model || !flags['alpaca-eval'] || !flags.fastchat)
  throw new Error('give FOLDER --model MODEL --alpaca-eval DIR --fastchat DIR')
const { model: base, small } = flags

/** `answer`: tokens of an answer that a reward model sees and a policy writes. The full sizes take some three hours on two idle cores. */
const sizes = small
  ? {
      answer: 16,
      rewardSteps: 2,
      rewardBatch: 4,
      policySteps: 2,
      policyBatch: 8,
      rewardSeeds: [1],
      seeds: [1, 2],
      held: 12,
      heldPairs: 8,
    }
  : {
      answer: 64,
      rewardSteps: 64,
      rewardBatch: 8,
      policySteps: 32,
      policyBatch: 8,
      rewardSeeds: [1, 2],
      seeds: [1, 2, 3],
      held: 96,
      heldPairs: 160,
    }

const at = (...names) => join(resolve(folder), ...names)
mkdirSync(at('data'), { recursive: true })
mkdirSync(at('runs'), { recursive: true })
const write = (name, all) => writeFileSync(at('data', name), all.map((row) => `${JSON.stringify(row)}\n`).join(''))
// Preferences: GPT-4 between the answer of text-davinci-003 and that of another model, AlpacaEval's published annotations

const tokenizer = await loadTokenizerFolder(base)
const idsOf = (text) => tokenizer.encode(text, { specialTokens: false }).ids
/** The first tokens of an answer: all that a policy may write. */
const beginning = (text) => tokenizer.decode(idsOf(text.trim()).slice(0, sizes.answer))

/** A hash of the text as a number from 0 to 1. */
const uniform = (text) => {
  let hash = 2166136261
  for (const c of text) hash = Math.imul(hash ^ c.codePointAt(0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507)
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32
}

const others = [
  'text_davinci_001',
  'alpaca-7b',
  'phi-2',
  'falcon-7b-instruct',
  'falcon-40b-instruct',
  'alpaca-farm-ppo-human',
]
/** Kinds of prompts of which the reward models and policies see some. Those of the others are held out. */
const taughtKinds = ['selfinstruct', 'oasst', 'helpful_base']
const longestPrompt = 64

const annotated = others.flatMap((name) => {
  const rows = JSON.parse(
    readFileSync(join(flags['alpaca-eval'], 'results', name, 'alpaca_eval_gpt4', 'annotations.json'), 'utf8'),
  )
  return rows.flatMap(({ instruction, dataset, preference, output_1, output_2 }) => {
    const answers = [output_1, output_2].map(beginning)
    if (![1, 2].includes(preference) || answers.includes('') || answers[0] === answers[1]) return []
    if (idsOf(instruction).length > longestPrompt) return []
    const [chosen, rejected] = preference === 1 ? answers : answers.toReversed()
    const part = !taughtKinds.includes(dataset) ? 'held' : uniform(instruction) < 0.6 ? 'taught' : 'third'
    return [{ part, prompt: instruction, chosen, rejected }]
  })
})
const part = (name) => annotated.filter((row) => row.part === name).map(({ part: _, ...row }) => row)
for (const name of ['taught', 'third']) write(`${name}-pairs.jsonl`, part(name))
const byChance = part('held').toSorted((a, b) => uniform(a.chosen) - uniform(b.chosen))
write('held-pairs.jsonl', byChance.slice(0, sizes.heldPairs))
// The control: the same pairs, each the right or the wrong way round by chance
write(
  'shuffled-pairs.jsonl',
  part('taught').map((row) =>
    uniform(`${row.rejected}${row.prompt}`) < 0.5 ? row : { ...row, chosen: row.rejected, rejected: row.chosen },
  ),
)
write(
  'taught.jsonl',
  [...new Set(part('taught').map(({ prompt }) => prompt))].map((prompt) => ({ prompt })),
)

// Held-out prompts of other kinds: those of MT-Bench and of Vicuna's questions, each with its category

const questions = ['vicuna_bench', 'mt_bench'].flatMap((name) =>
  readFileSync(join(flags.fastchat, 'fastchat', 'llm_judge', 'data', name, 'question.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ category, turns: [prompt] }) => ({ prompt, category })),
)
write(
  'held.jsonl',
  questions.filter((_, i) => i % (questions.length / sizes.held) < 1),
)

// Runs: finished ones are kept, interrupted ones resume

const ended = (dir) => existsSync(join(dir, 'adapter'))
const train = async (method, name, ...args) => {
  const dir = at('runs', name)
  if (ended(dir)) return dir
  const more = existsSync(join(dir, 'run.json')) ? ['--resume'] : []
  const engine = ['--compute', 'int8', '--threads', 1]
  await attune(method, '--model', base, '--chat', ...args, ...engine, '--epochs', 1000, '--output', dir, ...more)
  return dir
}

const rewardModel = (name, pairs, seed, ...kind) =>
  train(
    ...['reward', name, '--data', at('data', `${pairs}-pairs.jsonl`), '--eval-data', at('data', 'held-pairs.jsonl')],
    ...['--max-steps', sizes.rewardSteps, '--eval-every', sizes.rewardSteps, '--batch-size', sizes.rewardBatch],
    ...['--lora-r', 16, '--best-metric', 'none', '--seed', seed, ...kind],
  )
const scalar = ['--kind', 'pairwise', '--center-rewards', 0.01]
const probabilistic = ['--kind', 'probabilistic']
const [shuffled, third, ...taught] = await sideBySide([
  () => rewardModel('rm-shuffled', 'shuffled', 1, ...scalar),
  () => rewardModel('rm-third', 'third', 9, ...scalar),
  ...sizes.rewardSeeds.map((seed) => () => rewardModel(`rm-scalar-${seed}`, 'taught', seed, ...scalar)),
  ...sizes.rewardSeeds.map((seed) => () => rewardModel(`rm-probabilistic-${seed}`, 'taught', seed, ...probabilistic)),
])
const count = sizes.rewardSeeds.length
const rewardModels = { scalar: taught.slice(0, count), probabilistic: taught.slice(count), shuffled: [shuffled] }

const json = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'))
/** The deviation of a reward model's rewards, that was saved with it. */
const deviationOf = (dir) => json(dir, 'adapter', 'reward.json').std
/** In deviations of the reward, for a nat. */
const klCoef = 0.05

const policy = (method, name, reward, seed, ...more) =>
  train(
    ...[method, name, '--data', at('data', 'taught.jsonl'), '--reward', reward, '--seed', seed],
    ...['--batch-size', sizes.policyBatch, '--max-new-tokens', sizes.answer],
    ...['--lora-r', 32, '--lora-alpha', 64, '--lora-dropout', 0.1, '--lora-target', 'q_proj,v_proj'],
    ...['--kl-coef', (klCoef * deviationOf(reward)).toPrecision(3), '--kl-budget', 10],
    ...['--save-every', 10, '--keep', 1, '--no-keep-rollouts', ...more],
  )
const steps = ['--max-steps', sizes.policySteps, '--learning-rate', 1e-3]
// Two steps a rollout, each at half the rate
const ppo = ['--num-iterations', 2, '--max-steps', 2 * sizes.policySteps, '--learning-rate', 5e-4]
const levels = {
  'level-1': ['reinforce', rewardModels.scalar, ...steps],
  'level-2': ['reinforce', rewardModels.probabilistic, ...steps],
  'level-2-plain': ['reinforce', rewardModels.probabilistic, ...steps, '--no-regulariser'],
  ppo: ['ppo', rewardModels.scalar.slice(0, 1), ...ppo],
  // Learns from preferences that mean nothing
  control: ['reinforce', rewardModels.shuffled, ...steps],
}
// Seed by seed, so that an interrupted study has the same seeds of every level
const planned = sizes.seeds.flatMap((seed) =>
  Object.entries(levels).flatMap(([level, [method, models, ...more]]) =>
    models.map((model, k) => ({
      level,
      method,
      name: `${level}-${k + 1}-${seed}`,
      model,
      seed: 10 * (k + 1) + seed,
      more,
    })),
  ),
)
const trained = await sideBySide(
  planned.map(
    ({ method, name, model, seed, more }) =>
      () =>
        policy(method, name, model, seed, ...more),
  ),
)
const runs = Object.fromEntries(
  Object.keys(levels).map((name) => [name, trained.filter((_, i) => planned[i].level === name)]),
)

// The comparison

/** Levels with all their runs: `--reward` is what some of them were trained on. */
const compared = (output, policies, judged) =>
  attune(
    ...['compare', ...Object.entries(policies).map(([name, dirs]) => `${name}=${dirs.join(',')}`), '--base', base],
    ...['--data', at('data', 'held.jsonl'), '--cluster', 'category', ...judged, '--samples', 1],
    ...['--max-new-tokens', sizes.answer, '--no-checkpoints', '--output', at(output)],
  )
const { ppo: ppoRuns, control: controlRuns, ...levelRuns } = runs
const ownModels = [...rewardModels.scalar, ...rewardModels.probabilistic]
await compared('compare', levelRuns, ['--judge', third, ...ownModels.flatMap((dir) => ['--reward', dir])])
const reinforceRuns = levelRuns['level-1'].filter((_, i) => i % rewardModels.scalar.length === 0)
await compared('beside', { reinforce: reinforceRuns, ppo: ppoRuns, control: controlRuns }, [
  ...['--judge', third, '--reward', ownModels[0]],
  ...ownModels.slice(1).flatMap((dir) => ['--judge', dir]),
])
const found = winnersFirst(json(at('compare', 'findings.json')))
const beside = winnersFirst(json(at('beside', 'findings.json')))

// The page

const signed = (x) => (Math.abs(x) < 0.005 ? '0.00' : `${x > 0 ? '+' : ''}${x.toFixed(2)}`)
const span = (interval, text) =>
  interval ? `${text(interval.value)} (${text(interval.low)} to ${text(interval.high)})` : '–'
const percent = (x) => (100 * x).toFixed(0)
const judges = found.judges.map(({ name }) => name)
const rewardsOf = ({ policies, table: cells }) =>
  policies.map(({ name }) => [
    name,
    ...judges.map((judge) => {
      const { reward, standardised } = cells.find((cell) => cell.policy === name && cell.judge === judge)
      return `${span(standardised, signed)} · ${reward.value.toPrecision(4)}`
    }),
  ])
const ratesOf = (pairs) =>
  pairs.map((pair) => [
    ...[`${pair.a} over ${pair.b}`, pair.judge, span(pair.winRate, percent), pair.corrected.toPrecision(2)],
    ...[span(pair.controlled?.winRate, percent), span(pair.seeds, percent)],
  ])
const stylesOf = ({ policies }) =>
  policies.map(({ name, tokens, kl, distinct }) => [
    ...[name, tokens.value.toFixed(1), kl ? span(kl.k1, (x) => x.toFixed(2)) : '–'],
    ...distinct.map((x) => x.toFixed(3)),
  ])
/** The judge that no policy has learnt from. */
const [outsider] = judges
/** A run ends before its last rollout where one has more than the budget of KL. */
const rolloutsOf = (dir) => Math.max(...eventsOf(dir).flatMap(({ rollout }) => rollout ?? []))
/** Of each reward model and of each run under that judge: the final reward, in deviations of the model before training. */
const byRewardModel = ({ frontiers }, name, dirs) => {
  const { paths } = frontiers.find(({ judge }) => judge === outsider)
  const ends = paths.filter(({ policy }) => policy === name).map(({ points }) => points.at(-1))
  const numbers = dirs.map((dir) => /-(\d+)-\d+$/.exec(dir)[1])
  return [...new Set(numbers)].map((number) => {
    const own = ends.filter((_, i) => numbers[i] === number)
    const rewards = own.map(({ reward }) => reward.value)
    return [
      ...[name, number, rewards.map(signed).join(', '), signed(rewards.reduce((a, b) => a + b) / rewards.length)],
      own.map(({ kl }) => kl.value.toFixed(1)).join(', '),
      dirs
        .filter((_, i) => numbers[i] === number)
        .map(rolloutsOf)
        .join(', '),
    ]
  })
}
const lastEvaluation = (dir) => eventsOf(dir).findLast((event) => event.eval_accuracy !== undefined)
const modelRows = [...ownModels, shuffled, third].map((dir) => {
  const { eval_accuracy: accuracy, eval_loss: loss } = lastEvaluation(dir)
  const { low, high } = wilson(Math.round(accuracy * sizes.heldPairs), sizes.heldPairs)
  const share = `${percent(accuracy)} (${percent(low)} to ${percent(high)})`
  return [dir.split('/').at(-1), share, loss.toFixed(3), deviationOf(dir).toPrecision(3)]
})
const seconds = [...ownModels, shuffled, third, ...trained].flatMap((dir) =>
  eventsOf(dir).map((event) => event.seconds ?? 0),
)
const hours = seconds.reduce((a, b) => a + b) / 3600
const target = join(here, 'levels')
const plots = ['win-rates-sft.svg', 'win-rates.svg', 'reward-kl-1.svg']
const figures = [
  `Of ${trained.length} policies. Training them and the reward models took ${hours.toFixed(1)} hours of one core. Made by \`node docs/levels.mjs FOLDER --model MODEL --alpaca-eval DIR --fastchat DIR\`.`,
  ...found.words,
  `Reward models: accuracy in percent on ${sizes.heldPairs} pairs of kinds that they were not trained on (95 % interval, Wilson), loss (0.693 without training), and the deviation of their rewards:`,
  table([['', 'accuracy', 'loss', 'deviation'], ...modelRows]),
  `Mean reward in standard deviations of ${found.sft} under each judge, with 95 % intervals over kinds of prompts · as the judge gives it:`,
  table([['', ...judges], ...rewardsOf(found)]),
  `Under ${outsider}, by the reward model that was learnt from: the runs, their mean, their KL in nats, and how many rollouts they learnt from:`,
  table([
    ['', 'reward model', 'runs', 'mean', 'KL', 'rollouts'],
    ...Object.entries(levelRuns).flatMap(([name, dirs]) => byRewardModel(found, name, dirs)),
  ]),
  'Win rates in percent with 95 % intervals over kinds of prompts; p of the paired permutation test, corrected; at equal length; over training runs:',
  table([
    ['', 'judge', 'win rate', 'p', 'at equal length', 'over runs'],
    ...ratesOf([...found.between, ...found.against]),
  ]),
  'How they write:',
  table([
    ['', 'tokens', 'KL, nats', 'distinct-1', 'distinct-2', 'distinct-3'],
    ...stylesOf(found),
    ...stylesOf(beside).slice(1),
  ]),
  ...plots.flatMap((name) => {
    const [, title] = /aria-label="([^"]*)"/.exec(readFileSync(at('compare', 'plots', name), 'utf8'))
    return [`${title}:`, `![${title}](levels/${name})`]
  }),
  'PPO and the control, whose reward model learnt from shuffled preferences, beside the three runs of level 1 with the same seeds:',
  ...beside.words,
  table([['', ...judges], ...rewardsOf(beside)]),
  table([
    ['', 'judge', 'win rate', 'p', 'at equal length', 'over runs'],
    ...ratesOf([...beside.between, ...beside.against].filter(({ judge }) => judge === outsider)),
  ]),
].join('\n\n')
if (small) console.log(figures)
else {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target)
  for (const name of plots) copyFileSync(at('compare', 'plots', name), join(target, name))
  writeFileSync(join(target, 'findings.json'), `${JSON.stringify(found, null, 2)}\n`)
  writeFileSync(join(target, 'beside.json'), `${JSON.stringify(beside, null, 2)}\n`)
  fill(join(here, 'levels.md'), figures)
}
