/**
 * Writes the results of an `attune scaling` sweep into docs/scaling.md, between the two marks, and copies the plots.
 * `node docs/scaling.mjs FOLDER`, with the output folder of the command.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const [folder] = process.argv.slice(2)
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const { words, standard, comparisons } = read('findings.json')
const { preset, tokenizer } = read('sweep.json')
const seeds = Math.max(...standard.sizes.map((size) => size.seeds))

const target = join(here, 'scaling')
rmSync(target, { recursive: true, force: true })
mkdirSync(target)
const plots = readdirSync(join(folder, 'plots'))
for (const name of plots) copyFileSync(join(folder, 'plots', name), join(target, name))

const number = (x) => Number(x).toLocaleString('en-US', { maximumSignificantDigits: 3 })
const compute = (x) => x.toExponential(1)
const change = (interval, scale) => {
  if (!interval) return '–'
  const shown = (x) => (x === null || !Number.isFinite(x) ? '?' : scale(x))
  return `${shown(interval.value)} (${shown(interval.low)} to ${shown(interval.high)})`
}
const percent = (x) => `${(100 * (Math.exp(x) - 1)).toFixed(0)} %`
const points = (x) => (100 * x).toFixed(1)

const sizes = standard.sizes.map(({ hidden, layers, blocks, seeds, curve, exact }) => [
  ...[hidden, layers, blocks.toLocaleString('en-US'), seeds],
  ...[compute(curve.at(-1)[0]), number(curve.at(-1)[1]), `${(100 * exact).toFixed(1)} %`],
])
const budgets = standard.budgets.map(({ flops, hidden, loss, sure }) => [
  compute(flops),
  hidden,
  number(loss),
  `${(100 * sure).toFixed(0)} %`,
])
const against = comparisons.map(({ method, hidden, loss, exact, own, whole }) => [
  ...[method, hidden, number(loss), `${(100 * exact).toFixed(1)} %`],
  ...[
    change(own?.loss, percent),
    change(own?.exact, points),
    change(whole?.loss, percent),
    change(whole?.exact, points),
  ],
])
const images = plots
  .filter((name) => name.endsWith('.svg'))
  .map((name) => `![${name.slice(0, -4).replaceAll('-', ' ')}](scaling/${name})`)

const figures = [
  `Of \`attune scaling --preset ${preset}${tokenizer ? ` --tokenizer ${tokenizer}` : ''} --seeds ${seeds}\`; written by \`node docs/scaling.mjs FOLDER\`.`,
  ...words,
  table([['hidden size', 'layers', 'weights in blocks', 'seeds', 'compute', 'loss at the end', 'exact'], ...sizes]),
  ...(budgets.length
    ? [
        'The lowest loss where every size was trained with as much compute:',
        table([['compute', 'hidden size', 'loss', 'of resamples'], ...budgets]),
      ]
    : []),
  ...(against.length
    ? [
        'Self-play less supervised training at equal compute, which has another learning rate, with 95 % intervals; exact answers in percentage points. "Whole" counts the helper.',
        table([
          ['method', 'hidden size', 'loss', 'exact', 'loss, own', 'exact, own', 'loss, whole', 'exact, whole'],
          ...against,
        ]),
      ]
    : []),
  ...images,
].join('\n\n')

fill(join(here, 'scaling.md'), figures)
