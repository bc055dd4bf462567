/**
 * DoRA (Liu et al. 2024, arXiv 2402.09353): an adapter that learns the length of each row of a weight, its magnitude, beside a low-rank
 * change of its direction. The magnitude begins as the length that the row has.
 */
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { magnitudeOf } from '../nn/scope.ts'
import type { Architecture, Config } from './architecture.ts'
import { type Adapter, refuseDoraTargets } from './lora.ts'
import { loraB, loraModules } from './loraModules.ts'

type Model = { architecture: Architecture; config: Config; params: ReadonlyMap<string, StoredTensor> }

/**
 * A new adapter with the magnitudes that the base's weights have.
 * Throws a Fault 'bad-adapter'; see `refuseDoraTargets`.
 */
export const withMagnitudes = (adapter: Adapter, { architecture, config, params }: Model, flag: string): Adapter => {
  refuseDoraTargets(adapter.targets.keys(), architecture, config, flag)
  const modules = loraModules(architecture, config)
  const owner = new Map([...adapter.targets.keys()].map((module) => [loraB(module), module]))
  const all = [...adapter.params].flatMap(([name, tensor]): [string, StoredTensor][] => {
    const module = owner.get(name)
    if (module === undefined) return [[name, tensor]]
    const { out, transposed } = modules.get(module)!
    const own = magnitudeOf(module)
    const make = async () =>
      Float32Array.from(rowLengths(await params.get(`${module}.weight`)!.floats(), out, transposed))
    return [
      [name, tensor],
      [own, lazyTensor(own, [out], make)],
    ]
  })
  return { ...adapter, dora: true, params: new Map(all) }
}

/** The row of output o at index i of a weight [out, in], or [in, out] when transposed. */
const rowOf = (i: number, size: number, out: number, transposed: boolean) =>
  transposed ? i % out : Math.floor((i * out) / size)

const rowLengths = (W: Float32Array, out: number, transposed: boolean): Float64Array => {
  const squares = new Float64Array(out)
  for (let i = 0; i < W.length; i++) squares[rowOf(i, W.length, out, transposed)] += W[i] ** 2
  return squares.map(Math.sqrt)
}

/** W with rows of these lengths [out]. */
export const withLengths = (W: Float32Array, magnitude: Float32Array, transposed: boolean): Float32Array => {
  const out = magnitude.length
  const lengths = rowLengths(W, out, transposed)
  return W.map((value, i) => {
    const row = rowOf(i, W.length, out, transposed)
    return (value * magnitude[row]) / lengths[row]
  })
}
