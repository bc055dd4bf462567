/**
 * Sweeps the learning rates of every training method, of all weights and with LoRA:
 *   npm run bench:learning-rates -- --model DIR --pairs HH_RLHF_FILE [--methods sft,dpo] [--train full,lora] [--rates 1e-5,default]
 *     [--steps 50] [--figures FILE.json] [--work DIR] [--threads N]
 * Every run is a command of attune. What it learned is measured on held-out rows or prompts before and after it, with an interval of
 * 95 % of the paired difference. Figures are added to a file; runs that stand in it already are left out.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { tInterval } from '../dist/statistics/intervals.js'
import { mean } from '../dist/statistics/summary.js'
import { shellWord } from '../dist/util/format.js'
import { byPrompt, hasNoComma, heldPrompts, makeData, noComma, rolloutTokens } from './learningRateData.mjs'

const cli = join(dirname(new URL(import.meta.url).pathname), '..', 'bin', 'attune.js')
const allMethods = ['sft', 'dpo', 'kto', 'reward', 'spin', 'asft', 'reinforce', 'rloo', 'grpo', 'ppo', 'online-dpo']
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string' },
    pairs: { type: 'string' },
    methods: { type: 'string', default: allMethods.join(',') },
    train: { type: 'string', default: 'full,lora' },
    rates: { type: 'string', default: 'default' },
    steps: { type: 'string', default: '50' },
    held: { type: 'string', default: `${heldPrompts}` },
    figures: { type: 'string', default: 'learning-rates.json' },
    threads: { type: 'string' },
    work: { type: 'string', default: 'attune-learning-rates' },
  },
})
if (!flags.model || !flags.pairs) throw new Error('give --model DIR and --pairs FILE (hh-rlhf: harmless-base, test.jsonl.gz)')
const { model, work } = flags
const modelName = basename(model)
const steps = Number(flags.steps)
/** Prompts that are measured on: a narrower interval where they are more than usual. Give such a sweep a --work of its own. */
const held = Number(flags.held)

/** Runs attune and gives the rows of its JSON lines. */
const attune = (args) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [text, errors] = ['', '']
    child.stdout.on('data', (chunk) => (text += chunk))
    child.stderr.on('data', (chunk) => (errors += chunk))
    child.on('close', (code) => {
      if (code === 0) resolve(text.trim().split('\n').map((line) => JSON.parse(line)))
      else reject(new Error(`attune ${args.join(' ')}: ${errors.trim().split('\n').at(-1)}`))
    })
  })

const chats = /"chat_template"/.test(readFileSync(join(model, 'tokenizer_config.json'), 'utf8')) || existsSync(join(model, 'chat_template.jinja'))
mkdirSync(work, { recursive: true })
const data = await makeData({ dir: join(work, 'data'), model, pairs: flags.pairs, chats, held, run: attune })
console.error(`rows: ${JSON.stringify(data.rows)}`)
const file = (name) => data.at(name)
const rollout = `${rolloutTokens[chats ? 'chat' : 'text']}`
const threads = flags.threads ? ['--threads', flags.threads] : []

// What each method learns from

const own = ['--data', file('prompts'), '--reward', noComma, '--max-new-tokens', rollout]
/** Eight completions a step, as eight rows are a batch of the others. */
const groups = [...own, '--batch-size', '2', '--num-generations', '4']
const play = ['--data', file('answers'), '--max-samples', '64', '--iterations', '1', '--max-new-tokens', '32', '--no-exact-match']
const tasks = {
  sft: ['--data', file('answers')],
  dpo: ['--data', file('pairs')],
  kto: ['--data', file('thumbs')],
  reward: ['--data', file('pairs')],
  spin: play,
  asft: [...play, '--helper', 'column:worse'],
  reinforce: [...own, '--batch-size', '8'],
  rloo: groups,
  grpo: groups,
  // Each rollout is learnt from four times, so that as many steps see a quarter of the completions
  ppo: [...own, '--batch-size', '4', '--num-generations', '4'],
  'online-dpo': groups,
}
const commandOf = ({ method, train, rate }) => [
  ...[method, '--model', model, ...tasks[method], '--max-length', '192', '--max-steps', `${steps}`, '--epochs', '1000'],
  ...(train === 'lora' ? ['--lora-r', '16'] : []),
  ...(rate === 'default' ? [] : ['--learning-rate', rate]),
]

// What is measured on what was held out, one value a row or prompt

