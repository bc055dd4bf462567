/** Opens a backend: the engine in a worker thread, or (for tests and tiny programs) in this one. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { compileProgram } from '../onnx/model.ts'
import { input } from '../tensor/tensor.ts'
import { badInput, runFailure } from '../util/fault.ts'
import { type Backend, type Engine, type EngineDescription, makeBackend, type Values } from './backend.ts'
import type { EngineOptions } from './ortNode.ts'
import { disableTelemetry } from './telemetry.node.ts'

/** Where programs run. */
export type OpenOptions = {
  /** auto is the CPU. */
  device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  /** CPU threads; by default one a core. */
  threads?: number
  /** In this thread, which it blocks, instead of one of its own. */
  inProcess?: boolean
}

/** Throws a Fault 'no-device' that says what a device lacks here. */
export const openBackend = async (options: OpenOptions = {}): Promise<Backend> => {
  disableTelemetry()
  const provider = options.device === undefined || options.device === 'auto' ? 'cpu' : options.device
  const engineOptions = { provider, threads: options.threads ?? availableParallelism() }
  if (options.inProcess) return makeBackend((await import('./ortNode.ts')).ortEngine(engineOptions))
  const backend = makeBackend(await workerEngine(engineOptions))
  if (provider !== 'cpu') await tryOut(backend, provider)
  return backend
}

const needs = {
  cuda:
    'an NVIDIA GPU with CUDA 12, cuDNN 9 and the CUDA library of onnxruntime, which on Linux x64 ' +
    '"node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12" fetches',
  webgpu: 'a GPU with a driver for Vulkan, Metal or Direct3D 12',
}

/** Runs a tiny program: a provider that does not work fails only when it computes something. */
const tryOut = async (backend: Backend, provider: keyof typeof needs) => {
  try {
    const x = input('x', ['N'])
    const twice = backend.load(compileProgram('try', { y: x.add(x) }))
    await backend.read(backend.run(twice, { x: backend.put(Float32Array.of(1), [1]) }).y)
  } catch (error) {
    // The worker may have ended already
    await backend.close().catch(() => {})
    const { message } = error as Error
    const why = /Failed[^\n]*/.exec(message)?.[0] ?? message.split('\n')[0]
    throw badInput('no-device', `${provider} needs ${needs[provider]}; use --device cpu, or add it (${why})`, {
      flag: '--device',
    })
  }
}

type Answer = { batch: number; values?: Values[]; error?: string } | { ready: EngineDescription }

/** A worker cannot load TypeScript: under a test runner it gets the built file from dist/. */
const workerUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/runtime/ortWorker.js', import.meta.url)
    : new URL('./ortWorker.js', import.meta.url)

/** Threads whose engines are closed. The next engine takes one, since to start a thread takes longer than to run a tiny model. */
const idle = new Set<Worker>()
const mostIdle = 2

const startWorker = (): Worker => {
  const worker = new Worker(workerUrl())
  for (const end of ['error', 'exit']) worker.on(end, () => idle.delete(worker))
  return worker
}

const workerEngine = (options: EngineOptions) =>
  new Promise<Engine>((opened, failed) => {
    const [worker = startWorker()] = idle
    idle.delete(worker)
    worker.ref()
    const waiting = new Map<number, { resolve: (values: Values[]) => void; reject: (error: unknown) => void }>()
    let batches = 0
    let isSound = true
    let end: unknown
    const ask = (request: object, transfer: readonly ArrayBuffer[] = []) =>
      new Promise<Values[]>((resolve, reject) => {
        if (end) return reject(end)
        const batch = batches++
        waiting.set(batch, { resolve, reject })
        worker.postMessage({ batch, ...request }, transfer as ArrayBuffer[])
      })
    const close = async () => {
      if (end) return
      await ask({ close: true })
      worker.off('message', hear)
      worker.off('error', broke)
      worker.off('exit', exited)
      const stays = isSound && options.provider === 'cpu' && idle.size < mostIdle
      if (!stays) return worker.postMessage({ end: true })
      // The process may end while it waits
      worker.unref()
      idle.add(worker)
    }
    const hear = (answer: Answer) => {
      if ('ready' in answer) {
        opened({ description: answer.ready, send: (commands, transfer) => ask({ commands }, transfer), close })
        return
      }
      const { resolve, reject } = waiting.get(answer.batch)!
      waiting.delete(answer.batch)
      if (answer.error === undefined) return resolve(answer.values!)
      isSound = false
      reject(runFailure('engine', answer.error))
    }
    const broke = (error: Error) => {
      end ??= runFailure('engine', `the engine stopped: ${error.message}`)
      failed(end)
      for (const { reject } of waiting.values()) reject(end)
    }
    const exited = (code: number) => code !== 0 && broke(new Error(`worker exit ${code}`))
    worker.on('message', hear)
    worker.on('error', broke)
    worker.on('exit', exited)
    worker.postMessage({ open: options })
  })
