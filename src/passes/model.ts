/**
 * A model on a backend: its parameters as handles under their checkpoint names, LoRA's among them
 * (`<module>.lora_A.weight`), and its compiled programs. Trainable parameters are views of arenas (train/arena.ts).
 */
import type { Architecture, Config } from '../models/architecture.ts'
import { ropeTables } from '../nn/rope.ts'
import { type Int8Form, makeScope, type Scope } from '../nn/scope.ts'
import type { Program } from '../onnx/model.ts'
import type { Backend, Executable, Handle, Handles } from '../runtime/backend.ts'
import type { Shape } from '../tensor/dim.ts'
import type { Quantization } from '../tensor/quantization.ts'
import type { PassSharing } from './passSharing.ts'

export type Model = {
  readonly architecture: Architecture
  readonly config: Config
  readonly backend: Backend
  readonly params: ReadonlyMap<string, Handle>
  /** LoRA's scaling by module name; empty without an adapter. */
  readonly scalings: ReadonlyMap<string, number>
  readonly dropout: number
  /** Quantized weights by name; their codes and scales are among `params`. */
  readonly quantized: ReadonlyMap<string, Quantization>
  /** Weights whose products are computed in whole numbers, by name; their arrays are among `params`. */
  readonly int8: ReadonlyMap<string, Int8Form>
  readonly programs: Map<string, Executable>
  readonly ropes: Map<string, Handle>
  /** Workers that may compute its forward passes (readPasses.ts). */
  readonly shared?: PassSharing
}

export const makeModel = (
  parts: Pick<Model, 'architecture' | 'config' | 'backend' | 'params'> &
    Partial<Pick<Model, 'scalings' | 'dropout' | 'quantized' | 'int8' | 'shared'>>,
): Model => ({
  scalings: new Map(),
  dropout: 0,
  quantized: new Map(),
  int8: new Map(),
  ...parts,
  programs: new Map(),
  ropes: new Map(),
})

/** The same model with its adapter switched off: the reference model of a LoRA run. */
export const withoutAdapter = (model: Model): Model => ({ ...model, scalings: new Map() })

/** The program of a key, compiled at its first use. */
export const executable = (
  model: Model,
  key: string,
  build: () => Program,
  constants: () => Handles = () => ({}),
): Executable => {
  if (!model.programs.has(key)) model.programs.set(key, model.backend.load(build(), constants()))
  return model.programs.get(key)!
}

/** Columns of the hidden states between the blocks. */
export const widthOf = ({ architecture, config }: Model): number => architecture.width?.(config) ?? config.hidden_size

/** A part of a model (a layer, or everything outside the layers), with parameters named relative to it. */
export type Part = {
  shapes: Map<string, Shape>
  handles: Record<string, Handle>
  scalings: Map<string, number>
  quantized: Map<string, Quantization>
  int8: Map<string, Int8Form>
  /** Equal signatures share programs. */
  signature: string
}

const partOf = (model: Model, includes: (name: string) => string | undefined): Part => {
  /** What belongs to the part, by its names there. */
  const own = <T>(all: ReadonlyMap<string, T>): Map<string, T> =>
    new Map(
      [...all].flatMap(([full, value]) => {
        const name = includes(full)
        return name === undefined ? [] : [[name, value] as const]
      }),
    )
  const handles = own(model.params)
  const shapes = new Map([...handles].map(([name, { shape }]) => [name, shape]))
  const [scalings, quantized, int8] = [own(model.scalings), own(model.quantized), own(model.int8)]
  const signature = JSON.stringify([shapes, scalings, quantized, int8].map((map) => [...map]))
  return { shapes, handles: Object.fromEntries(handles), scalings, quantized, int8, signature }
}

/** Parts by model: they never change, and every step needs each of them several times. */
const parts = new WeakMap<Model, { layers: Part[]; outer: Part }>()

const partsOf = (model: Model) => {
  const known = parts.get(model)
  if (known) return known
  const prefixes = Array.from({ length: model.config.num_hidden_layers }, (_, i) => model.architecture.layerPrefix(i))
  const below = (prefix: string) => (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined)
  const outside = (name: string) => (prefixes.some((prefix) => name.startsWith(prefix)) ? undefined : name)
  const made = { layers: prefixes.map((prefix) => partOf(model, below(prefix))), outer: partOf(model, outside) }
  parts.set(model, made)
  return made
}

/** The parameters of a layer, named without its prefix. */
export const layerPart = (model: Model, layer: number): Part => partsOf(model).layers[layer]

/** Everything outside the blocks. */
export const outerPart = (model: Model): Part => partsOf(model).outer

export const scopeOf = ({ shapes, scalings, quantized, int8 }: Part, dropout = 0): Scope =>
  makeScope(shapes, { scalings, quantized, int8, dropout })

/** Tables of cos and sin for at least this many positions; grown by doubling. */
export const ropeHandles = (model: Model, length: number): Handles => {
  const rows = 2 ** Math.ceil(Math.log2(Math.max(64, length)))
  const { architecture, config } = model
  const named: Record<string, Handle> = {}
  for (const [table, rope] of Object.entries(config.rope ?? {})) {
    const rotary = architecture.rotary(config, table)
    if (!rotary) continue
    const key = `${table} ${rows}`
    if (!model.ropes.has(`cos ${key}`)) {
      const { cos, sin } = ropeTables(rope, rotary, rows)
      model.ropes.set(`cos ${key}`, model.backend.put(cos, [rows, rotary / 2]))
      model.ropes.set(`sin ${key}`, model.backend.put(sin, [rows, rotary / 2]))
    }
    named[`cos ${table}`] = model.ropes.get(`cos ${key}`)!
    named[`sin ${table}`] = model.ropes.get(`sin ${key}`)!
  }
  return named
}
