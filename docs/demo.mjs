/**
 * Runs `attune demo` with several seeds and writes the results into docs/demo.md, between the two marks, and the numbers that
 * docs/demo.png is drawn from into docs/demo/. `node docs/demo.mjs FOLDER [SEEDS]`; finished runs in the folder are kept. Five seeds,
 * the default, take about five minutes.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { alignmentRows } from '../dist/labs/demo/result.js'
import { curvesOf } from '../dist/runs/curves.node.js'
import { readInfo } from '../dist/runs/run.node.js'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const [folder, count = 5] = process.argv.slice(2)
const seeds = Array.from({ length: Number(count) }, (_, i) => 42 + i)
const runOf = (seed) => join(resolve(folder), `seed-${seed}`)
const read = (seed) => {
  const file = join(runOf(seed), 'demo.json')
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

mkdirSync(folder, { recursive: true })
for (const seed of seeds)
  if (read(seed).state !== 'done') {
    const args = ['demo', '--seed', String(seed), '--output', runOf(seed), '--no-open']
    execFileSync(process.execPath, [join(here, '..', 'bin', 'attune.js'), ...args], { stdio: 'inherit' })
  }
const results = seeds.map((seed) => ({ seed, result: read(seed) }))

const shareText = ({ share, low, high }) =>
  `${(100 * share).toFixed(1)} % (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`
const names = alignmentRows(results[0].result).map(({ name }) => name)
const rows = results.map(({ seed, result }) => [
  String(seed),
  shareText(result.before),
  ...alignmentRows(result).map(({ outcome }) => shareText(outcome.after)),
])
fill(
  join(here, 'demo.md'),
  [
    `Right answers to ${results[0].result.before.total.toLocaleString('en-US')} new sums, with 95 % intervals (Wilson) over the sums; written by \`node docs/demo.mjs FOLDER\`.`,
    table([['seed', 'before', ...names], ...rows]),
  ].join('\n\n'),
)

// What the page of the first seed shows, for docs/pictures.mjs

const lines = (name) =>
  readFileSync(join(runOf(seeds[0]), 'data', name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
const curves = async (run, wanted) => {
  const all = await curvesOf(join(runOf(seeds[0]), run))
  return Object.fromEntries(wanted.map((name) => [name, all.get(name)]))
}
const { format, state, ...result } = results[0].result
const { versions, machine } = await readInfo(join(runOf(seeds[0]), 'dpo'))
const findings = {
  result,
  tested: lines('tested.jsonl').slice(0, 12),
  rankings: lines('rankings.jsonl').slice(0, 4),
  curves: {
    sft: await curves('sft', ['loss']),
    dpo: await curves('dpo', ['loss', 'rewards/margins', 'rewards/accuracies']),
  },
  output: 'attune-demo',
  made: { versions, machine },
}
const sixDigits = (_, x) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x)
mkdirSync(join(here, 'demo'), { recursive: true })
writeFileSync(join(here, 'demo', 'findings.json'), `${JSON.stringify(findings, sixDigits)}\n`)
