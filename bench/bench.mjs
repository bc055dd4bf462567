/**
 * Benchmarks attune against PyTorch, TRL, transformers and llama.cpp: `npm run bench -- [--peer PYTHON] [--llama DIR] [--quick] [--only NAME]`.
 * attune runs through its command line. The peer (PyTorch, TRL) gets the same model folder and rows, so both do the same work.
 * Training times are medians over the steps after two warm-up steps.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchCartpole } from './cartpole.mjs'
import { cases, decodeCases, makeInputs, rankCase } from './cases.mjs'
import { benchLlama } from './llama.mjs'
import { matmulRates } from './matmul.mjs'

const here = dirname(new URL(import.meta.url).pathname)
const cli = join(here, '..', 'bin', 'attune.js')
const { values: flags } = parseArgs({
  options: { peer: { type: 'string' }, llama: { type: 'string' }, quick: { type: 'boolean' }, only: { type: 'string' }, keep: { type: 'string' } },
})

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`
const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`

/** Runs a command and passes each JSON line of its output to `seen`. */
const jsonLines = (command, args, env, seen) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
    let [rest, errors] = ['', '']
    child.stderr.on('data', (chunk) => (errors += chunk))
    child.stdout.on('data', (chunk) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()
      for (const line of lines) if (line.startsWith('{"')) seen(JSON.parse(line))
    })
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command}: ${errors.slice(-2000)}`))))
  })

const attune = async (work, { method, args }, memory) => {
  const [output, cache] = [join(work, 'run'), join(work, 'cache')]
  // An interrupted benchmark may have left it
  rmSync(output, { recursive: true, force: true })
  const started = performance.now()
  const result = { steps: [], first: 0, peak: 0 }
  await jsonLines(
    process.execPath,
    [cli, method, ...args, '--output', output, '--memory', memory, '--json'],
    { ATTUNE_CACHE: cache },
    (event) => {
      if (event.event === 'start') result.first = (performance.now() - started) / 1000
      if (event.event === 'step') result.steps.push(event.seconds)
      if (event.event === 'end') result.peak = event.peak_memory
    },
  )
  rmSync(output, { recursive: true })
  rmSync(cache, { recursive: true, force: true })
  return { step: median(result.steps.slice(2)), first: result.first, peak: result.peak }
}

const peer = async (python, { peer: args }, dtype) => {
  let result
  await jsonLines(python, [join(here, 'peer.py'), ...args, '--dtype', dtype], { HF_HUB_OFFLINE: '1' }, (line) => (result = line))
  return { step: median(result.steps.slice(2)), peak: result.peak }
}

/** Times attune and the peer in alternation, so that a change in the machine's speed affects both. */
const compare = async (work, task, rounds) => {
  const sides = { fast: [], low: [], fp32: [], bf16: [] }
  for (let round = 0; round < rounds; round++) {
    sides.fast.push(await attune(work, task, 'fast'))
    if (task.low && round === 0) sides.low.push(await attune(work, task, 'low'))
    if (flags.peer && task.peer) {
      sides.fp32.push(await peer(flags.peer, task, 'float32'))
      sides.bf16.push(await peer(flags.peer, task, 'bfloat16'))
    }
  }
  const middle = (runs) => runs.length && { step: median(runs.map(({ step }) => step)), peak: median(runs.map(({ peak }) => peak)) }
  return { ...Object.fromEntries(Object.entries(sides).map(([name, runs]) => [name, middle(runs)])), first: sides.fast[0].first }
}

/** Tokens per second and seconds to the first token of attune and transformers, the best of all rounds. */
const decode = async (work, { batch, prompt, fresh, quantize = 'none' }, rounds) => {
  const args = [join(work, 'smollm2'), '--batch', batch, '--prompt', prompt, '--new', fresh, '--rounds', flags.quick ? 1 : 3].map(String)
  const sides = { own: { rate: 0, first: Number.POSITIVE_INFINITY }, fp32: undefined }
  const better = (a, b) => ({ rate: Math.max(a?.rate ?? 0, b.rate), first: Math.min(a?.first ?? b.first, b.first), memory: b.memory })
  for (let round = 0; round < rounds; round++) {
    await jsonLines(process.execPath, [join(here, 'decode.mjs'), ...args, '--quantize', quantize], {}, (line) => (sides.own = better(sides.own, line)))
    if (!flags.peer || quantize !== 'none') continue
    const environment = { HF_HUB_OFFLINE: '1' }
    await jsonLines(flags.peer, [join(here, 'decode.py'), ...args], environment, (line) => (sides.fp32 = better(sides.fp32, line)))
  }
  return sides
}

const row = (cells) => `| ${cells.join(' | ')} |`
const shown = (side) => (side ? `${seconds(side.step)}, ${gigabytes(side.peak)}` : '-')
const ratio = (a, b, what) => (a && b ? (a[what] / b[what]).toFixed(2) : '-')

const rows = ['cartpole', ...cases(flags.keep ?? tmpdir(), flags.quick).map(({ name }) => name), ...decodeCases.map(({ name }) => name), rankCase]
if (flags.only && !rows.includes(flags.only)) {
  console.error(`--only: there is no row ${JSON.stringify(flags.only)}; there are\n  ${rows.join('\n  ')}`)
  process.exit(2)
}
if (flags.only === 'cartpole') {
  benchCartpole(flags.peer, flags.quick)
  process.exit()
}
const work = flags.keep ?? mkdtempSync(join(tmpdir(), 'attune-bench-'))
mkdirSync(work, { recursive: true })
const start = (args) => {
  const times = Array.from({ length: 7 }, () => {
    const from = performance.now()
    spawnSync(process.execPath, [cli, ...args])
    return (performance.now() - from) / 1000
  })
  return median(times)
}

console.log(`attune --help: ${seconds(start(['--help']))} (median of 7)`)
console.log(await matmulRates())
await makeInputs(work, cli)
console.log(row(['case', 'attune fast', 'attune low', 'peer fp32', 'peer bf16', 'fp32 / fast', 'bf16 / fast', 'peak fast / fp32', 'peak low / fp32', 'start to step 1']))
console.log(row(Array(10).fill('---')))
for (const task of cases(work, flags.quick)) {
  if (flags.only && task.name !== flags.only) continue
  const { fast, low, fp32, bf16, first } = await compare(work, task, flags.quick ? 1 : 3)
  const ratios = [ratio(fp32, fast, 'step'), ratio(bf16, fast, 'step'), ratio(fast, fp32, 'peak'), ratio(low, fp32, 'peak')]
  console.log(row([task.name, shown(fast), shown(low), shown(fp32), shown(bf16), ...ratios, seconds(first)]))
}
console.log(row(['case', 'attune', 'transformers fp32', 'rate', 'first token: transformers / attune']))
console.log(row(Array(5).fill('---')))
const decodeCell = (side) => (side ? `${side.rate.toFixed(1)} tokens/s, first ${seconds(side.first)}${side.memory ? `, ${gigabytes(side.memory)}` : ''}` : '-')
for (const task of decodeCases) {
  if (flags.only && task.name !== flags.only) continue
  const { own, fp32 } = await decode(work, task, flags.quick ? 1 : 3)
  console.log(row([task.name, decodeCell(own), decodeCell(fp32), ratio(own, fp32, 'rate'), ratio(fp32, own, 'first')]))
}
/** Seconds of attune and of transformers for the same pairs, the best of all rounds. */
const rank = async (rounds) => {
  const args = [join(work, 'ranker'), join(work, 'ranked.jsonl')]
  const sides = {}
  const keep = (side) => (line) => (sides[side] = !sides[side] || line.seconds < sides[side].seconds ? line : sides[side])
  for (let round = 0; round < rounds; round++) {
    await jsonLines(process.execPath, [join(here, 'rank.mjs'), ...args], {}, keep('own'))
    if (flags.peer) await jsonLines(flags.peer, [join(here, 'rank.py'), ...args], { HF_HUB_OFFLINE: '1' }, keep('fp32'))
  }
  return sides
}
if (!flags.only || flags.only === rankCase) {
  const { own, fp32 } = await rank(flags.quick ? 1 : 3)
  const cell = (side) => (side ? `${seconds(side.seconds)}, ${seconds(side.cpu)} of processor time` : '-')
  console.log(row(['case', 'attune', 'transformers fp32', 'fp32 / attune', 'processor time']))
  console.log(row(Array(5).fill('---')))
  console.log(row([rankCase, cell(own), cell(fp32), ratio(fp32, own, 'seconds'), ratio(fp32, own, 'cpu')]))
}
if (flags.llama) await benchLlama(flags.llama, join(work, 'smollm2'), flags.quick ? 1 : 3)
if (!flags.only) benchCartpole(flags.peer, flags.quick)
if (!flags.keep) rmSync(work, { recursive: true })
