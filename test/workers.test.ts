/** Runs whose work is shared out over Redis end as those of one process do, whatever happens to workers and Redis. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fixture } from './support/golden.ts'
import { hasRedis, openRedis, startWorker, type TestRedis, type TestWorker } from './support/redis.ts'
import { logOf, start, weightsOf } from './support/runs.ts'
import { openS3Stub } from './support/s3Stub.ts'
import { writeInputs } from './support/scenarios.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-workers-'))
const inputs = join(root, 'inputs')
const at = (name: string) => join(root, name)
let redis: TestRedis
let workers: TestWorker[] = []

const model = ['--model', join(inputs, 'model'), '--threads', '1']
const lora = ['--lora-r', '4', '--learning-rate', '1e-3']
const dpo = ['dpo', ...model, '--data', join(inputs, 'pairs.jsonl'), '--batch-size', '2', '--grad-accum', '3', ...lora]
const dpoSteps = [...dpo, '--max-steps', '4', '--max-length', '64', '--save-every', '1']
const prompts = join(inputs, 'pairs.jsonl')
const grpo = [
  'grpo',
  ...model,
  '--data',
  prompts,
  '--batch-size',
  '4',
  '--num-generations',
  '4',
  '--max-new-tokens',
  '8',
]
const grpoSteps = [...grpo, '--reward', 'letters=regex:e.*e', ...lora, '--max-steps', '4', '--kl-coef', '0.1']

const isThere = ({ child }: TestWorker) => child.exitCode === null && child.signalCode === null
const leave = async () => {
  await Promise.all(workers.map((worker) => worker.kill()))
  workers = []
}
let joined = 0
/** Starts what is missing to so many workers, which stay for the tests that follow. */
const haveWorkers = async (count: number) => {
  workers = workers.filter(isThere)
  while (workers.length < count) workers.push(startWorker(redis.url, at(`cache-worker-${joined++}`)))
  await Promise.all(workers.map((worker) => worker.until('ready')))
  for (const { events } of workers) events.splice(1)
}

const lists = ['--max-steps', '2', '--max-new-tokens', '8', '--save-every', '1', '--max-length', '64']
const asft = [
  'asft',
  ...model,
  '--data',
  join(inputs, 'pairs.jsonl'),
  '--iterations',
  '2',
  '--batch-size',
  '2',
  '--grad-accum',
  '2',
  ...lists,
  ...lora,
]
const asftSteps = [...asft, '--helper', join(inputs, 'one'), '--exact-match']
const ppo = ['ppo', ...model, '--data', prompts, '--batch-size', '4', '--max-new-tokens', '8', '--max-steps', '2']
const ppoSteps = [...ppo, '--reward', 'letters=regex:e.*e', ...lora]

/** Short enough for the context of the model. */
const prompt = join(inputs, 'prompt.txt')

let runs = 0
/** A run to its end. @returns what it came to */
const run = async (argv: readonly string[], shared: boolean, watch?: Parameters<typeof start>[1]['watch']) => {
  const output = at(`run-${runs++}`)
  const flags = ['--output', output, '--json', ...(shared ? ['--workers', redis.url] : [])]
  const ended = await start([...argv, ...flags], { cache: at(`cache-${runs}`), watch })
  expect(ended.code, ended.stderr).toBe(0)
  expect(ended.stderr).not.toContain('could not compute a shard')
  return { output, weights: weightsOf(output), log: logOf(output), stderr: ended.stderr }
}

/** Files whose rows fill several passes. */
const long = {
  prompts: join(inputs, 'long-prompts.jsonl'),
  texts: join(inputs, 'long.jsonl'),
  ids: join(inputs, 'ids.jsonl'),
}

