/**
 * Times work that is shared out to workers of one thread each on this machine:
 * `npm run bench:workers -- [--model DIR] [--rounds N] [--only NAME] [--keep DIR] [--small]`.
 * `--small` only sees that every row runs to its end. Each row is the same command without workers (one thread), with one worker and with two, in turn; medians of the rounds.
 * It needs redis-server. Without --model the model has SmolLM2-135M's shape and random weights.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { hhLines, makeInputs, makeModel, smollm2 } from './cases.mjs'

const here = dirname(new URL(import.meta.url).pathname)
const cli = join(here, '..', 'bin', 'attune.js')
const dist = new URL('../dist/', import.meta.url)
const { values: flags } = parseArgs({ options: { model: { type: 'string' }, rounds: { type: 'string', default: '3' }, keep: { type: 'string' }, only: { type: 'string' }, small: { type: 'boolean', default: false } } })
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
const children = [redis]
// A failure too leaves nobody behind
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')))
await new Promise((resolve) => redis.stdout.on('data', (chunk) => `${chunk}`.includes('Ready to accept') && resolve()))

/** A worker of one thread, with a cache of its own. Resolves when it is ready. */
const startWorker = async (i) => {
  const child = spawn(process.execPath, [cli, 'worker', url, '--threads', '1', '--json'], { env: { ...process.env, ATTUNE_CACHE: join(work, `cache-${i}`) } })
  children.push(child)
  await new Promise((resolve) => child.stdout.on('data', (chunk) => `${chunk}`.includes('"ready"') && resolve()))
  return child
}

/** JSON lines of a command, each with the second at which it came (`at`). @param isLast whether all is known with this line */
const run = async (argv, isLast = () => false) => {
  const began = performance.now()
  const child = spawn(process.execPath, [cli, ...argv, '--json'], { env: { ...process.env, ATTUNE_CACHE: join(work, 'cache') } })
  let [rest, errors, isKnown] = ['', '', false]
  const lines = []
  child.stdout.on('data', (chunk) => {
    const texts = (rest + chunk).split('\n')
    rest = texts.pop()
    for (const text of texts.filter((each) => each.startsWith('{'))) {
      lines.push({ ...JSON.parse(text), at: (performance.now() - began) / 1000 })
      isKnown ||= isLast(lines.at(-1))
    }
    if (isKnown) child.kill('SIGKILL')
  })
  child.stderr.on('data', (chunk) => (errors += chunk))
  if ((await ended(child)) !== 0 && !isKnown) throw new Error(`${argv.join(' ')}: ${errors.slice(-2000)}`)
  return { lines }
}

await makeInputs(work, cli)
const model = ['--model', flags.model ?? join(work, 'smollm2'), '--threads', '1']
const lora = ['--lora-r', '32', '--lora-target', 'q_proj,v_proj', '--no-shuffle', '--epochs', '1', '--learning-rate', '1e-5']
const data = (name) => ['--data', join(work, name)]
const size = flags.small ? { steps: 2, rows: 2, tokens: 4, new: 4 } : { steps: 6, rows: 12, tokens: 32, new: 48 }

/** A run that began with a trained adapter computes all reference log-probs before its first step. */
const trained = join(work, 'trained')
if (!existsSync(join(trained, 'adapter'))) await run(['sft', ...model, ...data('texts.jsonl'), '--batch-size', '1', ...lora, '--max-steps', '1', '--output', trained])
const isReference = ({ event, phase }) => event === 'progress' && phase === 'reference'
const lastReference = (line) => isReference(line) && line.done === line.total
/** Without the first step, for which a worker opens the model. */
const referenceSeconds = ({ lines }) => lines.find(lastReference).at - lines.find(isReference).at

/** A judge that reads text: the same layers with the vocabulary of the 260K model, and HH-RLHF rows. */
const stories = join(here, '..', 'test', 'fixtures', 'models', 'stories260K')
makeModel(work, cli, 'judge', { ...smollm2, vocab_size: 512 })
cpSync(join(stories, 'tokenizer.json'), join(work, 'judge', 'tokenizer.json'))
cpSync(join(stories, 'tokenizer_config.json'), join(work, 'judge', 'tokenizer_config.json'))
writeFileSync(join(work, 'judged.txt'), '# system\n{format}\n# user\n{question}: {answer_a} or {answer_b}?\n')
writeFileSync(join(work, 'judged.jsonl'), hhLines().map((line) => JSON.parse(line)).filter(({ chosen, rejected }) => chosen.length + rejected.length < 800).map((row) => `${JSON.stringify(row)}\n`).join(''))
const judgeSeconds = ({ lines }) => lines.findLast(({ event }) => event === 'end').at - lines.find(({ event }) => event === 'plan').at

