/**
 * Runs that share their work out, among machines that fail: `npm run workers`.
 * Workers are killed and stopped past their lock, Redis is killed, restarted and emptied, the network between any two hosts swallows
 * everything for a while, the run itself is killed and resumed. Every run must end with the weights or rows of one process, say each
 * thing once, and leave nothing in the queue. Each host is a network namespace, which takes root on Linux; otherwise all is on one
 * address and no network is cut. Environment variables: STOPS (500 of workers: half are kills), REDIS (50), CUTS (50), KILLS (20 of
 * runs), SEED, SCENARIO (a pattern of names), MINUTES (ends sooner). Faults by time are not exactly repeatable.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { queuePrefix } from '../../src/workers/redis.ts'
import { type Draws, drawsOf, tallyOf } from '../support/campaign.ts'
import { canHaveHosts, openHosts } from '../support/hosts.ts'
import { openRedis, startWorker, type TestWorker } from '../support/redis.ts'
import { type Ended, errorOf, logOf, start, weightsOf } from '../support/runs.ts'
import { writeInputs } from '../support/scenarios.ts'

const { SEED = '1', SCENARIO = '', MINUTES = '1e6' } = process.env
const seed = Number(SEED)
const kinds = ['worker killed', 'worker stopped', 'redis killed', 'redis emptied', 'network cut', 'run killed'] as const
type Kind = (typeof kinds)[number]

const root = mkdtempSync(join(tmpdir(), 'attune-campaign-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const inputs = join(root, 'inputs')
writeInputs(inputs)
const pairs = join(inputs, 'pairs.jsonl')
const many = join(inputs, 'many.jsonl')
writeFileSync(many, readFileSync(pairs, 'utf8').repeat(12))

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** A short one, for a model that reads 512 tokens. */
const prompt = join(root, 'prompt.md')
writeFileSync(prompt, '# user\nGrade {question} {answer}\n\n{format}\n')

/** The rows by their numbers, without the sum that seals each line after those before it. */
const judgementsIn = (output: string) =>
  readFileSync(join(output, 'judgements.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { hash: _, ...row } = JSON.parse(line)
      return row
    })
    .sort((a, b) => a.id - b.id)

// Runs

type Run = {
  name: string
  argv(output: string): string[]
  resume: readonly string[]
  result(output: string, ended: Ended): string
}

const policy = ['--model', join(inputs, 'model'), '--threads', '1']
const lora = ['--lora-r', '4', '--learning-rate', '1e-4', '--epochs', '1000', '--max-length', '64']
const small = ['--batch-size', '2', '--grad-accum', '3', ...lora]
const training = (name: string, ...flags: string[]): Run => ({
  name,
  argv: (output) => [name, ...policy, '--data', pairs, ...flags, '--save-every', '10', '--output', output],
  resume: ['--resume'],
  result: (output) => sha256(weightsOf(output) + logOf(output).join('\n')),
})
const allRuns: Run[] = [
  training('dpo', ...small, '--max-steps', '150'),
  training(
    'grpo',
    ...['--reward', 'friends=regex:friend|happy', '--num-generations', '4', '--max-new-tokens', '32'],
    ...[
      ...['--batch-size', '4', '--grad-accum', '2', '--kl-coef', '0.1', '--num-iterations', '2', '--max-steps', '50'],
      ...lora,
    ],
  ),
  training(
    'asft',
    ...small,
    '--helper',
    'column:rejected',
    '--helper',
    join(inputs, 'model'),
    ...[...['--iterations', '3', '--max-new-tokens', '24', '--max-steps', '20']],
  ),
  {
    name: 'generate',
    argv: () => ['generate', ...policy, '--data', many, '--max-new-tokens', '150', '--temperature', '1', '--json'],
    resume: [],
    result: (_, { stdout }) => sha256(stdout),
  },
  {
    name: 'judge',
    argv: (output) => [
      ...[
        'judge',
        '--judge',
        join(inputs, 'model'),
        '--threads',
        '1',
        '--data',
        many,
        '--mode',
        'single',
        '--prompt-file',
        prompt,
      ],
      ...['--max-new-tokens', '60', '--output', output, '--json'],
    ],
    resume: [],
    result: (output) => sha256(JSON.stringify(judgementsIn(output))),
  },
]
const runs = allRuns.filter(({ name }) => new RegExp(SCENARIO).test(name))

// Machines

