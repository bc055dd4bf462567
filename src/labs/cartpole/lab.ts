/** All runs of the lab, several at once, and what they come to. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { makeEventStream } from '../../util/eventStream.ts'
import { inParallel } from '../../util/inParallel.ts'
import { claim, type Files, writeFindings } from './output.ts'
import type { RunResult, Snapshot } from './run.ts'
import { chosen, type Method, type Settings } from './settings.ts'
import { type Finding, findingsOf, inWords } from './statistics.ts'
import type { Order, Report } from './worker.ts'

export type CartpoleEvent =
  | { event: 'plan'; runs: number; jobs: number; output: string }
  | { event: 'progress'; finished: number; runs: number; share: number }
  | ({ event: 'snapshot' } & Snapshot)
  | { event: 'run'; method: Method; seed: number; mean: number; solved?: number; steps: number; seconds: number }
  | { event: 'stopped'; finished: number; runs: number }
  | { event: 'result'; words: string[]; findings: Finding[]; files: Files }

type Extras = { signal?: AbortSignal; command?: readonly string[] }

/** Trains, then writes numbers, plots and a page. After an abort the last event is `stopped`, and nothing was written. */
export async function* cartpole(
  settings: Settings,
  { signal = new AbortController().signal, command = [] }: Extras = {},
): AsyncGenerator<CartpoleEvent> {
  const root = await claim(settings.output)
  const orders = chosen(settings).flatMap((method) =>
    Array.from({ length: settings.seeds }, (_, i): Order => ({ method, seed: settings.seed + i, settings })),
  )
  const jobs = Math.min(orders.length, settings.jobs ?? availableParallelism())
  yield { event: 'plan', runs: orders.length, jobs, output: root }
  const results: RunResult[] = []
  for await (const event of work(orders, jobs, signal, results)) yield event
  if (signal.aborted) return yield { event: 'stopped', finished: results.length, runs: orders.length }
  // In the order of the plan, whichever was first
  const sorted = orders.map((order) => results.find((r) => r.method === order.method && r.seed === order.seed)!)
  const findings = findingsOf(sorted)
  const words = inWords(findings)
  const files = await writeFindings(root, { results: sorted, findings, words, settings, command })
  yield { event: 'result', words, findings, files }
}

/** Trains each order in a worker; fills `results` as they come. */
const work = (orders: readonly Order[], jobs: number, signal: AbortSignal, results: RunResult[]) => {
  const stream = makeEventStream<CartpoleEvent>()
  const shares = new Map<Order, number>()
  const progress = (): CartpoleEvent => {
    const share = [...shares.values()].reduce((a, b) => a + b, 0) / orders.length
    return { event: 'progress', finished: results.length, runs: orders.length, share }
  }
  const train = (order: Order) =>
    runInWorker(order, signal, (report) => {
      if ('progress' in report) {
        shares.set(order, report.progress)
        stream.push(progress())
      } else if ('snapshot' in report) stream.push({ event: 'snapshot', ...report.snapshot })
    })
  const drain = async () => {
    for await (const result of inParallel(orders, jobs, train)) {
      if (!result) continue
      results.push(result)
      const { method, seed, best, solved, steps, seconds } = result
      stream.push({ event: 'run', method, seed, mean: best.mean, solved, steps, seconds })
    }
  }
  drain().then(stream.end, stream.fail)
  return stream.read()
}

/** Under a test runner this file is TypeScript and a worker cannot load its neighbour: the built one is taken. */
const workerUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/labs/cartpole/worker.js', import.meta.url)
    : new URL('./worker.js', import.meta.url)

/** @returns undefined where it was aborted */
const runInWorker = (order: Order, signal: AbortSignal, told: (report: Report) => void) =>
  new Promise<RunResult | undefined>((resolve, reject) => {
    if (signal.aborted) return resolve(undefined)
    const { episodes, steps, envs } = order.settings
    const worker = new Worker(workerUrl(), { workerData: { ...order, settings: { episodes, steps, envs } } })
    const stop = () => void worker.terminate()
    signal.addEventListener('abort', stop, { once: true })
    worker.on('message', (report: Report) => ('result' in report ? resolve(report.result) : told(report)))
    worker.on('error', reject)
    worker.on('exit', () => {
      signal.removeEventListener('abort', stop)
      resolve(undefined)
    })
  })
