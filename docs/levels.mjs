/**
 * Trains and compares the policies of docs/levels.md, and writes the results into the page, between the two marks.
 * `node docs/levels.mjs FOLDER [--small]`. There are two reward models, a third judge, and three policies with three seeds each.
 * Finished runs are kept and interrupted ones resume. `--small` is a trial of a minute or two that does not change the page.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { winnersFirst } from '../dist/labs/compare/verdicts.js'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const base = join(here, '..', 'test', 'fixtures', 'models', 'stories260K')
const [folder, ...flags] = process.argv.slice(2)
const small = flags.includes('--small')

/** The full sizes take about twelve minutes on two idle cores. The small ones only test that every part works. */
const sizes = small
  ? { pairs: 2, tokens: 16, rewardSteps: 4, policySteps: 2, save: 1, seeds: [1, 2], evalPrompts: 8, samples: 2 }
  : {
      pairs: 4,
      tokens: 40,
      rewardSteps: 120,
      policySteps: 42,
      save: 14,
      seeds: [1, 2, 3],
      evalPrompts: 100,
      samples: 4,
    }

const at = (...names) => join(resolve(folder), ...names)
mkdirSync(at('data'), { recursive: true })
mkdirSync(at('runs'), { recursive: true })
const rows = (name, all) => writeFileSync(at('data', name), all.map((row) => `${JSON.stringify(row)}\n`).join(''))
const attune = (...args) => {
  const capture = args.includes('--json')
  console.error(`attune ${args.slice(0, 1)} ${args[args.indexOf('--output') + 1] ?? ''}`)
  return execFileSync(process.execPath, [join(here, '..', 'bin', 'attune.js'), ...args.map(String)], {
    ...{ encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', capture ? 'pipe' : 'ignore', 'inherit'] },
  })
}

// Prompts for the reward models and policies, for the third judge, and for the comparison

const names = 'Tom Lily Ben Mia Sam Anna Max Sue Tim Amy Jack Lucy Bob Jane Leo Ella Dan Zoe Nick Kim'.split(' ')
const openings = [
  ...['Once upon a time, there was a child called NAME. NAME', 'One day, NAME', 'NAME had a', 'NAME went to the'],
  ...[
    'NAME was sad because',
    'NAME saw a',
    'In the park, NAME',
    'NAME and the dog',
    'NAME wanted to',
    'At night, NAME',
  ],
  ...['NAME found a', 'NAME said to Mom,', 'It was a sunny day and NAME', 'NAME liked to', 'NAME lost the'],
]
const prompts = names.flatMap((name, i) =>
  openings.map((text, k) => ({ prompt: text.replaceAll('NAME', name), part: (7 * i + 3 * k) % 3 })),
)
const part = (k, most = prompts.length) =>
  prompts
    .filter((each) => each.part === k)
    .slice(0, small ? 24 : most)
    .map(({ prompt }) => ({ prompt }))
rows('taught.jsonl', part(0))
rows('third.jsonl', part(1))
rows('held.jsonl', part(2).slice(0, sizes.evalPrompts))

// The true quality of a story, which no trained model sees

writeFileSync(
  at('truth.mjs'),
  `const kind = /\\b(happy|friends?|played|play|smiled?|love[ds]?|helped|help|hugged|hug|fun|laughed|together)\\b/g
/** Kind words, each once, and an end of a sentence. */
export const quality = (text) => new Set(text.match(kind) ?? []).size + (/[.!?]/.test(text) ? 0.5 : 0)
export default (rows) => rows.map(({ completion }) => quality(completion))
`,
)
const { quality } = await import(pathToFileURL(at('truth.mjs')).href)

/** A hash of the text as a number from 0 to 1. */
const uniform = (text) => {
  let hash = 2166136261
  for (const c of text) hash = Math.imul(hash ^ c.codePointAt(0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507)
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32
}

/** Pairs of completions of the model before training. The better one is preferred with a probability, as by people (Bradley-Terry). */
const preferences = (name, seed) => {
  const file = at('data', `${name}-pairs.jsonl`)
  if (existsSync(file)) return
  const printed = attune(
    ...['generate', '--model', base, '--data', at('data', `${name}.jsonl`), '--num-return-sequences', 2 * sizes.pairs],
    ...['--max-new-tokens', sizes.tokens, '--seed', seed, '--json'],
  )
  const made = printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const pairs = []
  for (let i = 0; i + 1 < made.length; i += 2) {
    const [a, b] = [made[i], made[i + 1]]
    const [x, y] = [a, b].map(({ completion }) => quality(completion))
    if (x === y) continue
    const likely = 1 / (1 + Math.exp(-3 * (x - y)))
    const [chosen, rejected] = uniform(a.completion + b.completion) < likely ? [a, b] : [b, a]
    pairs.push({ prompt: a.prompt, chosen: chosen.completion, rejected: rejected.completion })
  }
  rows(`${name}-pairs.jsonl`, pairs)
}
preferences('taught', 11)
preferences('third', 12)

// Runs: finished ones are kept, interrupted ones resume

const ended = (dir) => ['model', 'adapter'].some((name) => existsSync(join(dir, name)))
const train = (method, name, ...args) => {
  const dir = at('runs', name)
  if (!ended(dir)) {
    const resume = existsSync(join(dir, 'run.json')) ? ['--resume'] : []
    attune(method, '--model', base, ...args, '--output', dir, ...resume)
  }
  return dir
}
const common = ['--epochs', 1000, '--schedule', 'linear', '--log-every', 50]
const rewardModel = (name, pairs, seed, ...kind) =>
  train(
    ...[
      'reward',
      name,
      '--data',
      at('data', `${pairs}-pairs.jsonl`),
      '--eval-split',
      0.2,
      '--eval-every',
      sizes.rewardSteps,
      '--max-steps',
      sizes.rewardSteps,
    ],
    ...['--batch-size', 32, '--learning-rate', '1e-3', '--seed', seed, ...common, ...kind],
  )
const scalar = rewardModel('rm-scalar', 'taught', 28, '--kind', 'pairwise', '--center-rewards', 0.01)
const probabilistic = rewardModel('rm-probabilistic', 'taught', 28, '--kind', 'probabilistic')
const third = rewardModel('rm-third', 'third', 29, '--kind', 'pairwise', '--center-rewards', 0.01)

const policy = (name, seed, ...reward) =>
  train(
    ...['reinforce', `${name}-${seed}`, '--data', at('data', 'taught.jsonl'), '--max-steps', sizes.policySteps],
    ...['--batch-size', 16, '--lora-r', 32, '--lora-alpha', 64, '--lora-dropout', 0.1, '--learning-rate', '1e-3'],
    ...['--max-new-tokens', sizes.tokens, '--kl-coef', 0.02, '--save-every', sizes.save, '--keep', 100, '--seed', seed],
    // The baseline begins at the first mean reward. From 0 the first step would be large if rewards are far from 0
    ...[...common, '--baseline', 'ema', '--reward', ...reward],
  )
const levels = {
  'level-1': [scalar],
  'level-2': [probabilistic],
  'level-2-plain': [probabilistic, '--no-regulariser'],
}
const policies = Object.entries(levels).map(
  ([name, reward]) => `${name}=${sizes.seeds.map((seed) => policy(name, seed, ...reward)).join(',')}`,
)

// The comparison

attune(
  ...['compare', ...policies, '--base', base, '--data', at('data', 'held.jsonl'), '--reward', scalar, '--reward'],
  ...[probabilistic, '--judge', third, '--judge', at('truth.mjs'), '--samples', sizes.samples],
  ...['--max-new-tokens', sizes.tokens, '--output', at('compare')],
)
const found = winnersFirst(JSON.parse(readFileSync(at('compare', 'findings.json'), 'utf8')))

// The page

const signed = (x) => (Math.abs(x) < 0.005 ? '0.00' : `${x > 0 ? '+' : ''}${x.toFixed(2)}`)
const span = (interval, text) =>
  interval ? `${text(interval.value)} (${text(interval.low)} to ${text(interval.high)})` : '–'
const percent = (x) => (100 * x).toFixed(0)
const judges = found.judges.map(({ name }) => name)
const rewards = found.policies.map(({ name }) => [
  name,
  ...judges.map((judge) => {
    const { reward, standardised } = found.table.find((cell) => cell.policy === name && cell.judge === judge)
    return `${span(standardised, signed)} · ${reward.value.toPrecision(4)}`
  }),
])
const rates = [...found.between, ...found.against].map((pair) => [
  ...[`${pair.a} over ${pair.b}`, pair.judge, span(pair.winRate, percent), pair.corrected.toPrecision(2)],
  ...[span(pair.controlled?.winRate, percent), span(pair.seeds, percent)],
])
const styles = found.policies.map(({ name, tokens, kl, distinct, selfBleu }) => [
  ...[name, tokens.value.toFixed(1), kl ? span(kl.k1, (x) => x.toFixed(2)) : '–'],
  ...[...distinct.map((x) => x.toFixed(3)), selfBleu.value.toFixed(1)],
])
const target = join(here, 'levels')
const plots = readdirSync(at('compare', 'plots'))
const figures = [
  'Made by `node docs/levels.mjs FOLDER`.',
  // One reward model per level is not enough to compare the levels with each other
  ...found.words.filter((text) => text.includes(', the model before training: ')),
  `Mean reward in standard deviations of ${found.sft} under each judge, with 95 % intervals over prompts · as the judge gives it:`,
  table([['', ...judges], ...rewards]),
  'Win rates in percent with 95 % intervals over prompts; p of the paired permutation test, corrected; at equal length; over training seeds:',
  table([['', 'judge', 'win rate', 'p', 'at equal length', 'over seeds'], ...rates]),
  'How they write:',
  table([['', 'tokens', 'KL, nats', 'distinct-1', 'distinct-2', 'distinct-3', 'self-BLEU'], ...styles]),
  ...plots.flatMap((name) => {
    const [, title] = /aria-label="([^"]*)"/.exec(readFileSync(at('compare', 'plots', name), 'utf8'))
    return [`${title}:`, `![${title}](levels/${name})`]
  }),
].join('\n\n')
if (small) console.log(figures)
else {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target)
  for (const name of plots) copyFileSync(at('compare', 'plots', name), join(target, name))
  writeFileSync(join(target, 'findings.json'), `${JSON.stringify(found, null, 2)}\n`)
  fill(join(here, 'levels.md'), figures)
}
