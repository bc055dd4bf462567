/**
 * The engine on onnxruntime-node. Outputs are always preallocated, so that they may alias inputs (state is updated in
 * place) and their memory is reused. What `session.run` returns is another copy, which is garbage-collected at once.
 * `session.run` blocks its thread, so ortWorker.ts runs this file in a worker.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as ort from 'onnxruntime-node'
import { withConstants } from '../onnx/model.ts'
import type { DType } from '../tensor/primitives.ts'
import { runFailure } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import type { Command, Engine, Runs, Values, Wires } from './backend.ts'
import { makePool } from './pool.ts'
import { disableTelemetry } from './telemetry.node.ts'

export type EngineOptions = { provider: 'cpu' | 'webgpu' | 'cuda'; threads: number }

type Stored = { values: Values; shape: readonly number[]; dtype: DType; pooled?: boolean }

const ortType = { f32: 'float32', i64: 'int64', bool: 'bool', u8: 'uint8', s8: 'int8' } as const
/** Bytes of returned copies that may accumulate before a garbage collection. */
const enoughToCollect = 16 << 20

export const ortEngine = (options: EngineOptions): Engine => {
  disableTelemetry()
  // Errors are thrown, so the engine need not print them
  ort.env.logLevel = 'fatal'
  const sessions = new Map<number, Promise<ort.InferenceSession>>()
  const tensors = new Map<number, Stored>()
  const pool = makePool()
  const collect = collector()
  let uncollected = 0
  let failure: unknown
  let previous: Promise<unknown> = Promise.resolve()

  const get = (id: number) => tensors.get(id)!
  const tensor = ({ values, shape, dtype }: Stored) => new ort.Tensor(ortType[dtype], values as never, shape)
  const feedsOf = (wires: Wires) => Object.fromEntries(wires.map(([name, id]) => [name, tensor(get(id))]))

  const take = ({ dtype, shape, zero }: Extract<Command, { do: 'empty' }>) => {
    const values = pool.take(dtype, numel(shape))
    if (zero) clear(values)
    return values
  }

  const run = async (command: Extract<Command, { do: 'run' }>) => {
    const session = await sessions.get(command.executable)!
    await session.run(feedsOf(command.feeds), feedsOf(command.outputs))
    const returned = command.outputs.reduce((bytes, [, id]) => bytes + get(id).values.byteLength, 0)
    uncollected += returned
    if (uncollected < enoughToCollect) return
    collect()
    uncollected = 0
  }

  const slices = async (command: Extract<Command, { do: 'slices' }>) => {
    const session = await sessions.get(command.executable)!
    for (let start = 0, k = 0; start < command.total; start += command.size, k++) {
      const end = Math.min(command.total, start + command.size)
      const cut = ([name, id]: Wires[number], isOutput: boolean) => {
        const { values, shape, dtype } = get(id)
        if (command.sliced.includes(name))
          return [name, tensor({ values: values.subarray(start, end), shape: [end - start], dtype })]
        return [
          name,
          tensor(isOutput ? { values: values.subarray(k, k + 1), shape: [], dtype } : { values, shape, dtype }),
        ]
      }
      const feeds = Object.fromEntries(command.feeds.map((wire) => cut(wire, false)))
      await session.run(feeds, Object.fromEntries(command.outputs.map((wire) => cut(wire, true))))
    }
  }

  const perform = async (command: Command): Promise<Values | undefined> => {
    switch (command.do) {
      case 'load': {
        const constants = command.constants.map(([name, id]) => ({ name, ...get(id), data: bytesOf(get(id).values) }))
        const bytes = constants.length ? withConstants(command.bytes, constants) : command.bytes
        sessions.set(command.id, ort.InferenceSession.create(bytes, sessionOptions(options)))
        await sessions.get(command.id)
        return
      }
      case 'unload':
        for (const id of command.ids) {
          await (await sessions.get(id))?.release()
          sessions.delete(id)
        }
        return
      case 'put':
        tensors.set(command.id, command)
        return
      case 'empty':
        tensors.set(command.id, { ...command, values: take(command), pooled: true })
        return
      case 'view': {
        const { values, dtype } = get(command.of)
        const part = values.subarray(command.offset, command.offset + numel(command.shape))
        tensors.set(command.id, { values: part, shape: command.shape, dtype })
        return
      }
      case 'run':
        return void (await run(command))
      case 'slices':
        return void (await slices(command))
      case 'zero':
        clear(get(command.id).values)
        return
      case 'write':
        get(command.id).values.set(command.values as never, command.offset)
        return
      case 'copy':
        for (const [from, to, start] of command.pairs) copyRuns(get(from).values, get(to).values, start, command)
        return
      case 'addRows':
        addRows(get(command.to).values, get(command.from).values, get(command.index).values, command.width)
        return
      case 'read':
        return get(command.id).values.slice(command.offset, command.offset + command.length)
      case 'free':
        for (const id of command.ids) {
          if (get(id).pooled) pool.give(get(id).values)
          tensors.delete(id)
        }
    }
  }

  const performAll = async (commands: readonly Command[]) => {
    const results: Values[] = []
    for (const command of commands) {
      if (failure) throw failure
      try {
        const values = await perform(command)
        if (values) results.push(values)
      } catch (error) {
        failure = runFailure('engine', `the engine failed: ${(error as Error).message}`)
      }
    }
    if (failure) throw failure
    return results
  }

  return {
    description: { provider: options.provider, threads: options.threads, version: ort.env.versions.node ?? '' },
    // Batches wait for each other: `run` is asynchronous, and commands must be performed in order
    send(commands) {
      const done = previous.then(() => performAll(commands))
      previous = done.catch(() => {})
      return done
    },
    async close() {
      await previous
      for (const session of sessions.values()) await (await session).release()
      sessions.clear()
      tensors.clear()
    },
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Values) => new Uint8Array(buffer, byteOffset, byteLength)

const copyRuns = (source: Values, target: Values, start: number, { from, to, width }: Runs) => {
  if (width <= short && source instanceof Float32Array && target instanceof Float32Array) {
    copyShort(source, target, start, { from, to, width })
    return
  }
  for (let i = 0; i < from.length; i++)
    target.set(source.subarray(start + from[i], start + from[i] + width) as never, to[i])
}

/** Runs of up to so many elements are copied faster one by one. */
const short = 128

/** A function of its own, so that it is compiled for one type of array. */
const copyShort = (source: Float32Array, target: Float32Array, start: number, { from, to, width }: Runs) => {
  for (let i = 0; i < from.length; i++) {
    const [read, write] = [start + from[i], to[i]]
    for (let at = 0; at < width; at++) target[write + at] = source[read + at]
  }
}

const addRows = (target: Values, source: Values, index: Values, width: number) => {
  const [to, from] = [target as Float32Array, source as Float32Array]
  for (let i = 0, at = 0; i < index.length; i++)
    for (let row = Number(index[i]) * width, end = row + width; row < end; row++, at++) to[row] += from[at]
}

const clear = (values: Values) => (values instanceof BigInt64Array ? values.fill(0n) : values.fill(0))

const sessionOptions = ({ provider, threads }: EngineOptions): ort.InferenceSession.SessionOptions => ({
  executionProviders: [provider],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  enableMemPattern: false,
  // Idle pools of other sessions must not spin beside the one that works.
  extra: { session: { force_spinning_stop: '1' } },
  logSeverityLevel: 3,
})

/** A cheap collection of the young generation, which frees the copies; by itself V8 lets hundreds of megabytes accumulate. */
const collector = (): (() => void) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void
  return () => gc({ type: 'minor' })
}
