/** Opens a backend: the engine in a worker thread, or (for tests and tiny programs) in this one. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { runFailure } from '../util/fault.ts'
import { type Backend, type Engine, type EngineDescription, makeBackend, type Values } from './backend.ts'
import type { EngineOptions } from './ortNode.ts'

export type OpenOptions = { device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'; threads?: number; inProcess?: boolean }

export const openBackend = async (options: OpenOptions = {}): Promise<Backend> => {
  const provider = options.device === undefined || options.device === 'auto' ? 'cpu' : options.device
  const engineOptions = { provider, threads: options.threads ?? availableParallelism() }
  if (options.inProcess) return makeBackend((await import('./ortNode.ts')).ortEngine(engineOptions))
  return makeBackend(await workerEngine(engineOptions))
}

type Answer = { batch: number; values?: Values[]; error?: string } | { ready: EngineDescription }

/** Under a test runner this file is TypeScript and a worker cannot load its neighbour: the built one is taken. */
const workerUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/runtime/ortWorker.js', import.meta.url)
    : new URL('./ortWorker.js', import.meta.url)

const workerEngine = (options: EngineOptions) =>
  new Promise<Engine>((opened, failed) => {
    const worker = new Worker(workerUrl(), { workerData: options })
    const waiting = new Map<number, { resolve: (values: Values[]) => void; reject: (error: unknown) => void }>()
    let batches = 0
    const ask = (request: object, transfer: readonly ArrayBuffer[] = []) =>
      new Promise<Values[]>((resolve, reject) => {
        const batch = batches++
        waiting.set(batch, { resolve, reject })
        worker.postMessage({ batch, ...request }, transfer as ArrayBuffer[])
      })
    worker.on('message', (answer: Answer) => {
      if ('ready' in answer) {
        opened({
          description: answer.ready,
          send: (commands, transfer) => ask({ commands }, transfer),
          close: async () => void (await ask({ close: true })),
        })
        return
      }
      const { resolve, reject } = waiting.get(answer.batch)!
      waiting.delete(answer.batch)
      if (answer.error === undefined) resolve(answer.values!)
      else reject(runFailure('engine', answer.error))
    })
    const broke = (error: Error) => {
      failed(error)
      for (const { reject } of waiting.values()) reject(runFailure('engine', `the engine stopped: ${error.message}`))
    }
    worker.on('error', broke)
    worker.on('exit', (code) => code !== 0 && broke(new Error(`worker exit ${code}`)))
  })
