/**
 * The scope through which a traced function gets its parameters, by checkpoint name relative to its prefix. The
 * parameters it gets become inputs of the program, so one trace serves every layer with the same names and shapes.
 */
import type { Shape } from '../tensor/dim.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { type Quantization, storedShapes } from '../tensor/quantization.ts'
import { input, type QuantizedWeight, scalar, type Tensor } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'

export type Scope = {
  has(name: string): boolean
  /** The parameter's tensor, of its stored shape. */
  get(name: string): Tensor
  /** The quantized weight of this name, if it is quantized: stored under `codesOf` and `scalesOf` its name. */
  quantized(name: string): QuantizedWeight | undefined
  /** The 8-bit codes of this name's weight, if products with it are computed in whole numbers. */
  int8(name: string): Int8Weight | undefined
  /** The low-rank update of a weight, if it has one and it is switched on. */
  lora(name: string): LoraTerm | undefined
  at(prefix: string): Scope
}

/**
 * y += scaling * dropout(x) A' B'. `dropout` is the rate; without a seed there is no dropout. DoRA has a magnitude [out], the
 * length of each row of the weight.
 */
export type LoraTerm = {
  A: Tensor
  B: Tensor
  magnitude?: Tensor
  scaling: number
  dropout: number
  seed: Tensor | undefined
}

/**
 * A weight W [out, inner] as 8-bit codes with a scale for each output: W' = codes [inner, out] * scales [out]. `back` are
 * the same codes [out, inner], where gradients are needed. `smooth` [inner]: x is multiplied by it, and W was divided by it.
 */
export type Int8Weight = { codes: Tensor; scales: Tensor; back?: Tensor; smooth?: Tensor; terms: 1 | 2 }

/** How products with a weight are computed in whole numbers. Its arrays are stored under `codesOf`, ... its name. */
export type Int8Form = {
  out: number
  inner: number
  dtype: CodeType
  terms: 1 | 2
  back: boolean
  /**
   * The weight whose `smooth` it uses, as a module beside it is called (`q_proj.weight`): modules that read the same x share one,
   * so that x is rounded once for all of them.
   */
  smooth?: string
}

export type ScopeOptions = {
  /** LoRA scaling by module name (`self_attn.q_proj`), relative to the root; empty when the adapter is off. */
  scalings?: ReadonlyMap<string, number>
  dropout?: number
  /** Quantized weights by name, relative to the root. */
  quantized?: ReadonlyMap<string, Quantization>
  /** Weights as 8-bit codes, by name, relative to the root. */
  int8?: ReadonlyMap<string, Int8Form>
  /** Whether products with quantized weights may be rounded too: see `QuantizedProduct`. */
  rounded?: boolean
}

export const magnitudeOf = (module: string) => `${module}.lora_magnitude_vector.weight`
export const codesOf = (weight: string) => `${weight}.codes`
export const scalesOf = (weight: string) => `${weight}.scales`
export const backOf = (weight: string) => `${weight}.back`
/** @param owner the form's `smooth` */
export const smoothOf = (weight: string, owner: string) => {
  const module = weight.slice(0, -'.weight'.length)
  return `${module.slice(0, module.lastIndexOf('.') + 1)}${owner}.smooth`
}

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
  const int8Weight = (name: string, { out, inner, dtype, terms, back, smooth }: Int8Form): Int8Weight => ({
    codes: once(codesOf(name), () => input(codesOf(name), [inner, out], dtype)),
    scales: once(scalesOf(name), () => input(scalesOf(name), [out])),
    back: back ? once(backOf(name), () => input(backOf(name), [out, inner], dtype)) : undefined,
    smooth: smooth ? once(smoothOf(name, smooth), () => input(smoothOf(name, smooth), [inner])) : undefined,
    terms,
  })
  const at = (prefix: string): Scope => ({
    has: (name) => shapes.has(prefix + name),
    get: (name) => get(prefix + name),
    quantized: (name) => {
      const weight = options.quantized?.get(prefix + name)
      return weight && quantizedWeight(prefix + name, weight)
    },
    int8: (name) => {
      const form = options.int8?.get(prefix + name)
      return form && int8Weight(prefix + name, form)
    },
    lora: (name) => {
      const scaling = options.scalings?.get(prefix + name)
      if (scaling === undefined) return undefined
      const [A, B] = [get(`${prefix + name}.lora_A.weight`), get(`${prefix + name}.lora_B.weight`)]
      const magnitude = shapes.has(magnitudeOf(prefix + name)) ? get(magnitudeOf(prefix + name)) : undefined
      const seed = dropout > 0 ? seedOf(prefix + name) : undefined
      return { A, B, magnitude, scaling, dropout, seed }
    },
    at: (inner) => at(prefix + inner),
  })
  return at('')
}
