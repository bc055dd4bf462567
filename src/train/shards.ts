/**
 * A step as a list of shards, its micro-batches: each gives the sum of its own gradients, and the sums are added in the order of
 * the list. So a step comes to the same bits whether one process computes its shards in turn or several machines do.
 */
import { compileProgram } from '../onnx/model.ts'
import type { Backend, Handle } from '../runtime/backend.ts'
import { input } from '../tensor/tensor.ts'
import { type Arena, viewsOf } from './arena.ts'

/** Trained parameters that a step may have to be shared out: a gradient of 64 MiB. With more, micro-batches add up in place. */
export const mostSharedParameters = 2 ** 24

/** The gradient of one shard, beside that of the step. */
export type ShardGradient = {
  /** By parameter: what a backward pass adds to. */
  gradients: ReadonlyMap<string, Handle>
  zero(): void
  /** Adds it to the gradient of the step. */
  addToStep(): void
  /** Its values, an array for each arena. */
  read(): Promise<Float32Array[]>
  /** Takes the values that another process read. */
  write(values: readonly Float32Array[]): void
}

export const makeShardGradient = (backend: Backend, arenas: readonly Arena[]): ShardGradient => {
  const own = arenas.map((arena) => ({ ...arena, grads: backend.zeros([arena.size]) }))
  const sum = input('step', ['S']).add(input('shard', ['S']))
  const adding = backend.load(compileProgram('add shard', { sum }))
  return {
    gradients: viewsOf(backend, own, 'grads'),
    zero() {
      for (const { grads } of own) backend.zero(grads)
    },
    addToStep() {
      for (const [i, { grads }] of arenas.entries())
        backend.runSlices(adding, { step: grads, shard: own[i].grads }, {}, { sum: grads })
    },
    read: () => Promise.all(own.map(({ grads }) => backend.read(grads))),
    write(values) {
      for (const [i, { grads }] of own.entries()) backend.write(grads, values[i])
    },
  }
}
