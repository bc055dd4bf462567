/** The optimizer's update of the arenas, in place and slice by slice, and the global gradient norm. */
import { compileProgram } from '../onnx/model.ts'
import { globalNorm, sumOfSquares } from '../optim/clip.ts'
import type { Optimizer } from '../optim/optimizers.ts'
import { type Backend, type Executable, type Handle, sliceSize } from '../runtime/backend.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import type { Arena } from './arena.ts'

export type Updater = {
  /** L2 norm of all gradients, NaN or infinite where one is. */
  norm(): Promise<number>
  /** One optimizer step; the gradients stay as they are. */
  update(settings: { step: number; learningRate: number; gradScale: number }): void
  zeroGradients(): void
}

export const makeUpdater = (backend: Backend, arenas: readonly Arena[], optimizer: Optimizer): Updater => {
  const square = backend.load(compileProgram('sumOfSquares', { sum: sumOfSquares(input('grad', ['S'])) }))
  const updating = backend.load(compileProgram('update', tracedUpdate(optimizer)))
  return {
    async norm() {
      const sums: number[] = []
      for (const arena of arenas) sums.push(...(await squares(backend, square, arena)))
      return globalNorm(sums)
    },
    update(settings) {
      for (const arena of arenas) {
        const values = optimizer.scalarValues({ ...settings, decays: arena.decays })
        const scalars = Object.fromEntries(
          Object.entries(values).map(([name, x]) => [`scalar ${name}`, backend.put(Float32Array.of(x), [])]),
        )
        const state = Object.entries(arena.state)
        const sliced = { param: arena.params, grad: arena.grads, ...named('state', state) }
        backend.runSlices(updating, sliced, scalars, { 'new param': arena.params, ...named('new', state) })
        backend.free(Object.values(scalars))
      }
    },
    zeroGradients() {
      for (const arena of arenas) backend.zero(arena.grads)
    },
  }
}

const named = (prefix: string, entries: readonly (readonly [string, Handle])[]) =>
  Object.fromEntries(entries.map(([name, handle]) => [`${prefix} ${name}`, handle]))

const squares = async (backend: Backend, square: Executable, arena: Arena): Promise<Float32Array> => {
  const sums = backend.zeros([Math.ceil(arena.size / sliceSize)])
  backend.runSlices(square, { grad: arena.grads }, {}, { sum: sums })
  const values = await backend.read(sums)
  backend.free([sums])
  return values
}

const tracedUpdate = (optimizer: Optimizer): Record<string, Tensor> => {
  const slice = (name: string) => input(name, ['S'])
  const state = Object.fromEntries(optimizer.state.map((name) => [name, slice(`state ${name}`)]))
  const scalars = Object.fromEntries(optimizer.scalars.map((name) => [name, input(`scalar ${name}`, [])]))
  const next = optimizer.update({ param: slice('param'), grad: slice('grad'), state }, scalars)
  const states = Object.fromEntries(Object.entries(next.state).map(([name, tensor]) => [`new ${name}`, tensor]))
  return { 'new param': next.param, ...states }
}
