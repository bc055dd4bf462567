/**
 * Times work that is shared out to workers of one thread each on this machine: `npm run bench:workers -- [--model DIR] [--rounds N]`.
 * Each row is the same command without workers (one thread), with one worker and with two, in turn; medians of the rounds.
 * It needs redis-server. Without --model the model has SmolLM2-135M's shape and random weights.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeInputs } from './cases.mjs'

const here = dirname(new URL(import.meta.url).pathname)
const cli = join(here, '..', 'bin', 'attune.js')
const dist = new URL('../dist/', import.meta.url)
const { values: flags } = parseArgs({ options: { model: { type: 'string' }, rounds: { type: 'string', default: '3' }, keep: { type: 'string' }, only: { type: 'string' } } })
const rounds = Number(flags.rounds)
const work = flags.keep ?? mkdtempSync(join(tmpdir(), 'attune-bench-workers-'))
mkdirSync(work, { recursive: true })

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const ended = (child) => new Promise((resolve) => child.once('exit', resolve))
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const port = await freePort()
const url = `redis://127.0.0.1:${port}`
const redis = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', work], { stdio: ['ignore', 'pipe', 'inherit'] })
await new Promise((resolve) => redis.stdout.on('data', (chunk) => `${chunk}`.includes('Ready to accept') && resolve()))

/** A worker of one thread, with a cache of its own. Resolves when it is ready. */
const startWorker = async (i) => {
  const child = spawn(process.execPath, [cli, 'worker', url, '--threads', '1', '--json'], { env: { ...process.env, ATTUNE_CACHE: join(work, `cache-${i}`) } })
  await new Promise((resolve) => child.stdout.on('data', (chunk) => `${chunk}`.includes('"ready"') && resolve()))
  return child
}

/** JSON lines of a command, and the seconds that it took. */
const run = async (argv) => {
  const began = performance.now()
  const child = spawn(process.execPath, [cli, ...argv, '--json'], { env: { ...process.env, ATTUNE_CACHE: join(work, 'cache') } })
  let [text, errors] = ['', '']
  child.stdout.on('data', (chunk) => (text += chunk))
  child.stderr.on('data', (chunk) => (errors += chunk))
  if ((await ended(child)) !== 0) throw new Error(`${argv.join(' ')}: ${errors.slice(-2000)}`)
  const lines = text.trim().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  return { lines, seconds: (performance.now() - began) / 1000 }
}

await makeInputs(work, cli)
const model = ['--model', flags.model ?? join(work, 'smollm2'), '--threads', '1']
const lora = ['--lora-r', '32', '--lora-target', 'q_proj,v_proj', '--no-shuffle', '--epochs', '1', '--learning-rate', '1e-5']
const data = (name) => ['--data', join(work, name)]
const steps = ({ lines }) => median(lines.filter(({ event }) => event === 'step').slice(1).map(({ seconds }) => seconds))
const rollouts = ({ lines }) => median(lines.filter(({ event }) => event === 'step').slice(1).map((step) => step['time/rollout']))

const cases = [
  { name: 'LoRA step, 8 x 256 tokens in 4 shards', unit: 's/step', argv: ['sft', ...model, ...data('texts.jsonl'), '--batch-size', '8', ...lora, '--max-steps', '4'], of: steps },
  { name: 'rollout of GRPO, 4 prompts x 8 x 32 tokens', unit: 's', argv: ['grpo', ...model, ...data('prompts.jsonl'), '--batch-size', '4', '--num-generations', '8', '--max-new-tokens', '32', '--reward', join(here, 'oddTokens.mjs'), ...lora, '--max-steps', '3'], of: rollouts },
  { name: 'DPO LoRA step with reference log-probs, 8 pairs of 120 + 136', unit: 's/step', argv: ['dpo', ...model, ...data('equal.jsonl'), '--batch-size', '8', ...lora, '--max-steps', '4'], of: steps },
]

console.log('| work | without workers, one thread | one worker | two workers | overhead of one | two over one |')
console.log('| --- | --- | --- | --- | --- | --- |')
for (const { name, argv, unit, of } of cases.filter(({ name }) => !flags.only || name.startsWith(flags.only))) {
  const times = [[], [], []]
  for (let round = 0; round < rounds; round++)
    for (const count of [0, 1, 2]) {
      const workers = await Promise.all(Array.from({ length: count }, (_, i) => startWorker(i)))
      rmSync(join(work, 'run'), { recursive: true, force: true })
      rmSync(join(work, 'cache', 'reference'), { recursive: true, force: true })
      times[count].push(of(await run([...argv, '--output', join(work, 'run'), ...(count ? ['--workers', url] : [])])))
      for (const worker of workers) {
        worker.kill('SIGKILL')
        await ended(worker)
      }
    }
  const [none, one, two] = times.map(median)
  console.log(`| ${name} | ${none.toFixed(2)} ${unit} | ${one.toFixed(2)} | ${two.toFixed(2)} | ${(100 * (one / none - 1)).toFixed(1)} % | ${(one / two).toFixed(2)}x |`)
}

// Small shards: log-probabilities of eight tokens under a tiny model
if (!flags.only || flags.only === 'queue') {
  const { openCoordinator } = await import(new URL('workers/coordinator.js', dist))
  const { version } = await import(new URL('util/version.node.js', dist))
  const { pack } = await import(new URL('util/packed.js', dist))
  const workers = await Promise.all([0, 1].map(startWorker))
  const coordinator = await openCoordinator({ url, name: 'queue', version: version(), note: () => {} })
  const tiny = join(here, '..', 'test', 'fixtures', 'models', 'llama-tied')
  const base = {}
  for (const name of ['config.json', 'model.safetensors']) base[name] = await coordinator.publish({ path: join(tiny, name) })
  const of = await coordinator.publish(pack({ base, open: { quantize: 'none', compute: 'fp32' } }))
  const files = [of, ...Object.values(base)]
  const options = { temperature: 0, maxNewTokens: 1, samples: 1, seed: 0, eosIds: [] }
  const shards = (from, count) => Array.from({ length: count }, (_, i) => ({ kind: 'samples', input: { model: of, requests: [{ prompt: [3, 4, 5], row: from + i }], options }, files }))
  const take = async (all) => {
    let n = 0
    for await (const _ of coordinator.results(all, () => Promise.reject(new Error('no worker')))) n++
    return n
  }
  await take(shards(0, 50))
  const began = performance.now()
  const n = await take(shards(1000, 3000))
  const seconds = (performance.now() - began) / 1000
  console.log(`queue: ${n} small shards in ${seconds.toFixed(2)} s, ${Math.round(n / seconds)} a second with two workers`)
  await coordinator.close()
  for (const worker of workers) worker.kill('SIGKILL')
}
redis.kill('SIGKILL')
if (!flags.keep) rmSync(work, { recursive: true })
