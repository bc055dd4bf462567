/** What may go wrong between machines: each fault is told once, and the results are those of one process. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket, connect as tcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { pack } from '../src/util/packed.ts'
import type { Shard } from '../src/util/sharing.ts'
import { version } from '../src/util/version.node.ts'
import { type Coordinator, type CoordinatorOptions, openCoordinator } from '../src/workers/coordinator.ts'
import { type Job, queueName, queuePrefix, type RunEntry, runEntrySchema } from '../src/workers/redis.ts'
import { sealBytes } from '../src/workers/seal.ts'
import { canMount, mount, unmount } from './support/mount.ts'
import { freePort, hasRedis, openRedis, startWorker, type TestRedis, type TestWorker } from './support/redis.ts'
import { type Ended, errorOf, killer, logOf, start, weightsOf } from './support/runs.ts'
import { writeInputs } from './support/scenarios.ts'
import { openSharedWork } from './support/sharedWork.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-faults-'))
const inputs = join(root, 'inputs')
const work = openSharedWork()
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const until = async (is: () => unknown) => {
  while (!is()) await wait(20)
}

type End = (end: () => Promise<void>) => void
type Field = { redis: TestRedis; workers: TestWorker[]; caches: string[]; coordinator: Coordinator; notes: string[] }

let caches = 0
const startWorkers = async (url: string, count: number, end: End) => {
  const folders = Array.from({ length: count }, () => join(root, `cache-${caches++}`))
  const workers = folders.map((cache, i) => startWorker(url, cache, ['--name', 'ab'[i]]))
  end(async () => {
    for (const worker of workers) await worker.kill()
  })
  await Promise.all(workers.map((worker) => worker.until('ready')))
  return { workers, caches: folders }
}

const coordinate = async (url: string, end: End, options: Partial<CoordinatorOptions> = {}) => {
  const notes: string[] = []
  const note = (message: string) => notes.push(message)
  const coordinator = await openCoordinator({ url, name: 'test', version: version(), note, ...options })
  end(coordinator.close)
  return { coordinator, notes }
}

/** A Redis, workers and a coordinator of its own. */
const openField = async (count: number, end: End, options: Partial<CoordinatorOptions> = {}): Promise<Field> => {
  const redis = await openRedis()
  end(redis.close)
  return { redis, ...(await startWorkers(redis.url, count, end)), ...(await coordinate(redis.url, end, options)) }
}

/** Shares shards out, and expects the results of one process. @returns how many were computed here */
const share = async (coordinator: Coordinator, shards: Shard[], onResult: (i: number) => unknown = () => {}) => {
  const whole: unknown[] = []
  for (const shard of shards) whole.push(await work.compute(shard))
  const results: unknown[] = []
  let here = 0
  const local = async (i: number) => {
    here++
    await wait(50)
    return whole[i]
  }
  for await (const result of coordinator.results(shards, local)) {
    results.push(result)
    await onResult(results.length)
  }
  expect(results).toEqual(whole)
  return here
}

const failures = ({ events }: TestWorker) => events.filter(({ event }) => event === 'failed')
const told = ({ events }: TestWorker) => events.filter(({ event }) => event === 'redis').map(({ message }) => message)
const done = ({ events }: TestWorker) => events.filter(({ event }) => event === 'shard').length
/** What lies in the queue: jobs, and lists of them. */
const queued = (redis: TestRedis) =>
  redis
    .cli('keys', `${queuePrefix}:*`)
    .split('\n')
    .filter((key) => /:[0-9a-f]{16}-[0-9a-f]{64}|:(wait|active|paused|completed|failed)$/.test(key))

/** The entry of the only run, as a worker reads it. */
const entryOf = (redis: TestRedis) =>
  runEntrySchema.parse(JSON.parse(redis.cli('get', redis.cli('keys', 'attune:run:*').trim())))

/** A way to a port that can be cut: connections stay, and nothing comes through any more. */
const openWay = async (port: number, end: End) => {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((from) => {
    const to = tcp(port, '127.0.0.1')
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      sockets.add(one)
      one.on('data', (bytes) => !isCut && other.write(bytes))
      one.on('close', () => other.destroy())
      one.on('error', () => {})
    }
  })
  const own = await freePort()
  await new Promise<void>((resolve) => server.listen(own, '127.0.0.1', resolve))
  end(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    url: `redis://127.0.0.1:${own}`,
    cut: (is: boolean) => {
      isCut = is
    },
  }
}

const model = ['--model', join(inputs, 'model'), '--threads', '1', '--data', join(inputs, 'pairs.jsonl')]
const dpo = ['dpo', ...model, '--batch-size', '2', '--grad-accum', '3', '--lora-r', '4', '--learning-rate', '1e-3']
const steps = [...dpo, '--epochs', '9', '--max-steps', '8', '--max-length', '64', '--save-every', '1']

