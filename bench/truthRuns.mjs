/**
 * Trains the same model from the same seed with products in fp32 and in each 8-bit form, and compares what was learned on held-out rows:
 *   npm run bench:int8-truth -- --model DIR --pairs HH_RLHF_FILE [--forms untrained,fp32,int8,another-seed,int8-fast] [--methods dpo,sft,grpo]
 *     [--work DIR] [--figures DIR] [--threads N]
 * Every run is a command of attune: finished ones are kept, interrupted ones go on from their checkpoint, so it can be stopped at any time.
 * What a run learned is always measured in fp32. `another-seed` is fp32 with other random numbers: the yardstick of what chance does.
 * Figures (JSON) and plots go to docs/performance; the tables, made anew after each run, to truth.md in --work (truthFigures.mjs).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'
import { shellWord } from '../dist/util/format.js'
import { drawFigures } from './truthFigures.mjs'

const root = join(dirname(new URL(import.meta.url).pathname), '..')
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string' },
    pairs: { type: 'string' },
    forms: { type: 'string', default: 'untrained,fp32,int8,another-seed,int8-fast' },
    methods: { type: 'string', default: 'dpo,sft,grpo' },
    work: { type: 'string', default: 'attune-int8-truth' },
    figures: { type: 'string', default: join(root, 'docs', 'performance') },
    threads: { type: 'string' },
    /** Divides the number of steps and held-out rows: a quick trial of the script. */
    short: { type: 'string', default: '1' },
  },
})
if (!flags.model || !flags.pairs) throw new Error('give --model DIR and --pairs FILE (hh-rlhf: harmless-base, test.jsonl.gz)')
const [model, work] = [resolve(flags.model), resolve(flags.work)]
const threads = flags.threads ? ['--threads', flags.threads] : []
const count = (whole) => Math.ceil(whole / Number(flags.short))

/** Runs attune and gives the rows of its JSON lines. */
const attune = (args) =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(root, 'bin', 'attune.js'), ...args.map(String), ...threads, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [text, errors] = ['', '']
    child.stdout.on('data', (chunk) => (text += chunk))
    child.stderr.on('data', (chunk) => (errors += chunk))
    child.on('close', (code) => {
      if (code === 0) done(text.trim().split('\n').map((line) => JSON.parse(line)))
      else fail(new Error(`attune ${args.join(' ')}: ${errors.trim().split('\n').at(-1)}`))
    })
  })

// Rows: pairs of hh-rlhf whose prompt and responses are short, in the order of the file

const trainRows = count(400)
const heldRows = count(200)
/** Tokens of prompt and both responses together. */
const longest = 128
const heldPrompts = count(96)

