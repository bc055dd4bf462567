/** A Redis of its own for a test, on a free port of this machine, and workers beside it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/attune.js', import.meta.url))

export const hasRedis = (): boolean => spawnSync('redis-server', ['--version']).status === 0

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().on('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Below those that the system gives to connections, which might take it while a server is started again. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await canListen(port)) return port
  }
}

export type TestRedis = {
  url: string
  port: number
  /** SIGKILL, which loses everything: nothing is written to a disk. */
  kill(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
  /** Runs redis-cli. */
  cli(...args: string[]): string
  close(): Promise<void>
}

const ended = (child: ChildProcess) =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise<void>((resolve) => child.once('exit', () => resolve()))

/**
 * @param flags of redis-server: --requirepass SECRET
 * @param host where it listens   @param by what starts programs on that host
 */
export const openRedis = async (
  flags: readonly string[] = [],
  { user = '', host = '127.0.0.1', by = [] }: { user?: string; host?: string; by?: readonly string[] } = {},
): Promise<TestRedis> => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-redis-'))
  const port = await freePort()
  let server: ChildProcess | undefined
  const start = () =>
    new Promise<void>((resolve, reject) => {
      const fixed = ['--port', `${port}`, '--bind', host, '--save', '', '--dir', dir, '--protected-mode', 'no']
      const [command, ...rest] = [...by, 'redis-server', ...fixed, ...flags]
      const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
      server = child
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)))
      child.stdout!.on('data', (chunk) => `${chunk}`.includes('Ready to accept') && resolve())
    })
  const kill = async () => {
    server!.kill('SIGKILL')
    await ended(server!)
  }
  await start()
  return {
    url: `redis://${user}${host}:${port}`,
    port,
    kill,
    start,
    cli(...args) {
      const [command, ...rest] = [...by, 'redis-cli', '-h', host, '-p', `${port}`, ...args]
      return spawnSync(command, rest, { encoding: 'utf8' }).stdout
    },
    async close() {
      await kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export type TestWorker = {
  child: ChildProcess
  /** Its JSON lines so far. */
  events: { event: string; [key: string]: unknown }[]
  /** Resolves when it has said so. */
  until(event: string): Promise<void>
  /** What it printed on stderr. */
  errors(): string
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** @param by what starts it on another host */
export const startWorker = (
  url: string,
  cache: string,
  flags: readonly string[] = [],
  by: readonly string[] = [],
): TestWorker => {
  const [command, ...argv] = [...by, process.execPath, bin, 'worker', url, '--threads', '1', '--json', ...flags]
  const child = spawn(command, argv, { env: { ...process.env, ATTUNE_CACHE: cache } })
  const events: TestWorker['events'] = []
  const waiting: { event: string; resolve(): void }[] = []
  let [rest, errors] = ['', '']
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  child.stdout.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      events.push(JSON.parse(line))
      for (const each of waiting) if (each.event === events.at(-1)!.event) each.resolve()
    }
  })
  return {
    child,
    events,
    until: (event) =>
      new Promise((resolve) => {
        if (events.some((seen) => seen.event === event)) resolve()
        else waiting.push({ event, resolve })
      }),
    errors: () => errors,
    async kill(signal = 'SIGKILL') {
      child.kill(signal)
      await ended(child)
    },
  }
}