const names = ['redis', 'run', 'a', 'b', 'c']
const hosts = canHaveHosts() ? openHosts(names) : undefined
afterAll(() => hosts?.close())
if (!hosts) console.log('no network namespaces (root on Linux): no network is cut')

const number = (name: string, fallback: number) => Number(process.env[name] ?? fallback)
const stops = number('STOPS', 500)
const left = new Map<Kind, number>([
  ['worker killed', Math.ceil(stops / 2)],
  ['worker stopped', Math.floor(stops / 2)],
  ['redis killed', number('REDIS', 50)],
  ['redis emptied', Math.ceil(number('REDIS', 50) / 2)],
  ['network cut', hosts ? number('CUTS', 50) : 0],
  ['run killed', number('KILLS', 20)],
])
const asked: ReadonlyMap<Kind, number> = new Map(left)
const remaining = () => [...left.values()].reduce((sum, n) => sum + n, 0)

const openMachines = async () => {
  const redis = await openRedis([], { host: hosts?.addressOf('redis'), by: hosts?.on('redis') })
  const workers = new Map<string, TestWorker>()
  /** Of workers that are gone. */
  let [shards, failures, errors] = [0, 0, '']
  let isClosed = false
  const bury = (worker: TestWorker) => {
    shards += worker.events.filter(({ event }) => event === 'shard').length
    failures += worker.events.filter(({ event }) => event === 'failed').length
    // Redis may be away just when it starts
    if (!/^error: the address: no Redis answers/.test(worker.errors())) errors += worker.errors()
  }
  /** Starts a worker, and another one when it has ended, as an init system does. */
  const join_ = (name: string) => {
    const worker = startWorker(redis.url, join(root, `cache-${name}`), ['--name', name], hosts?.on(name))
    workers.set(name, worker)
    worker.child.once('exit', async () => {
      bury(worker)
      await wait(100)
      if (!isClosed) join_(name)
    })
  }
  for (const name of ['a', 'b', 'c']) join_(name)
  await Promise.all([...workers.values()].map((worker) => worker.until('ready')))
  return {
    redis,
    workers,
    counts: () => ({ shards, failures, errors }),
    async close() {
      isClosed = true
      for (const worker of workers.values()) await worker.kill()
      await redis.close()
    },
  }
}
type Machines = Awaited<ReturnType<typeof openMachines>>

/** Lets one thing after another fail until the run has ended, each after a while. @returns what failed */
const trouble = async (
  { redis, workers }: Machines,
  draws: Draws,
  { isOver, killRun }: { isOver(): boolean; killRun(): void },
): Promise<Kind[]> => {
  const done: Kind[] = []
  /** Of each kind in one run, so that every method gets its share. */
  const most = new Map(kinds.map((kind) => [kind, Math.ceil(asked.get(kind)! / 15)]))
  const stopped = new Set<string>()
  /** Workers that have begun and are not stopped. */
  const working = () =>
    [...workers].flatMap(([name, { child, events }]) =>
      !stopped.has(name) && child.exitCode === null && child.signalCode === null && events.length ? [name] : [],
    )
  const inBackground: Promise<unknown>[] = []
  const faults: Record<Kind, () => Promise<unknown> | unknown> = {
    'worker killed': () => workers.get(draws.pick(working()))!.kill(),
    'worker stopped'() {
      const name = draws.pick(working())
      const { child } = workers.get(name)!
      child.kill('SIGSTOP')
      stopped.add(name)
      // Its lock lasts ten seconds, and its entry six
      const over = wait(draws.pick([300, 300, 600, 1000, 1000, 2000, 8000, 13_000])).then(() => {
        child.kill('SIGCONT')
        stopped.delete(name)
      })
      inBackground.push(over)
    },
    async 'redis killed'() {
      await redis.kill()
      await wait(draws.pick([0, 200, 1000, 3000]))
      await redis.start()
    },
    'redis emptied': () => redis.cli('flushall'),
    async 'network cut'() {
      const one = draws.pick(names)
      const other = draws.pick(names.filter((name) => name !== one))
      hosts!.cut(one, other)
      await wait(draws.pick([300, 800, 2000, 7000]))
      hosts!.mend(one, other)
    },
    'run killed': killRun,
  }
  while (true) {
    await wait(100 + draws.below(500))
    if (isOver()) break
    const possible = kinds.filter(
      (kind) => left.get(kind)! > 0 && most.get(kind)! > 0 && (working().length > 0 || !kind.startsWith('worker')),
    )
    if (possible.length === 0) continue
    // What is most missing is likeliest
    let at = draws.part() * possible.reduce((sum, kind) => sum + left.get(kind)!, 0)
    const kind = possible.find((each) => (at -= left.get(each)!) < 0) ?? possible[0]
    await faults[kind]()
    if (isOver() && kind === 'run killed') break
    left.set(kind, left.get(kind)! - 1)
    most.set(kind, most.get(kind)! - 1)
    done.push(kind)
  }
  await Promise.all(inBackground)
  return done
}

