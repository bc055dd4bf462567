/**
 * Which modules an adapter can target, and which of them a PEFT config means. Names match from the right at a dot:
 * "q_proj" and "self_attn.q_proj" both mean `model.layers.0.self_attn.q_proj`. A string instead of a list is a regular
 * expression for the whole name. It may come from a stranger, so only expressions that cannot take long are run.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { type Architecture, type Config, headWeight, scoreWeight } from './architecture.ts'

/** A weight that LoRA can update. A is [r, inner], B is [out, r]. */
export type LoraModule = {
  inner: number
  out: number
  /** The weight is stored as [inner, out]: GPT-2's Conv1D, and every embedding. */
  transposed: boolean
  kind: 'linear' | 'embedding'
}

/** Linear layers in order, then embeddings and the head (also where it shares its weight). A score head is saved whole. */
export const loraModules = (architecture: Architecture, config: Config): Map<string, LoraModule> => {
  const shapes = architecture.shapes(config)
  const { conv1d = false } = architecture
  const modules = new Map<string, LoraModule>()
  for (let layer = 0; layer < config.num_hidden_layers; layer++)
    for (const name of architecture.linears(config)) {
      const module = architecture.layerPrefix(layer) + name
      const shape = shapes.get(`${module}.weight`)
      if (!shape) continue
      const [rows, columns] = shape
      const [inner, out] = conv1d ? [rows, columns] : [columns, rows]
      modules.set(module, { inner, out, transposed: conv1d, kind: 'linear' })
    }
  for (const module of architecture.outerLinears ?? []) {
    const shape = shapes.get(`${module}.weight`)
    if (shape) modules.set(module, { inner: shape[1], out: shape[0], transposed: false, kind: 'linear' })
  }
  for (const [name, [rows, columns]] of shapes)
    if (
      columns !== undefined &&
      !modules.has(moduleOf(name)) &&
      !isConvolution(shapes.get(name)!) &&
      name !== headWeight &&
      name !== scoreWeight
    )
      modules.set(moduleOf(name), { inner: rows, out: columns, transposed: true, kind: 'embedding' })
  const { vocab_size: out, hidden_size: inner } = config
  if (architecture.scores === 'alone') return modules
  return modules.set(moduleOf(headWeight), { inner, out, transposed: false, kind: 'linear' })
}

const isConvolution = (shape: readonly number[]) => shape.length === 3

/** `model.norm` of `model.norm.weight`. */
export const moduleOf = (name: string): string => name.slice(0, name.lastIndexOf('.'))

export const loraA = (module: string) => `${module}.lora_A.weight`
export const loraB = (module: string) => `${module}.lora_B.weight`

export const adapterPrefix = 'base_model.model.'

/** A parameter as PEFT names it. */
export const adapterName = (name: string) => adapterPrefix + name

/** The keys of a PEFT config that choose modules. */
export type TargetSpec = {
  target_modules: string | readonly string[]
  exclude_modules?: string | readonly string[] | null
  layers_to_transform?: number | readonly number[] | null
  layers_pattern?: string | readonly string[] | null
  modules_to_save?: readonly string[] | null
}

const listOf = <T>(value: T | readonly T[] | null | undefined): readonly T[] =>
  value === null || value === undefined || value === '' ? [] : Array.isArray(value) ? value : [value as T]

const endsIn = (module: string, names: readonly string[]) =>
  names.some((name) => module === name || module.endsWith(`.${name}`))

/** Throws Faults 'bad-adapter' for patterns that are not run. */
export const targetedModules = (modules: ReadonlyMap<string, LoraModule>, spec: TargetSpec, file: string): string[] => {
  const named = matcher(spec.target_modules, modules, file)
  const excluded = spec.exclude_modules?.length ? matcher(spec.exclude_modules, modules, file) : () => false
  const saved = spec.modules_to_save ?? []
  const isSaved = (module: string) =>
    module.split('.').some((_, i, parts) => endsIn(parts.slice(0, i + 1).join('.'), saved))
  const inLayer = typeof spec.target_modules === 'string' ? () => true : layerFilter(spec, file)
  return [...modules.keys()].filter((m) => named(m) && inLayer(m) && !excluded(m) && !isSaved(m))
}

const matcher = (names: string | readonly string[], modules: ReadonlyMap<string, LoraModule>, file: string) => {
  if (typeof names !== 'string') return (module: string) => endsIn(module, names)
  if (names.toLowerCase() === 'all-linear')
    return (module: string) => modules.get(module)!.kind === 'linear' && module !== moduleOf(headWeight)
  const pattern = safePattern(`^(?:${names})$`, file)
  return (module: string) => pattern.test(module)
}

/** The first number between dots is the layer, or the one after a part that `layers_pattern` matches. */
const layerFilter = ({ layers_to_transform, layers_pattern }: TargetSpec, file: string) => {
  const layers = listOf(layers_to_transform)
  if (!layers.length) return () => true
  const names = listOf(layers_pattern)
  const patterns = names.length
    ? names.map((name) => safePattern(`^(?:.*?\\.)?${name}\\.(?<layer>\\d+)\\.`, file))
    : [/^.*?\.[^.]*\.(?<layer>\d+)\./]
  return (module: string) => {
    const found = patterns.map((pattern) => pattern.exec(module)).find((match) => match)
    return found !== undefined && layers.includes(Number(found!.groups!.layer))
  }
}

/** Unbounded repetitions in one pattern; with names below 100 characters this many take milliseconds. */
const repetitions = 5

/** Python's spelling to JavaScript's, where matching cannot blow up: no group is repeated and few characters are. */
export const safePattern = (source: string, file: string): RegExp => {
  const fail = (why: string) =>
    badInput('bad-adapter', `the pattern ${quoted(source)} ${why}; list the module names instead`, {
      file,
    })
  const bare = source.replace(/\\./gs, 'x').replace(/\[[^\]]*\]/g, 'x')
  const tooMany = (bare.match(/[*+{]/g) ?? []).length > repetitions
  if (source.length > 5000 || tooMany || /\)[*+{]/.test(bare) || /\\[1-9k]|\(\?P=/.test(source))
    throw fail('is not run, since it could take very long')
  try {
    return new RegExp(source.replaceAll('(?P<', '(?<').replaceAll('\\Z', '$').replaceAll('\\A', '^'), 'u')
  } catch {
    throw fail('is not understood')
  }
}
