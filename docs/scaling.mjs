/**
 * Writes the results of `attune scaling` into docs/scaling.md, between the two marks, and copies the plots and the figures of all runs.
 * `node docs/scaling.mjs FOLDER...`, with output folders of the command.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const target = join(here, 'scaling')
rmSync(target, { recursive: true, force: true })
mkdirSync(target)

const number = (x) => Number(x).toLocaleString('en-US', { maximumSignificantDigits: 3 })
const percent = (x, digits = 0) => `${(100 * x).toFixed(digits)} %`
const compute = (x) => x.toExponential(1).replace('.0', '')
const interval = ({ value, low, high }, scale) => `${scale(value)} (${scale(low)} to ${scale(high)})`
const change = (x) => `${(100 * (Math.exp(x) - 1)).toFixed(0)} %`
const points = (x) => (100 * x).toFixed(1)

const section = (folder) => {
  const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const { words, laws, study, results } = read('findings.json')
  const { preset, plan } = read('sweep.json')
  const name = basename(folder)
  const plots = readdirSync(join(folder, 'plots'))
  for (const file of plots) copyFileSync(join(folder, 'plots', file), join(target, `${name}-${file}`))
  // Every figure and sentence can be computed anew from these
  writeFileSync(join(target, `${name}-runs.json`), `${JSON.stringify(results)}\n`)
  const sizes = laws.sizes.map(({ hidden, budget, steps, rate, seeds, loss, exact }) => [
    ...[hidden, compute(budget), steps.toLocaleString('en-US'), rate, seeds, number(loss), percent(exact, 1)],
  ])
  const best = laws.best.map(({ budget, hidden, loss, exact, sure, edge, optimum }) => [
    ...[compute(budget), `${hidden}${edge ? ` (${edge})` : ''}`, number(loss), percent(exact, 1), percent(sure)],
    optimum ? `${number(optimum.blocks)} (${number(optimum.low)} to ${number(optimum.high)})` : '–',
  ])
  const methods = (study?.comparisons ?? []).map((each) => [
    ...[
      `\`${each.method}\``,
      each.hidden,
      each.rate,
      each.seeds,
      each.flops.toExponential(2),
      each.helperFlops ? compute(each.helperFlops) : '–',
    ],
    ...[number(each.loss), percent(each.exact, 1)],
    ...(each.byLoss
      ? [interval(each.byLoss, change), number(each.byLoss.p), interval(each.byExact, points), number(each.byExact.p)]
      : ['–', '', '–', '']),
  ])
  return [
    `Of \`attune scaling --preset ${preset} --output ${name}\` (${plan.sizes.join(', ')} wide, ${results.length} runs); figures of all runs: [${name}-runs.json](scaling/${name}-runs.json).`,
    ...words,
    ...plots
      .filter((file) => file.endsWith('.svg'))
      .map((file) => `![${file.slice(0, -4).replaceAll('-', ' ')}](scaling/${name}-${file})`),
    ...(sizes.length
      ? [
          table([
            ['hidden size', 'compute', 'steps', 'learning rate', 'seeds', 'loss (geometric mean)', 'exact'],
            ...sizes,
          ]),
        ]
      : []),
    ...(best.length
      ? [
          table([
            ['compute', 'best hidden size', 'loss', 'exact', 'of resamples', 'lowest point of the parabola, weights'],
            ...best,
          ]),
        ]
      : []),
    ...(methods.length
      ? [
          table([
            [
              'method',
              'hidden',
              'rate',
              'seeds',
              'compute',
              'helper',
              'loss',
              'exact',
              'loss, difference',
              'p',
              'exact, points',
              'p',
            ],
            ...methods,
          ]),
        ]
      : []),
  ]
}

fill(join(here, 'scaling.md'), process.argv.slice(2).flatMap(section).join('\n\n'))
