/**
 * Benchmarks attune against PyTorch, TRL, transformers and llama.cpp: `npm run bench -- [--peer PYTHON] [--llama DIR] [--quick] [--short] [--only NAME]`.
 * --quick takes one round instead of three. --short is the most telling rows in one round, five minutes: medians of three steps.
 * attune runs through its command line. The peer (PyTorch, TRL) gets the same model folder and rows, so both do the same work.
 * Training times are medians over the steps after two warm-up steps.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { group } from 'd3-array'
import { benchCartpole } from './cartpole.mjs'
import { cases, decodeCases, makeInputs, rankCase, shortCases } from './cases.mjs'
import { benchLlama } from './llama.mjs'
import { matmulRates } from './matmul.mjs'

const here = dirname(new URL(import.meta.url).pathname)
const cli = join(here, '..', 'bin', 'attune.js')
const { values: flags } = parseArgs({
  options: { peer: { type: 'string' }, llama: { type: 'string' }, quick: { type: 'boolean' }, short: { type: 'boolean' }, only: { type: 'string' }, keep: { type: 'string' } },
})

flags.quick ||= flags.short
const rounds = flags.quick ? 1 : 3
/** Rows that are asked for: all, one (in fp32: with those of the same work in 8 bits), or those of the short form. */
const isAsked = ({ name, ofPeer = name }) =>
  flags.only ? [name, ofPeer].includes(flags.only) : !flags.short || shortCases.includes(ofPeer)

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

/** torchao is asked for where --peer has it. */
const hasTorchao = flags.peer !== undefined && spawnSync(flags.peer, ['-c', 'import torchao']).status === 0

/**
 * Times rows of the same work and their peer in alternation, so that a change in the machine's speed affects all of them.
 * @returns the sides of each row
 */
const compare = async (work, tasks) => {
  const peers = { fp32: [], bf16: [], int8: [] }
  const own = tasks.map(() => ({ fast: [], low: [] }))
  const { peer: hasPeer } = tasks[0]
  for (let round = 0; round < rounds; round++) {
    for (const [i, task] of tasks.entries()) {
      own[i].fast.push(await attune(work, task, 'fast'))
      if (task.low && round === 0 && !flags.short) own[i].low.push(await attune(work, task, 'low'))
    }
    if (!flags.peer || !hasPeer) continue
    peers.fp32.push(await peer(flags.peer, tasks[0], 'float32'))
    peers.bf16.push(await peer(flags.peer, tasks[0], 'bfloat16'))
    if (hasTorchao && tasks.some(({ torchao }) => torchao)) peers.int8.push(await peer(flags.peer, tasks[0], 'int8'))
  }
  const middle = (runs) => runs.length && { step: median(runs.map(({ step }) => step)), peak: median(runs.map(({ peak }) => peak)) }
  const middles = (sides) => Object.fromEntries(Object.entries(sides).map(([name, runs]) => [name, middle(runs)]))
  return own.map((sides, i) => ({ ...middles(sides), ...middles(peers), int8: tasks[i].torchao && middle(peers.int8), first: sides.fast[0].first }))
}

/** Tokens per second and seconds to the first token of attune and transformers, the best of all rounds. */
const decode = async (work, { batch, prompt, fresh, quantize = 'none', compute = 'fp32' }) => {
  const args = [join(work, 'smollm2'), '--batch', batch, '--prompt', prompt, '--new', fresh, '--rounds', flags.short ? 3 : rounds].map(String)
  const sides = { own: { rate: 0, first: Number.POSITIVE_INFINITY }, fp32: undefined }
  const better = (a, b) => ({ rate: Math.max(a?.rate ?? 0, b.rate), first: Math.min(a?.first ?? b.first, b.first), memory: b.memory })
  for (let round = 0; round < rounds; round++) {
    await jsonLines(process.execPath, [join(here, 'decode.mjs'), ...args, '--quantize', quantize, '--compute', compute], {}, (line) => (sides.own = better(sides.own, line)))
    if (!flags.peer || quantize !== 'none' || (compute !== 'fp32' && !flags.only)) continue
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
console.log(row(['case', 'attune fast', 'attune low', 'peer fp32', 'peer bf16', 'torchao int8', 'fp32 / fast', 'bf16 / fast', 'peak fast / fp32', 'peak low / fp32', 'start to step 1']))
console.log(row(Array(11).fill('---')))
/** Rows of the same work together, so that they share their peer. */
const groups = group(cases(work, flags.quick).filter(isAsked), ({ name, ofPeer = name }) => ofPeer).values()
for (const tasks of groups) {
  const found = await compare(work, tasks)
  for (const [i, { fast, low, fp32, bf16, int8, first }] of found.entries()) {
    const ratios = [ratio(fp32, fast, 'step'), ratio(bf16, fast, 'step'), ratio(fast, fp32, 'peak'), ratio(low, fp32, 'peak')]
    console.log(row([tasks[i].name, shown(fast), shown(low), shown(fp32), shown(bf16), shown(int8), ...ratios, seconds(first)]))
  }
}
console.log(row(['case', 'attune', 'transformers fp32', 'rate', 'first token: transformers / attune']))
console.log(row(Array(5).fill('---')))
const decodeCell = (side) => (side ? `${side.rate.toFixed(1)} tokens/s, first ${seconds(side.first)}${side.memory ? `, ${gigabytes(side.memory)}` : ''}` : '-')
/** transformers' figures by the row that they were measured beside. */
const measured = new Map()
for (const task of decodeCases.filter(isAsked)) {
  const found = await decode(work, task)
  measured.set(task.name, found.fp32)
  const { own, fp32 = measured.get(task.ofPeer) } = found
  console.log(row([task.name, decodeCell(own), decodeCell(fp32), ratio(own, fp32, 'rate'), ratio(fp32, own, 'first')]))
}
/** Seconds of attune and of transformers for the same pairs, the best of all rounds. */
const rank = async () => {
  const args = [join(work, 'ranker'), join(work, 'ranked.jsonl')]
  const sides = {}
  const keep = (side) => (line) => (sides[side] = !sides[side] || line.seconds < sides[side].seconds ? line : sides[side])
  for (let round = 0; round < rounds; round++) {
    await jsonLines(process.execPath, [join(here, 'rank.mjs'), ...args], {}, keep('own'))
    if (flags.peer) await jsonLines(flags.peer, [join(here, 'rank.py'), ...args], { HF_HUB_OFFLINE: '1' }, keep('fp32'))
  }
  return sides
}
if (isAsked({ name: rankCase })) {
  const { own, fp32 } = await rank()
  const cell = (side) => (side ? `${seconds(side.seconds)}, ${seconds(side.cpu)} of processor time` : '-')
  console.log(row(['case', 'attune', 'transformers fp32', 'fp32 / attune', 'processor time']))
  console.log(row(Array(5).fill('---')))
  console.log(row([rankCase, cell(own), cell(fp32), ratio(fp32, own, 'seconds'), ratio(fp32, own, 'cpu')]))
}
if (flags.llama && !flags.short) await benchLlama(flags.llama, join(work, 'smollm2'), rounds)
if (!flags.only && !flags.short) benchCartpole(flags.peer, flags.quick)
if (!flags.keep) rmSync(work, { recursive: true })
