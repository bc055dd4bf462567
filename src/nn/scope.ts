/**
 * The scope through which a traced function gets its parameters, by checkpoint name relative to its prefix. The
 * parameters it gets become inputs of the program, so one trace serves every layer with the same names and shapes.
 */
import type { Shape } from '../tensor/dim.ts'
import { type Quantization, storedShapes } from '../tensor/quantization.ts'
import { input, type QuantizedWeight, scalar, type Tensor } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'

export type Scope = {
  has(name: string): boolean
  /** The parameter's tensor, of its stored shape. */
  get(name: string): Tensor
  /** The quantized weight of this name, if it is quantized: stored under `codesOf` and `scalesOf` its name. */
  quantized(name: string): QuantizedWeight | undefined
  /** The low-rank update of a weight, if it has one and it is switched on. */
  lora(name: string): LoraTerm | undefined
  at(prefix: string): Scope
}

/** y += scaling * dropout(x) A' B'. `dropout` is the rate; without a seed there is no dropout. */
export type LoraTerm = { A: Tensor; B: Tensor; scaling: number; dropout: number; seed: Tensor | undefined }

export type ScopeOptions = {
  /** LoRA scaling by module name (`self_attn.q_proj`), relative to the root; empty when the adapter is off. */
  scalings?: ReadonlyMap<string, number>
  dropout?: number
  /** Quantized weights by name, relative to the root. */
  quantized?: ReadonlyMap<string, Quantization>
  /** Whether products with quantized weights may be rounded too: see `QuantizedProduct`. */
  rounded?: boolean
}

export const codesOf = (weight: string) => `${weight}.codes`
export const scalesOf = (weight: string) => `${weight}.scales`

/** A scope over known shapes. Names are those of the map. */
export const makeScope = (shapes: ReadonlyMap<string, Shape>, options: ScopeOptions = {}): Scope => {
  const made = new Map<string, Tensor>()
  const once = (name: string, make: () => Tensor): Tensor => {
    if (!made.has(name)) made.set(name, make())
    return made.get(name)!
  }
  const get = (name: string): Tensor => {
    const shape = shapes.get(name)
    assert(shape, `no parameter ${name}`)
    return once(name, () => input(name, shape))
  }
  const dropout = options.dropout ?? 0
  /** One seed a program, with an offset for each module: inputs of one shape must have different masks. */
  const modules = [...(options.scalings?.keys() ?? [])]
  const seedOf = (module: string): Tensor =>
    once('dropoutSeed', () => input('dropoutSeed', [1], 'i64')).add(scalar(modules.indexOf(module) * 1_299_709, 'i64'))
  const quantizedWeight = (name: string, weight: Quantization): QuantizedWeight => {
    const { codes, scales } = storedShapes(weight)
    return {
      codes: once(codesOf(name), () => input(codesOf(name), codes, 'u8')),
      scales: once(scalesOf(name), () => input(scalesOf(name), scales)),
      weight,
      rounded: options.rounded,
    }
  }
  const at = (prefix: string): Scope => ({
    has: (name) => shapes.has(prefix + name),
    get: (name) => get(prefix + name),
    quantized: (name) => {
      const weight = options.quantized?.get(prefix + name)
      return weight && quantizedWeight(prefix + name, weight)
    },
    lora: (name) => {
      const scaling = options.scalings?.get(prefix + name)
      if (scaling === undefined) return undefined
      const [A, B] = [get(`${prefix + name}.lora_A.weight`), get(`${prefix + name}.lora_B.weight`)]
      const seed = dropout > 0 ? seedOf(prefix + name) : undefined
      return { A, B, scaling, dropout, seed }
    },
    at: (inner) => at(prefix + inner),
  })
  return at('')
}
