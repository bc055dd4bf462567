/**
 * Repeats the notebook's DPO on SmolLM2-135M-Instruct and writes the results into docs/findings.md, between the two marks.
 * `node docs/findings.mjs FOLDER --model MODEL --pairs FILE [--small]`. FILE holds rows of HH-RLHF, the last of which are held out. Finished
 * runs are kept and interrupted ones resume. `--small` only tests that every part works, and does not change the page.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { wilson } from '../dist/statistics/intervals.js'
import { attune, eventsOf, fill, sideBySide, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const {
  values: flags,
  positionals: [folder],
} = parseArgs({
  allowPositionals: true,
  options: { model: { type: 'string' }, pairs: { type: 'string' }, small: { type: 'boolean', default: false } },
})
if (!folder || !flags.model || !flags.pairs) throw new Error('give FOLDER --model MODEL --pairs FILE')
const { small } = flags

const heldOut = small ? 6 : 240
const seeds = small ? [1] : [1, 2, 3]
/** The notebook's settings are examples/studies/dpo-hh-rlhf.yaml; `longer` differs from them by what it says. */
const arms = {
  notebook: small ? ['--max-steps', 2] : [],
  longer: ['--max-steps', small ? 3 : 200, '--learning-rate', '2e-4'],
}

const at = (...names) => join(resolve(folder), ...names)
mkdirSync(at('runs'), { recursive: true })
const bytes = readFileSync(flags.pairs)
const lines = (flags.pairs.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n')
writeFileSync(at('train.jsonl'), `${lines.slice(0, -heldOut).join('\n')}\n`)
writeFileSync(at('held-out.jsonl'), `${lines.slice(-heldOut).join('\n')}\n`)

const settings = join(here, '..', 'examples', 'studies', 'dpo-hh-rlhf.yaml')
const train = async (name, seed) => {
  const output = at('runs', `${name}-${seed}`)
  if (!existsSync(join(output, 'adapter'))) {
    const resume = existsSync(join(output, 'run.json')) ? ['--resume'] : []
    await attune(
      ...['dpo', '--config', settings, '--model', flags.model, '--data', at('train.jsonl')],
      ...['--eval-data', at('held-out.jsonl'), '--eval-every', 1000, '--best-metric', 'none', '--epochs', 10],
      ...['--compute', 'int8', '--threads', 1, '--seed', seed, ...arms[name], '--output', output, ...resume],
    )
  }
  return { name, seed, output, ...eventsOf(output).findLast(({ event }) => event === 'eval') }
}
const runs = await sideBySide(Object.keys(arms).flatMap((name) => seeds.map((seed) => () => train(name, seed))))

// The page

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length
const percent = (x) => (100 * x).toFixed(0)
const rows = runs.map(({ name, seed, eval_loss: loss, ...measured }) => {
  const accuracy = measured['eval_rewards/accuracies']
  const { low, high } = wilson(accuracy * heldOut, heldOut)
  return [
    name,
    seed,
    loss.toFixed(4),
    `${percent(accuracy)} (${percent(low)} to ${percent(high)})`,
    measured['eval_rewards/margins'].toFixed(3),
  ]
})
/** Questions in the form of HH-RLHF that are not of it, whose prompts are often offensive. */
const samplePrompts = [
  'How can I fall asleep faster?',
  'What should I cook with two eggs and some spinach?',
  'My neighbor is too loud at night. What can I do?',
].map((question) => `\n\nHuman: ${question}\n\nAssistant:`)
const said = (model) =>
  sideBySide(
    samplePrompts.map((prompt) => async () => {
      const asked = ['--prompt', prompt, '--temperature', 0, '--threads', 1, '--max-new-tokens', 40]
      const printed = await attune('generate', '--model', model, ...asked, '--json')
      const { completion } = JSON.parse(printed.trim().split('\n')[0])
      const [answer] = completion.split('\n\nHuman:')
      return answer.trim().replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')
    }),
  )
const [before, after] = [await said(flags.model), await said(runs.at(-1).output)]
const figures = [
  `Made by \`node docs/findings.mjs FOLDER --model MODEL --pairs FILE\`; held-out: ${heldOut} pairs; without training the loss is 0.6931, and guessing has an accuracy of 50 %.`,
  table([['settings', 'seed', 'held-out loss', 'accuracy, %', 'margin'], ...rows]),
  `Mean accuracy: ${Object.keys(arms)
    .map(
      (name) =>
        `${name} ${percent(mean(runs.filter((run) => run.name === name).map((run) => run['eval_rewards/accuracies'])))} %`,
    )
    .join(', ')}.`,
  table([
    ['prompt', 'before', `after (${runs.at(-1).name}, seed ${runs.at(-1).seed})`],
    ...samplePrompts.map((prompt, i) => [prompt.trim().replaceAll(/\s+/g, ' '), before[i], after[i]]),
  ]),
].join('\n\n')
if (small) console.log(figures)
else {
  writeFileSync(join(here, 'findings.json'), `${JSON.stringify(runs.map(({ output: _, ...run }) => run))}\n`)
  fill(join(here, 'findings.md'), figures)
}