const score = async (of, name) => (await attune(['score', '--model', of, '--data', file(name), ...threads])).filter((row) => row.event === undefined)
const sigmoid = (x) => 1 / (1 + Math.exp(-x))
const lossOfMargin = (margin) => Math.log1p(Math.exp(-Math.abs(margin))) + Math.max(-margin, 0)
const beta = 0.1
/** What the untrained model gives, measured once and kept in a file. */
const untrained = async (name, measure) => {
  const path = join(work, 'data', `${name}.json`)
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(await measure()))
  return JSON.parse(readFileSync(path, 'utf8'))
}
const logps = async (of, name) => (await score(of, name)).map(({ logp }) => logp)
const halves = (values) => [values.slice(0, values.length / 2), values.slice(values.length / 2)]
/** beta times how much more likely the better and the worse responses became. */
const gains = async (of, name) => {
  const before = await untrained(`logps-${name}`, () => logps(model, name))
  return halves((await logps(of, name)).map((logp, i) => beta * (logp - before[i])))
}
const margins = ([better, worse]) => better.map((value, i) => value - worse[i])
const byMargin = (all) => [all.map(() => Math.LN2), all.map(lossOfMargin), all]
const perToken = async (of) => (await score(of, 'held-answers')).map(({ logp, tokens }) => -logp / tokens)
const rewards = async (of) => {
  const sampling = ['--num-return-sequences', '4', '--max-new-tokens', rollout, '--batch-size', '32']
  const rows = await attune(['generate', '--model', of, '--data', file('held-prompts'), ...sampling, ...threads])
  const share = (completions) => mean(completions.map(({ completion }) => Number(hasNoComma(completion))))
  return byPrompt(rows.filter(({ completion }) => completion !== undefined)).map(share)
}

const pairLoss = { name: 'held-out loss', better: -1, of: async (dir) => byMargin(margins(await gains(dir, 'held-responses'))) }
const playLoss = { name: 'held-out loss, data against own', better: -1, of: async (dir) => byMargin(margins(await gains(dir, 'held-own'))) }
const reward = { name: 'held-out reward', better: 1, of: async (dir) => [await untrained('rewards', () => rewards(model)), await rewards(dir)] }
/** `of` a folder of a model or an adapter: values of the rows before and after, and where there are pairs their margins. */
const measures = {
  sft: { name: 'held-out loss', better: -1, of: async (dir) => [await untrained('nll', () => perToken(model)), await perToken(dir)] },
  dpo: pairLoss,
  kto: {
    name: 'held-out loss (KL as 0)',
    better: -1,
    async of(dir) {
      const [good, bad] = await gains(dir, 'held-responses')
      return [good.map(() => 0.5), good.map((gain, i) => (2 - sigmoid(gain) - sigmoid(-bad[i])) / 2), margins([good, bad])]
    },
  },
  reward: {
    name: 'held-out loss',
    better: -1,
    of: async (dir) => byMargin(margins(halves((await score(dir, 'held-responses')).map((row) => row.reward)))),
  },
  spin: playLoss,
  asft: playLoss,
}
const measureOf = (method) => measures[method] ?? reward

/** The model by its name, rows as they lie in the working folder. */
const shortPath = (word) => (word === model ? modelName : word.startsWith(`${work}/`) ? word.slice(work.length + 1) : word)

const trainAndMeasure = async (cell) => {
  const output = join(work, `${cell.method}-${cell.train}`)
  rmSync(output, { recursive: true, force: true })
  const command = commandOf(cell)
  const started = performance.now()
  const events = await attune([...command, ...threads, '--output', output])
  const seconds = Math.round((performance.now() - started) / 1000)
  const end = events.findLast(({ event }) => event === 'end')
  const stepsMade = events.filter(({ event }) => event === 'step')
  const { name, better, of } = measureOf(cell.method)
  const [before, after, margin] = await of(end.output)
  const difference = tInterval(after.map((value, i) => value - before[i]))
  rmSync(output, { recursive: true, force: true })
  return {
    ...cell,
    steps,
    command: ['attune', ...command.map((word) => shellWord(shortPath(word)))].join(' '),
    learning_rate: Math.max(...stepsMade.map(({ learning_rate }) => learning_rate)),
    measure: name,
    rows: after.length,
    before: mean(before),
    after: mean(after),
    difference,
    ...(margin && { accuracy: mean(margin.map((m) => (m > 0 ? 1 : m === 0 ? 0.5 : 0))) }),
    learned: better > 0 ? difference.low > 0 : difference.high < 0,
    warnings: events.filter(({ event }) => event === 'warning').map(({ code }) => code),
    seconds,
  }
}

const read = () => (existsSync(flags.figures) ? JSON.parse(readFileSync(flags.figures, 'utf8')) : [])
const isSame = (a, b) => ['model', 'method', 'train', 'rate', 'steps', 'held'].every((key) => a[key] === b[key])
const short = (value) => Number(value.toPrecision(3)).toString()
const row = (f) =>
  `| ${f.method} | ${f.train} | ${f.learning_rate?.toExponential() ?? f.rate} | ${f.steps} | ${f.failed ?? `${f.measure} | ${short(f.before)} → ${short(f.after)} | ${short(f.difference.value)} (${short(f.difference.low)} to ${short(f.difference.high)}) | ${f.accuracy === undefined ? '' : short(f.accuracy)} | ${f.learned ? 'yes' : 'no'}`} |`

console.log('| method | trained | rate | steps | measure | before → after | difference | accuracy | learned |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
for (const method of flags.methods.split(','))
  for (const train of flags.train.split(','))
    for (const rate of flags.rates.split(',')) {
      const cell = { model: modelName, method, train, rate, steps, ...(held !== heldPrompts && { held }) }
      const known = read().find((figure) => isSame(figure, cell))
      const figure = known ?? (await trainAndMeasure(cell).catch((error) => ({ ...cell, failed: error.message })))
      if (!known) {
        mkdirSync(dirname(flags.figures), { recursive: true })
        writeFileSync(flags.figures, `${JSON.stringify([...read(), figure], null, 1)}\n`)
      }
      console.log(row(figure))
    }