const writeLong = () => {
  const write = (path: string, rows: readonly object[]) =>
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const text = (i: number, words: number) =>
    Array.from({ length: words }, (_, k) => ['a girl', 'the dog', 'saw', 'one day', 'and'][(i + k * k) % 5]).join(' ')
  write(
    long.prompts,
    Array.from({ length: 16 }, (_, i) => ({ prompt: text(i, 100 + i) })),
  )
  write(
    long.texts,
    Array.from({ length: 90 }, (_, i) => ({ prompt: text(i, 5), completion: text(i, 20 + (i % 30)) })),
  )
  write(
    long.ids,
    Array.from({ length: 80 }, (_, i) => ({
      input_ids: Array.from({ length: 10 + (i % 20) }, (_, k) => 5 + ((i * k) % 50)),
    })),
  )
}

/** A step with the rewards of a reward model. */
const rlOnLong = [
  ...['--data', long.prompts, '--reward', join(inputs, 'judge')],
  ...['--batch-size', '16', '--max-new-tokens', '4', '--max-steps', '1', ...lora],
]

const ended = new Map<readonly string[], ReturnType<typeof run>>()
/** The run of one process, which several tests share. */
const aloneOf = (argv: readonly string[]) => {
  if (!ended.has(argv)) ended.set(argv, run(argv, false))
  return ended.get(argv)!
}

const shardEvents = () => workers.flatMap(({ events }) => events).filter(({ event }) => event === 'shard')
const shards = () => shardEvents().length
/** What the shards were. */
const kinds = () => [...new Set(shardEvents().map(({ kind }) => kind))].sort()