const shortPairs = async () => {
  const tokenizer = await loadTokenizerFolder(model)
  const length = (text) => tokenizer.encode(text, { specialTokens: false }).ids.length
  const bytes = readFileSync(flags.pairs)
  const text = (flags.pairs.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  return text.trim().split('\n').flatMap((line) => {
    const row = JSON.parse(line)
    const cut = row.chosen.lastIndexOf('\n\nAssistant:') + '\n\nAssistant:'.length
    const prompt = row.chosen.slice(0, cut)
    const [chosen, rejected] = [row.chosen, row.rejected].map((whole) => whole.slice(cut))
    const differ = row.rejected.startsWith(prompt) && chosen.trim() && rejected.trim() && chosen !== rejected
    return differ && length(prompt) + length(chosen) + length(rejected) <= longest ? [{ prompt: prompt.trimStart(), chosen, rejected }] : []
  })
}

const file = (name) => join(work, `${name}.jsonl`)
const write = (name, rows) => writeFileSync(file(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
const makeRows = async () => {
  const pairs = await shortPairs()
  if (pairs.length < trainRows + heldRows) throw new Error(`${flags.pairs} has ${pairs.length} short pairs; ${trainRows + heldRows} are needed`)
  const [train, held] = [pairs.slice(0, trainRows), pairs.slice(trainRows, trainRows + heldRows)]
  write('pairs', train)
  write('texts', train.map(({ prompt, chosen }) => ({ prompt, completion: chosen })))
  write('prompts', train.map(({ prompt }) => ({ prompt })))
  write('held-prompts', held.slice(0, heldPrompts).map(({ prompt }) => ({ prompt })))
  write('held-texts', held.map(({ prompt, chosen }) => ({ prompt, completion: chosen })))
  // Scored together: the better responses first, then the worse ones
  write('held', ['chosen', 'rejected'].flatMap((side) => held.map((row) => ({ prompt: row.prompt, completion: row[side] }))))
}

// Methods: what each trains with, which metrics of its steps are kept, and what is measured on held-out rows

const lora = ['--lora-r', '16']
const samples = 4
const newTokens = 16
const beta = 0.1
const noComma = 'no-comma=regex:^[^,]*$'

const scored = async (of, rows = 'held') => (await attune(['score', '--model', of, '--data', file(rows)])).filter(({ event }) => event === undefined)
/** What the untrained model gives, measured once. */
const untrained = async () => {
  const path = join(work, 'untrained.json')
  if (!existsSync(path)) writeFileSync(path, JSON.stringify((await scored(model)).map(({ logp }) => logp)))
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** The loss and the accuracy of each held-out pair. */
const pairFigures = async (of) => {
  const before = await untrained()
  const gains = (await scored(of)).map(({ logp }, i) => beta * (logp - before[i]))
  const margins = gains.slice(0, heldRows).map((gain, i) => gain - gains[heldRows + i])
  return { loss: margins.map((m) => Math.log1p(Math.exp(-Math.abs(m))) + Math.max(-m, 0)), accuracy: margins.map((m) => (m > 0 ? 1 : m === 0 ? 0.5 : 0)) }
}
/** The loss of a token of each held-out row's better response. */
const textFigures = async (of) => ({ loss: (await scored(of, 'held-texts')).map(({ logp, tokens }) => -logp / tokens) })
/** The mean reward of each held-out prompt. */
const rewardFigures = async (of) => {
  const rows = await attune(['generate', '--model', of, '--data', file('held-prompts'), '--num-return-sequences', samples, '--max-new-tokens', newTokens, '--batch-size', '32'])
  const rewards = rows.filter(({ completion }) => completion !== undefined).map(({ completion }) => Number(!completion.includes(',')))
  return { reward: Array.from({ length: heldPrompts }, (_, i) => rewards.slice(samples * i, samples * (i + 1)).reduce((a, b) => a + b, 0) / samples) }
}

const methods = {
  dpo: {
    args: ['--data', file('pairs'), ...lora, '--beta', beta, '--learning-rate', '1e-4', '--batch-size', '1', '--max-steps', count(200)],
    metrics: ['loss'],
    measure: pairFigures,
  },
  sft: {
    args: ['--data', file('texts'), '--learning-rate', '2e-5', '--batch-size', '2', '--max-steps', count(50)],
    metrics: ['loss'],
    measure: textFigures,
  },
  grpo: {
    args: [
      ...['--data', file('prompts'), ...lora, '--reward', noComma, '--num-generations', samples, '--max-new-tokens', newTokens],
      ...['--kl-coef', '0.01', '--batch-size', '4', '--max-steps', count(50)],
    ],
    metrics: ['reward', 'kl', 'sampling/ratio_error'],
    measure: rewardFigures,
  },
}

const formArgs = (form) => (form === 'another-seed' ? ['--seed', '43'] : ['--compute', form, '--seed', '42'])

/** The model by its name, rows without their folder. */
const shown = (word) => (word === model ? basename(model) : `${word}`.startsWith(`${work}/`) ? word.slice(work.length + 1) : word)

const trainAndMeasure = async (method, form) => {
  const { args, metrics, measure } = methods[method]
  const output = join(work, `${method}-${form}`)
  const command = [method, '--model', model, ...args, ...formArgs(form)]
  const again = existsSync(join(output, 'run.json')) ? ['--resume'] : []
  await attune([...command, '--epochs', '1000', '--save-every', '25', '--keep', '1', '--output', output, ...again])
  // Of all parts of a run that was interrupted; steps that were made twice count once
  const events = readFileSync(join(output, 'events.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line))
  const steps = [...new Map(events.filter(({ event }) => event === 'step').map((event) => [event.step, event])).values()]
  const held = await measure(output)
  return {
    method,
    form,
    model: basename(model),
    command: ['attune', ...command.map((word) => shellWord(shown(word)))].join(' '),
    processor: cpus()[0].model.trim(),
    steps: Object.fromEntries(metrics.map((name) => [name, steps.map((step) => short(step[name]))])),
    held: rounded(held),
  }
}

const untrainedFigures = async (method) => ({ method, form: 'untrained', model: basename(model), steps: {}, held: rounded(await methods[method].measure(model)) })

/** Six digits are more than any difference of interest. */
const short = (value) => (value === undefined ? null : Number(value.toPrecision(6)))
const rounded = (held) => Object.fromEntries(Object.entries(held).map(([name, values]) => [name, values.map(short)]))

mkdirSync(work, { recursive: true })
mkdirSync(flags.figures, { recursive: true })
await makeRows()
for (const form of flags.forms.split(','))
  for (const method of flags.methods.split(',')) {
    // Its loss is ln 2 and its accuracy a half by definition
    if (form === 'untrained' && method === 'dpo') continue
    const path = join(flags.figures, `truth-${method}-${form}.json`)
    if (!existsSync(path)) {
      console.error(`${new Date().toISOString()} ${method} ${form} ...`)
      const figures = await (form === 'untrained' ? untrainedFigures(method) : trainAndMeasure(method, form))
      writeFileSync(path, `${JSON.stringify(figures)}\n`)
      // The results are some hundred megabytes each
      rmSync(join(work, `${method}-${form}`), { recursive: true, force: true })
    }
    writeFileSync(join(work, 'truth.md'), `${drawFigures(flags.figures)}\n`)
  }