describe.skipIf(!hasRedis())('with workers', () => {
  beforeAll(() => {
    writeInputs(inputs)
  })
  afterAll(async () => {
    await work.close()
    rmSync(root, { recursive: true, force: true })
  })

  it.concurrent('a worker that is killed or stopped loses its shards, and one that goes on gets others', async (test) => {
    const { coordinator, workers, notes } = await openField(2, test.onTestFinished)
    const [a, b] = workers
    const shards = await work.shards(coordinator, 12)
    const killed = a.until('shard').then(() => a.kill())
    await share(coordinator, shards)
    await killed
    expect(done(b)).toBeGreaterThan(5)
    const before = done(b)
    await share(coordinator, shards, (i) => i === 3 && b.child.kill('SIGSTOP'))
    expect(done(b) - before).toBeLessThan(8)
    await until(() => notes.includes('worker b has left'))
    b.child.kill('SIGCONT')
    await until(() => coordinator.workers() === 1)
    expect(await share(coordinator, shards)).toBe(0)
    expect([failures(b), told(b), b.errors()]).toEqual([[], [], ''])
    expect(notes.filter((note) => note.includes(' b '))).toEqual([
      ...['worker b has joined', 'worker b has left', 'worker b has joined'],
    ])
    expect(notes.filter((note) => note.includes(' a '))).toEqual(['worker a has joined', 'worker a has left'])
  })

  it.concurrent('a worker that ends by Ctrl-C gives its shard back at once', async (test) => {
    const { coordinator, workers, redis } = await openField(2, test.onTestFinished)
    const [a] = workers
    const shards = await work.shards(coordinator, 8)
    const isFree = a.until('shard').then(async () => {
      await a.kill('SIGINT')
      return Number(redis.cli('llen', `${queuePrefix}:${queueName(version())}:active`)) < 2
    })
    expect(await share(coordinator, shards)).toBe(0)
    expect(await isFree).toBe(true)
    expect([a.child.exitCode, a.errors()]).toEqual([0, '  ending    what is under way is given back\n'])
    expect(queued(redis)).toEqual([])
  })

  it.concurrent('Redis may be emptied, killed and started again', async (test) => {
    const { coordinator, workers, redis, notes } = await openField(1, test.onTestFinished)
    const shards = await work.shards(coordinator, 10)
    await share(coordinator, shards, (i) => i === 2 && redis.cli('flushall'))
    expect(notes).toEqual(['worker a has joined'])
    await share(coordinator, shards, async (i) => {
      if (i === 2) {
        await redis.kill()
        await until(() => notes.length === 2)
      }
      if (i === 6) await redis.start()
    })
    await until(() => notes.length === 3 && coordinator.workers() === 1)
    expect(await share(coordinator, shards)).toBe(0)
    expect(notes.slice(1)).toEqual([
      expect.stringMatching(/^Redis does not answer \(.*\); shards are computed here until it does$/),
      'Redis answers again',
    ])
    expect(told(workers[0])).toEqual(['Redis does not answer; trying again', 'Redis answers again'])
    expect([failures(workers[0]), workers[0].errors()]).toEqual([[], ''])
    expect(queued(redis)).toEqual([])
  })

  it.concurrent('a network that swallows everything holds nothing up', async (test) => {
    const redis = await openRedis()
    test.onTestFinished(redis.close)
    const way = await openWay(redis.port, test.onTestFinished)
    await startWorkers(redis.url, 1, test.onTestFinished)
    const { coordinator, notes } = await coordinate(way.url, test.onTestFinished)
    const shards = await work.shards(coordinator, 6)
    expect(await share(coordinator, shards)).toBe(0)
    way.cut(true)
    const began = performance.now()
    await share(coordinator, shards)
    await share(coordinator, shards)
    expect(performance.now() - began).toBeLessThan(15_000)
    await until(() => coordinator.workers() === 0)
    way.cut(false)
    await until(() => coordinator.workers() === 1)
    expect(await share(coordinator, shards)).toBe(0)
    expect(notes).toEqual([
      'worker a has joined',
      expect.stringMatching(/^Redis does not answer/),
      'Redis answers again',
    ])
  })

  it.concurrent('results that are torn, wrong, of another shard or of a stranger do not count', async (test) => {
    const { coordinator, redis, notes } = await openField(0, test.onTestFinished)
    // A worker that takes no shards
    const liar = { name: 'liar', version: version(), host: '', pid: 1, threads: 1, processor: '', arithmetic: '' }
    const entry = { ...liar, started: '', seen: '', done: 0, failed: 0 }
    redis.cli('set', 'attune:worker:1', JSON.stringify(entry))
    await until(() => coordinator.workers() === 1)
    const shards = await work.shards(coordinator, 4)
    const { address, token } = entryOf(redis)
    const send = async (shard: string, body: Uint8Array, by = token) => {
      const headers = { authorization: `Bearer ${by}` }
      const { status } = await fetch(`${address}/results/${shard}`, {
        ...{ method: 'PUT', headers, body: body as Uint8Array<ArrayBuffer> },
      })
      return status
    }
    const lie = async () => {
      const jobs = () => queued(redis).flatMap((key) => /-([0-9a-f]{64})$/.exec(key)?.[1] ?? [])
      await until(() => jobs().length === 4)
      const [one, two, three, four] = jobs()
      const sealed = (answer: unknown) => sealBytes(pack(answer))
      return [
        await send(one, new Uint8Array(100)),
        await send(one, sealed({ of: one, values: [[[{ ids: [] }]]] }), 'stranger'),
        await send('0'.repeat(64), sealed({ of: one, values: [1] })),
        await send(one, sealed({ of: one, values: [[[{ ids: [1] }]]] })),
        await send(two, sealed({ of: one, values: [] })),
        await send(three, sealed('no answer')),
        await send(four, sealed({ of: four })),
      ]
    }
    const [here, statuses] = await Promise.all([share(coordinator, shards), lie()])
    expect(statuses).toEqual([400, 401, 410, 204, 204, 204, 204])
    expect(here).toBe(4)
    expect(notes).toHaveLength(2)
    expect(notes[1]).toBe(
      'a worker could not compute a shard (what it sent is no result of it); it is computed here, as are others that fail so',
    )
  })

  it.concurrent('a worker that cannot write its files rests, is told of once, and goes on when it can', async (test) => {
    const field = await openField(1, test.onTestFinished)
    const { coordinator, notes } = field
    const [worker] = field.workers
    const content = join(field.caches[0], 'worker', 'content')
    rmSync(content, { recursive: true })
    writeFileSync(content, '')
    const shards = await work.shards(coordinator, 6)
    expect(await share(coordinator, shards)).toBe(6)
    await share(coordinator, shards)
    expect(failures(worker)).toHaveLength(1)
    expect(failures(worker)[0].message).toMatch(/content cannot be written or read \((ENOTDIR|EEXIST)\)$/)
    expect(notes).toEqual([
      'worker a has joined',
      expect.stringMatching(/^worker a takes no shards for a while: .*(ENOTDIR|EEXIST)/),
    ])
    rmSync(content)
    mkdirSync(content)
    await until(() => coordinator.workers() === 1)
    while ((await share(coordinator, shards)) > 0) await wait(500)
  })

  it.concurrent('a worker with a full disk gives its shards to others until there is room', {
    skip: !canMount(),
  }, async (test) => {
    const small = join(root, 'small')
    mount(small, 'size=512k')
    test.onTestFinished(() => unmount(small))
    const { coordinator, redis, notes, workers } = await openField(1, test.onTestFinished)
    const full = startWorker(redis.url, small, ['--name', 'full'])
    test.onTestFinished(() => full.kill())
    await until(() => coordinator.workers() === 2)
    const shards = await work.shards(coordinator, 6)
    const isFull = /^worker full takes no shards for a while: \S+content cannot be written or read \(ENOSPC\)$/
    do expect(await share(coordinator, shards)).toBe(0)
    while (!notes.some((note) => isFull.test(note)))
    expect([done(full), full.errors()]).toEqual([0, ''])
    await until(() => done(workers[0]) >= 6)
    expect(failures(full)).toEqual([expect.objectContaining({ message: expect.stringMatching(/\(ENOSPC\)$/) })])
    expect(readdirSync(join(small, 'worker/content')).filter((name) => name.endsWith('.tmp'))).toEqual([])
    mount(small, 'remount,size=8m')
    while (done(full) === 0) expect(await share(coordinator, shards)).toBe(0)
    expect(notes.filter((note) => isFull.test(note))).toHaveLength(1)
    expect(notes).toHaveLength(3)
    expect(failures(full)).toHaveLength(1)
  })

  it.concurrent('a worker of another version is refused by name', async (test) => {
    const { coordinator, notes, workers, redis } = await openField(1, test.onTestFinished, { version: '9.9.9' })
    const shards = await work.shards(coordinator, 2)
    expect(await share(coordinator, shards)).toBe(2)
    expect(notes).toEqual([`worker a gets no shards: it is attune ${version()}, and this run 9.9.9`])
    await workers[0].kill('SIGINT')
    const [later] = (await startWorkers(redis.url, 1, test.onTestFinished)).workers
    await later.until('other-version')
    expect(later.events[1]).toEqual({ event: 'other-version', run: 'test', version: '9.9.9' })
  })

  it.concurrent('an address that is not of this machine is refused, and the run ends', async (test) => {
    const redis = await openRedis()
    test.onTestFinished(redis.close)
    const flags = ['--workers', redis.url, '--workers-host', '192.0.2.1', '--output', join(root, 'refused')]
    const ended = await start([...steps, ...flags], { cache: join(root, 'cache-refused') })
    expect([ended.code, errorOf(ended)]).toEqual([
      ...[2, ['error: --workers-host: "192.0.2.1" is no address of this machine']],
    ])
  })

  it.concurrent('two coordinators of one run in one folder do not disturb each other', async (test) => {
    const files = join(root, 'files')
    const { coordinator, redis, workers } = await openField(1, test.onTestFinished, { files })
    const second = (await coordinate(redis.url, test.onTestFinished, { files })).coordinator
    const run = async (of: Coordinator) => share(of, [...(await work.shards(of, 4)), ...(await work.shards(of, 4))])
    expect(await Promise.all([coordinator, second].map(run))).toEqual([0, 0])
    expect(done(workers[0])).toBe(16)
    await coordinator.close()
    expect(readdirSync(files)).toHaveLength(1)
  })

  it.concurrent('shards of a dead run that lie in the queue are passed over', async (test) => {
    const { coordinator, redis, workers } = await openField(1, test.onTestFinished)
    const connection = { port: redis.port, maxRetriesPerRequest: null }
    const queue = new Queue<Job>(queueName(version()), { connection, prefix: queuePrefix })
    test.onTestFinished(() => queue.close())
    const dead: RunEntry = { ...entryOf(redis), name: 'dead', address: `http://127.0.0.1:${await freePort()}` }
    redis.cli('set', 'attune:run:dead', JSON.stringify(dead), 'EX', '2')
    const jobs = Array.from({ length: 50 }, (_, i) => `${i}`.padStart(64, '0'))
    await queue.addBulk(jobs.map((shard) => ({ name: 'samples', data: { run: 'dead', shards: shard, files: [] } })))
    const shards = await work.shards(coordinator, 4)
    await share(coordinator, shards)
    await until(() => queued(redis).filter((key) => key.endsWith(':wait')).length === 0)
    expect(failures(workers[0])).toHaveLength(1)
    expect(failures(workers[0])[0].message).toMatch(/^the coordinator at \S+ does not answer \(ECONNREFUSED\)$/)
  })

  it.concurrent('a run that is killed, or ended by Ctrl-C, goes on with its workers', async (test) => {
    const redis = await openRedis()
    test.onTestFinished(redis.close)
    const { workers } = await startWorkers(redis.url, 1, test.onTestFinished)
    const cache = join(root, 'cache-run')
    const [whole, output] = [join(root, 'whole'), join(root, 'killed')]
    expect((await start([...steps, '--output', whole], { cache })).code).toBe(0)
    const shared = [...steps, '--output', output, '--workers', redis.url]
    const at = (step: number, signal: NodeJS.Signals) =>
      killer(output, { at: 'file', name: new RegExp(`^checkpoints/step-${step}$`), ms: 10 }, signal)
    const killed = await start(shared, { cache, watch: at(2, 'SIGKILL') })
    expect(killed.signal).toBe('SIGKILL')
    const ended = await start([...shared, '--resume'], { cache, watch: at(5, 'SIGINT') })
    expect([ended.code, errorOf(ended)]).toEqual([130, []])
    // What the killed run left in the queue is passed over
    await until(() => queued(redis).length === 0)
    // Two coordinators of one run: one goes on, and the other says why it does not
    let second: Promise<Ended> | undefined
    const resumed = await start([...shared, '--resume'], {
      cache,
      watch: (send) =>
        killer(output, { at: 'file', name: /^checkpoints\/step-\d$/, ms: 0 })(() => {
          send('SIGSTOP')
          second = start([...shared, '--resume'], { cache }).finally(() => send('SIGCONT'))
        }),
    })
    const other = await second!
    expect([other.code, errorOf(other)]).toEqual([1, [expect.stringMatching(/writes this run since/)]])
    expect([resumed.code, errorOf(resumed)]).toEqual([0, []])
    expect([weightsOf(output), logOf(output)]).toEqual([weightsOf(whole), logOf(whole)])
    expect(done(workers[0])).toBeGreaterThan(3)
    expect(queued(redis)).toEqual([])
  })
})