describe.skipIf(!hasRedis())('a run with workers', () => {
  beforeAll(async () => {
    writeInputs(inputs)
    writeLong()
    writeFileSync(prompt, '# system\n{format}\n# user\n{question}: {answer_a} or {answer_b}?\n')
    redis = await openRedis()
  })
  afterAll(async () => {
    await leave()
    await redis?.close()
    rmSync(root, { recursive: true, force: true })
  })

  it.each([
    ['dpo', dpoSteps],
    ['grpo', grpoSteps],
  ])('%s ends with the same weights and log with none, one, and two of which one is killed', async (_, argv) => {
    await leave()
    const [alone, none] = await Promise.all([aloneOf(argv), run(argv, true)])
    expect([none.weights, none.log]).toEqual([alone.weights, alone.log])
    await haveWorkers(1)
    const one = await run(argv, true)
    expect([one.weights, one.log]).toEqual([alone.weights, alone.log])
    expect(shards()).toBeGreaterThan(3)
    await haveWorkers(2)
    const [, second] = workers
    const killed = second.until('shard').then(() => second.kill())
    const two = await run(argv, true)
    await killed
    expect([two.weights, two.log]).toEqual([alone.weights, alone.log])
  })

  it.each([
    ['asft, with a helper model', asftSteps],
    ['ppo, with a value head', ppoSteps],
  ])('%s ends with the same weights and log with two', async (_, argv) => {
    const alone = await run(argv, false)
    await haveWorkers(2)
    const two = await run(argv, true)
    expect([two.weights, two.log]).toEqual([alone.weights, alone.log])
    expect(shards()).toBeGreaterThan(1)
  })

  it.each([
    ['generate', ['generate', ...model, '--data', prompts, '--max-new-tokens', '12', '--num-return-sequences', '2']],
    [
      'judge',
      [
        'judge',
        '--judge',
        join(inputs, 'model'),
        '--threads',
        '1',
        '--data',
        prompts,
        '--max-new-tokens',
        '8',
        '--prompt-file',
        prompt,
      ],
    ],
    [
      'best-of-n',
      [
        'best-of-n',
        ...model,
        '--data',
        prompts,
        '--reward',
        'regex:e',
        '--num-generations',
        '4',
        '--max-new-tokens',
        '8',
      ],
    ],
  ])('%s prints the same lines with two', async (_, argv) => {
    const alone = await start([...argv, '--json'], { cache: at('cache-lines') })
    await haveWorkers(2)
    const two = await start([...argv, '--json', '--workers', redis.url], { cache: at('cache-lines') })
    expect(two.stdout, two.stderr).toBe(alone.stdout)
    expect(two.stdout).not.toBe('')
    expect(shards()).toBeGreaterThan(1)
  })

  it('score prints the same log-probs, rewards and hidden states with two', async () => {
    const forms = [
      ['score', '--model', join(inputs, 'model'), '--data', long.texts, '--texts'],
      ['score', '--model', join(inputs, 'judge'), '--data', long.texts],
      ['score', '--model', fixture('models/bert'), '--data', long.ids, '--hidden'],
    ]
    const alone = await Promise.all(forms.map((argv) => start(argv, { cache: at('cache-lines') })))
    await haveWorkers(2)
    for (const [i, argv] of forms.entries()) {
      const before = shards()
      const two = await start([...argv, '--workers', redis.url], { cache: at('cache-lines') })
      expect(two.stdout, two.stderr).toBe(alone[i].stdout)
      expect(two.stdout).not.toBe('')
      expect(two.stderr).not.toContain('could not compute a shard')
      expect(shards() - before).toBeGreaterThan(1)
    }
    expect(kinds()).toEqual(['pass'])
  })

  it('a run on an adapter has the same reference, evaluation and rewards by a model with two', async () => {
    const sft = ['sft', ...model, '--data', join(inputs, 'chosen.jsonl'), '--batch-size', '2', ...lora]
    const { output } = await run([...sft, '--max-steps', '1'], false)
    const adapter = ['--adapter', join(output, 'adapter')]
    const pairs = [
      ...dpo,
      ...adapter,
      '--max-length',
      '64',
      '--max-steps',
      '2',
      '--eval-split',
      '0.4',
      '--eval-every',
      '1',
    ]
    const held = ['--kl-coef', '0.1', '--eval-data', long.prompts]
    const samples = ['grpo', ...model, ...rlOnLong, ...adapter, '--num-generations', '2', ...held]
    const alone = await Promise.all([run(pairs, false), run(samples, false)])
    await haveWorkers(2)
    for (const [i, argv] of [pairs, samples].entries()) {
      const two = await run(argv, true)
      expect([two.weights, two.log]).toEqual([alone[i].weights, alone[i].log])
    }
    expect(kinds()).toEqual(['evaluation', 'gradient', 'pass', 'samples'])
    // Rewards, log-probs of the policy and of what it began as: of two evaluations and a rollout
    expect(shardEvents().filter(({ kind }) => kind === 'pass').length).toBeGreaterThan(36)
  })

  it('ppo has the same values by a value model with two', async () => {
    const argv = ['ppo', ...model, ...rlOnLong, '--value-model', join(inputs, 'judge'), '--num-generations', '1']
    // Its value model is trained whole, and the policy is not
    const alone = await run(argv, false)
    await haveWorkers(2)
    const two = await run(argv, true)
    expect([two.weights, two.log]).toEqual([alone.weights, alone.log])
    // Rewards, log-probs of the policy and the reference, values
    expect(shardEvents().filter(({ kind }) => kind === 'pass').length).toBeGreaterThan(8)
  })

  it('a comparison has the same completions with two', async () => {
    const rows = ['--data', prompts, '--max-samples', '6', '--samples', '2', '--max-new-tokens', '8']
    const argv = [
      'compare',
      join(inputs, 'one'),
      '--base',
      join(inputs, 'model'),
      ...rows,
      '--judge',
      'regex:e',
      '--threads',
      '1',
    ]
    const completionsOf = (output: string) =>
      readdirSync(join(output, 'answers'))
        .sort()
        .map((name) => [name, readFileSync(join(output, 'answers', name, 'samples.jsonl'), 'utf8')])
    const alone = await start([...argv, '--output', at('compared')], { cache: at('cache-lines') })
    expect(alone.code, alone.stderr).toBe(0)
    await haveWorkers(2)
    const flags = ['--output', at('compared-by-two'), '--workers', redis.url]
    const two = await start([...argv, ...flags], { cache: at('cache-lines') })
    expect(two.code, two.stderr).toBe(0)
    expect(completionsOf(at('compared-by-two'))).toEqual(completionsOf(at('compared')))
    expect(shards()).toBeGreaterThan(1)
  })

  it('a study of scaling laws has the same results with two', async () => {
    const resultsOf = (output: string) =>
      readdirSync(join(output, 'cells'))
        .sort()
        .map((name) => ({
          ...JSON.parse(readFileSync(join(output, 'cells', name), 'utf8')),
          seconds: 0,
        }))
    const alone = await start(['sweep', '--output', at('alone')], { cache: at('cache-sweep') })
    expect(alone.code, alone.stderr).toBe(0)
    await haveWorkers(2)
    const two = await start(['sweep', '--output', at('two'), '--workers', redis.url], { cache: at('cache-sweep') })
    expect(two.code, two.stderr).toBe(0)
    expect(resultsOf(at('two'))).toEqual(resultsOf(at('alone')))
    expect(shards()).toBeGreaterThan(4)
  })

  it('passes files through a folder that all see', async () => {
    const alone = await aloneOf(dpoSteps)
    await haveWorkers(1)
    const one = await run([...dpoSteps, '--workers-files', at('seen-by-all')], true)
    expect([one.weights, one.log]).toEqual([alone.weights, alone.log])
    expect(shards()).toBeGreaterThan(3)
    expect(readdirSync(at('seen-by-all'))).toEqual([])
  })

  it('passes files through an S3-compatible store, and leaves nothing there', async () => {
    const alone = await aloneOf(dpoSteps)
    const store = await openS3Stub('bucket')
    const keys = {
      AWS_ENDPOINT_URL_S3: store.url,
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
    }
    for (const [name, value] of Object.entries(keys)) vi.stubEnv(name, value)
    try {
      await leave()
      await haveWorkers(1)
      const one = await run([...dpoSteps, '--workers-files', 's3://bucket/shared/'], true)
      expect([one.weights, one.log]).toEqual([alone.weights, alone.log])
      expect(shards()).toBeGreaterThan(3)
      expect([...store.objects.keys()]).toEqual([])
    } finally {
      vi.unstubAllEnvs()
      await leave()
      await store.close()
    }
  })

  it('lists workers and runs', async () => {
    await haveWorkers(1)
    const { stdout } = await start(['workers', redis.url, '--json'], { cache: at('cache-list') })
    const listed = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(listed).toContainEqual(expect.objectContaining({ event: 'worker', threads: 1, done: 0, failed: 0 }))
  })

  it.each([
    ['reward', ['reward', ...model, '--data', prompts], /--workers: has nothing to share out in attune reward/],
    [
      'judge --mode options',
      ['judge', '--judge', join(inputs, 'model'), '--data', prompts, '--mode', 'options'],
      /--workers/,
    ],
    ['generate with beams', ['generate', ...model, '--prompt', 'a', '--num-beams', '2'], /--workers/],
  ])('refuses --workers for %s', async (_, argv, message) => {
    const { code, stderr } = await start([...argv, '--workers', redis.url], { cache: at('cache-refused') })
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)])
  })

  it('keeps the password of a Redis out of its files and messages', async () => {
    const secret = 'correct-horse'
    const locked = await openRedis(['--requirepass', secret], { user: `:${secret}@` })
    try {
      const output = at('secret')
      const flags = ['--output', output, '--json', '--workers', locked.url]
      const ended = await start([...dpoSteps, ...flags], { cache: at('cache-secret') })
      expect(ended.code, ended.stderr).toBe(0)
      expect(ended.stderr + ended.stdout + readFileSync(join(output, 'run.json'), 'utf8')).not.toContain(secret)
      const refused = await start(
        [...dpoSteps, '--output', at('refused'), '--workers', locked.url.replace(secret, 'wrong-horse')],
        { cache: at('cache-secret') },
      )
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/no Redis answers at redis:\/\/127\.0\.0\.1:\d+ \(.*WRONGPASS/),
      ])
      expect(refused.stderr).not.toContain('wrong-horse')
    } finally {
      await locked.close()
    }
  })
})