const cache = join(root, 'cache')

it(`runs end as those of one process (${remaining()} faults, seed ${seed})`, async () => {
  const whole = new Map<string, string>()
  for (const { name, argv, result } of runs) {
    const output = join(root, `whole-${name}`)
    const ended = await start(argv(output), { cache })
    expect(ended.code, ended.stderr).toBe(0)
    whole.set(name, result(output, ended))
  }
  const until = Date.now() + Number(MINUTES) * 60_000
  const machines = await openMachines()
  const [tally, messages] = [tallyOf(), tallyOf()]
  try {
    for (let n = 0; remaining() > 0 && Date.now() < until; n++) {
      const run = runs[n % runs.length]
      const output = join(root, `run-${n}`)
      const shared = [...run.argv(output), '--workers', machines.redis.url]
      let isOver = false
      let killRun = () => {}
      let stderr = ''
      const go = async () => {
        for (let tries = 0; ; tries++) {
          const ended = await start([...shared, ...(tries ? run.resume : [])], {
            cache,
            by: hosts?.on('run'),
            watch(kill) {
              killRun = () => kill('SIGKILL')
              const timer = setTimeout(() => kill('SIGTERM'), 900_000)
              return () => clearTimeout(timer)
            },
          })
          stderr += ended.stderr
          // It may be killed before it has written anything to resume
          const isRefused = tries > 0 && ended.code === 2 && /no checkpoint|nothing to resume|no run/.test(ended.stderr)
          // Redis may be away just when it starts
          const isWithoutRedis = /no Redis answers/.test(ended.stderr) && ended.code === 2
          if (ended.signal === 'SIGKILL' || isWithoutRedis) await wait(isWithoutRedis ? 1000 : 0)
          else if (isRefused) rmSync(output, { recursive: true, force: true })
          else return ended
        }
      }
      const going = go().finally(() => {
        isOver = true
      })
      const failed = trouble(machines, drawsOf(seed, n), { isOver: () => isOver, killRun: () => killRun() })
      const [ended, kinds_] = await Promise.all([going, failed])
      const what = `SEED=${seed}, run ${n}, ${run.name}`
      const isEqual = ended.code === 0 && run.result(output, ended) === whole.get(run.name)
      const result = isEqual ? 'equal' : ended.code === 0 ? 'different' : 'failed'
      tally.count(run.name, 'runs')
      tally.count(run.name, result)
      for (const kind of kinds_) tally.count(run.name, kind)
      tally.tell(
        !isEqual,
        what,
        isEqual ? '' : `${ended.code} ${ended.signal} ${errorOf(ended)}\n${stderr.slice(-2000)}`,
      )
      // Words about workers and Redis, and how many there may be: of each fault a few
      const notes = stderr.split('\n').filter((line) => line.startsWith('  workers '))
      messages.count(run.name, 'faults', kinds_.length)
      messages.count(run.name, 'messages', notes.length)
      tally.tell(
        notes.length > 6 + 3 * kinds_.length,
        `${what}, messages`,
        notes.length > 6 + 3 * kinds_.length ? notes.join('\n') : '',
      )
      const queued = () => machines.redis.cli('keys', `${queuePrefix}:*-${'?'.repeat(64)}`).trim()
      for (let i = 0; queued() !== '' && i < 150; i++) await wait(200)
      tally.tell(queued() !== '', `${what}, queue`, queued())
      rmSync(output, { recursive: true, force: true })
      console.log(
        `${what}: ${result} in ${Math.round(ended.ms / 1000)} s after ${kinds_.length} faults; ${remaining()} left`,
      )
    }
  } finally {
    await machines.close()
  }
  tally.print('faults')
  messages.print('messages')
  const { errors, ...counts } = machines.counts()
  console.log('shards that workers did, and failed with:', counts)
  expect(errors).toBe('')
  expect(tally.failures).toEqual([])
})
