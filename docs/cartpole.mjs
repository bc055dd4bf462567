/**
 * Writes the results of `attune cartpole` into docs/policy-gradients.md, between the two marks, and copies the plots.
 * `node docs/cartpole.mjs FOLDER`, with the output folder of the command.
 */
import { copyFileSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { methodNotes } from '../dist/labs/cartpole/settings.js'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const [folder] = process.argv.slice(2)
const { settings, findings } = JSON.parse(readFileSync(join(folder, 'cartpole.json'), 'utf8'))
for (const plot of ['by-episode', 'by-step', 'tutorial', 'seeds'])
  for (const kind of ['svg', 'json'])
    copyFileSync(join(folder, 'plots', `${plot}.${kind}`), join(here, 'cartpole', `${plot}.${kind}`))

const { seed: first, seeds } = settings
const rows = findings.map(({ method, runs, reached, solved }) => [
  ...[`\`${method}\``, methodNotes[method], `${reached} of ${seeds}`],
  runs
    .map(({ mean }) => Math.round(mean))
    .toSorted((a, b) => a - b)
    .join(', '),
  `${solved} of ${seeds}`,
  runs.map((run) => run.solved ?? 'never').join(', '),
])
const figures = [
  `Of \`attune cartpole\`, seeds ${first} to ${first + seeds - 1}. "Best weights": seeds whose best weights hold the pole for a mean of 475 steps or
more over 100 fresh episodes; "training": seeds on which the last 100 episodes of training did so at some point.`,
  table([['method', '', 'best weights', 'their means, sorted', 'training', 'after episode, by seed'], ...rows]),
].join('\n\n')

fill(join(here, 'policy-gradients.md'), figures)
