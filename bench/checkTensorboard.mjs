/**
 * Checks event files against the real TensorBoard: `npm run check:tensorboard -- --python PYTHON`. PYTHON has tensorboard and
 * torch. attune trains with --report-to tensorboard and TensorBoard reads every value of its log; torch's SummaryWriter,
 * TensorBoard's own writer and the Trainer of transformers write files, and attune reads every value of theirs.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { curvesOf } from '../dist/runs/curves.node.js'
import { foreignRunsBelow, readForeignRun } from '../dist/runs/foreign.node.js'

const here = dirname(new URL(import.meta.url).pathname)
const { values: flags } = parseArgs({ options: { python: { type: 'string' } } })
if (!flags.python) throw new Error('--python PYTHON names a Python with tensorboard and torch')

const work = mkdtempSync(join(tmpdir(), 'attune-tensorboard-'))

const train = (args) => {
  const { status, stderr } = spawnSync(process.execPath, [join(here, '..', 'bin', 'attune.js'), ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`attune ${args.join(' ')}: ${stderr}`)
}

/** Curves as {tag: [[step, value]]}; values are stored as float32. */
const asFloat32 = (curves) => Object.fromEntries([...curves].map(([name, points]) => [name, points.map(([step, value]) => [step, Math.fround(value)])]))

let failures = 0
const line = (what, said, isGood) => {
  if (!isGood) failures++
  console.log(`${isGood ? 'ok  ' : 'FAIL'} ${what}: ${said}`)
}

/** Every point of `expected` is in `found` at its place. */
const compare = (what, expected, found) => {
  const tags = Object.keys(expected)
  const wrong = tags.filter((tag) => JSON.stringify(expected[tag]) !== JSON.stringify(found[tag]))
  const points = tags.reduce((n, tag) => n + expected[tag].length, 0)
  const others = Object.keys(found).filter((tag) => !(tag in expected))
  const said = wrong.length || others.length ? `differs in ${[...wrong, ...others].slice(0, 5).join(', ')}` : `${tags.length} curves, ${points} points alike`
  line(what, said, wrong.length === 0 && others.length === 0 && points > 0)
}

try {
  const ids = (from, length) => Array.from({ length }, (_, i) => 3 + ((from + 7 * i) % 90))
  writeFileSync(join(work, 'rows.jsonl'), Array.from({ length: 8 }, (_, i) => `${JSON.stringify({ input_ids: ids(i, 8) })}\n`).join(''))
  const run = join(work, 'run')
  const model = join(here, '..', 'test', 'fixtures', 'models', 'llama-tied')
  const rows = join(work, 'rows.jsonl')
  train(['sft', '--model', model, '--data', rows, '--eval-data', rows, '--eval-every', '2', '--max-steps', '6', '--batch-size', '2', '--threads', '1', '--report-to', 'tensorboard', '--output', run])
  const { status } = spawnSync(flags.python, [join(here, 'checkTensorboard.py'), work], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`${flags.python} ended with ${status}`)
  const { versions, read, written } = JSON.parse(readFileSync(join(work, 'theirs.json'), 'utf8'))
  console.log(JSON.stringify(versions))

  const logged = asFloat32(await curvesOf(run))
  delete logged.total_steps
  const tag = (name) => (name.startsWith('eval_') ? `eval/${name.slice(5)}` : `train/${name}`)
  compare('TensorBoard reads what attune wrote', Object.fromEntries(Object.entries(logged).map(([name, points]) => [tag(name), points])), read)

  const found = await foreignRunsBelow(join(work, 'theirs'))
  for (const { name, curves } of written) {
    const one = found.find((entry) => entry.name === name)
    if (!one) line(`attune reads ${name}`, 'not found', false)
    else {
      const summary = await readForeignRun(one)
      compare(`attune reads ${name} (${one.kind})`, curves, Object.fromEntries(summary.curves))
      if (summary.problem) line(name, summary.problem, false)
    }
  }
  console.log(failures ? `${failures} failures` : 'all agree')
  process.exitCode = failures ? 1 : 0
} finally {
  rmSync(work, { recursive: true })
}