const steps = ({ lines }) => median(lines.filter(({ event }) => event === 'step').slice(1).map(({ seconds }) => seconds))
const rollouts = ({ lines }) => median(lines.filter(({ event }) => event === 'step').slice(1).map((step) => step['time/rollout']))

/** Completions whose model is open already; the whole of a command, so that without workers the model is read, too. */
const completions = (form, ...flags) => ({
  name: `generate${form}, 16 prompts x 8 completions x ${size.new} tokens`,
  unit: 's',
  argv: ['generate', ...model, ...data('prompts.jsonl'), '--max-samples', '16', '--num-return-sequences', '8', '--batch-size', '128', '--temperature', '1', '--min-new-tokens', `${size.new}`, '--max-new-tokens', `${size.new}`, ...flags],
  before: ['--max-samples', '2', '--num-return-sequences', '1', '--min-new-tokens', '1', '--max-new-tokens', '1'],
  of: ({ lines }) => lines.at(-1).at,
  printsAll: true,
})

const cases = [
  completions(''),
  completions(' in int8', '--quantize', 'int8'),
  { name: 'LoRA step, 8 x 256 tokens in 4 shards', unit: 's/step', argv: ['sft', ...model, ...data('texts.jsonl'), '--batch-size', '8', ...lora, '--max-steps', '4'], of: steps },
  { name: 'rollout of GRPO, 4 prompts x 8 x 32 tokens', unit: 's', argv: ['grpo', ...model, ...data('prompts.jsonl'), '--batch-size', '4', '--num-generations', '8', '--max-new-tokens', '32', '--reward', join(here, 'oddTokens.mjs'), ...lora, '--max-steps', '3'], of: rollouts },
  { name: 'DPO LoRA step with reference log-probs, 8 pairs of 120 + 136', unit: 's/step', argv: ['dpo', ...model, ...data('equal.jsonl'), '--batch-size', '8', ...lora, '--max-steps', '4'], of: steps },
  { name: `reference log-probs, ${4 * (size.steps - 1)} pairs of 120 + 136`, unit: 's', argv: ['dpo', ...model, '--adapter', join(trained, 'adapter'), ...data('equal.jsonl'), '--max-steps', `${size.steps}`, '--batch-size', '4', '--no-shuffle'], isLast: lastReference, of: referenceSeconds },
  { name: `judging, ${size.rows} HH-RLHF rows in both orders, ${size.tokens} tokens each`, unit: 's', argv: ['judge', '--judge', join(work, 'judge'), '--threads', '1', ...data('judged.jsonl'), '--prompt-file', join(work, 'judged.txt'), '--max-samples', `${size.rows}`, '--max-new-tokens', `${size.tokens}`], before: ['--max-samples', '1', '--max-new-tokens', '1'], of: judgeSeconds },
]

console.log('| work | without workers, one thread | one worker | two workers | overhead of one | two over one |')
console.log('| --- | --- | --- | --- | --- | --- |')
for (const { name, argv, unit, of, isLast, before, printsAll } of cases.filter(({ name }) => !flags.only || name.startsWith(flags.only))) {
  const times = [[], [], []]
  for (let round = 0; round < rounds; round++)
    for (const count of [0, 1, 2]) {
      const workers = await Promise.all(Array.from({ length: count }, (_, i) => startWorker(i)))
      const shared = [...(printsAll ? [] : ['--output', join(work, 'run')]), ...(count ? ['--workers', url] : [])]
      const forget = () => {
        for (const made of [join(work, 'run'), join(work, 'cache', 'reference')]) rmSync(made, { recursive: true, force: true })
      }
      forget()
      // So that workers have opened the model
      if (before && count) await run([...argv, ...before, ...shared])
      forget()
      times[count].push(of(await run([...argv, ...shared], isLast)))
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
