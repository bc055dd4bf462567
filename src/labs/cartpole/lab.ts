/** The classic-control lab: trains CartPole policies by several methods and seeds, several runs at once, and reports. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { makeEventStream } from '../../util/eventStream.ts'
import { inParallel } from '../../util/inParallel.ts'
import { cartpoleConclusions, type Finding, findingsOf } from './findings.ts'
import { claimCartpoleFolder, type ReportFiles, writeFindings } from './output.ts'
import type { RunResult, Snapshot } from './run.ts'
import { chosenMethods, type Method, type Settings } from './settings.ts'
import type { RunRequest, WorkerMessage } from './worker.ts'

export type CartpoleEvent =
  | { event: 'plan'; runs: number; jobs: number; output: string }
  | { event: 'progress'; finished: number; runs: number; share: number }
  | ({ event: 'snapshot' } & Snapshot)
  | { event: 'run'; method: Method; seed: number; mean: number; solved?: number; steps: number; seconds: number }
  | { event: 'stopped'; finished: number; runs: number }
  | { event: 'result'; words: string[]; findings: Finding[]; files: ReportFiles }

type LabOptions = { signal?: AbortSignal; command?: readonly string[] }

/** Trains, then writes numbers, plots and a page. After an abort the last event is `stopped`, and nothing is written. */
export async function* cartpole(
  settings: Settings,
  { signal = new AbortController().signal, command = [] }: LabOptions = {},
): AsyncGenerator<CartpoleEvent> {
  const root = await claimCartpoleFolder(settings.output)
  const requests = chosenMethods(settings).flatMap((method) =>
    Array.from({ length: settings.seeds }, (_, i): RunRequest => ({ method, seed: settings.seed + i, settings })),
  )
  const jobs = Math.min(requests.length, settings.jobs ?? availableParallelism())
  yield { event: 'plan', runs: requests.length, jobs, output: root }
  const results: RunResult[] = []
  for await (const event of trainAll(requests, jobs, signal, results)) yield event
  if (signal.aborted) return yield { event: 'stopped', finished: results.length, runs: requests.length }
  // In the order of the plan, whichever finished first
  const sorted = requests.map(({ method, seed }) => results.find((r) => r.method === method && r.seed === seed)!)
  const findings = findingsOf(sorted)
  const conclusions = cartpoleConclusions(findings)
  const files = await writeFindings(root, { results: sorted, findings, conclusions, settings, command })
  yield { event: 'result', words: conclusions, findings, files }
}

/** Runs each request in a worker thread and adds the results to `results` as they come. */
const trainAll = (requests: readonly RunRequest[], jobs: number, signal: AbortSignal, results: RunResult[]) => {
  const stream = makeEventStream<CartpoleEvent>()
  const shares = new Map<RunRequest, number>()
  const progress = (): CartpoleEvent => {
    const share = [...shares.values()].reduce((a, b) => a + b, 0) / requests.length
    return { event: 'progress', finished: results.length, runs: requests.length, share }
  }
  const train = (request: RunRequest) =>
    runInWorker(request, signal, (message) => {
      if ('progress' in message) {
        shares.set(request, message.progress)
        stream.push(progress())
      } else if ('snapshot' in message) stream.push({ event: 'snapshot', ...message.snapshot })
    })
  const collect = async () => {
    for await (const result of inParallel(requests, jobs, train)) {
      if (!result) continue
      results.push(result)
      const { method, seed, best, solved, steps, seconds } = result
      stream.push({ event: 'run', method, seed, mean: best.mean, solved, steps, seconds })
    }
  }
  collect().then(stream.end, stream.fail)
  return stream.read()
}

/** Tests run this file as TypeScript, which a worker cannot load: there the built file is used. */
const workerUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/labs/cartpole/worker.js', import.meta.url)
    : new URL('./worker.js', import.meta.url)

/** @returns undefined if it was aborted */
const runInWorker = (request: RunRequest, signal: AbortSignal, onMessage: (message: WorkerMessage) => void) =>
  new Promise<RunResult | undefined>((resolve, reject) => {
    if (signal.aborted) return resolve(undefined)
    const { episodes, steps, envs } = request.settings
    const worker = new Worker(workerUrl(), { workerData: { ...request, settings: { episodes, steps, envs } } })
    const stop = () => void worker.terminate()
    signal.addEventListener('abort', stop, { once: true })
    worker.on('message', (message: WorkerMessage) =>
      'result' in message ? resolve(message.result) : onMessage(message),
    )
    worker.on('error', reject)
    worker.on('exit', () => {
      signal.removeEventListener('abort', stop)
      resolve(undefined)
    })
  })
