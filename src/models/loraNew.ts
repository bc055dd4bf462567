/** Makes new LoRA adapters, and writes adapter folders that PEFT can load. */
import type { NewTensor } from '../checkpoint/safetensorsWrite.ts'
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { magnitudeOf } from '../nn/scope.ts'
import { badInput } from '../util/fault.ts'
import { nearest } from '../util/nearest.ts'
import { quoted } from '../util/quote.ts'
import { fillNormal, fillUniform } from '../util/rng.ts'
import { type Architecture, type Config, headWeight, scoreWeight } from './architecture.ts'
import { expertsTogether, refusePartOfExperts, type Together } from './expertAdapters.ts'
import { type Adapter, kindOfModule, scalingOf } from './lora.ts'
import { adapterName, type LoraModule, loraA, loraB, loraModules, moduleOf, targetedModules } from './loraModules.ts'

export type LoraSettings = {
  r: number
  alpha: number
  dropout: number
  /** Module names, matched from the right at a dot; PEFT's own choice when absent. */
  targets?: readonly string[] | 'all-linear'
  /** Scale by alpha / sqrt(r). */
  rsLora?: boolean
  /** Modules that are trained whole. */
  modulesToSave?: readonly string[]
}

/** Keeps these random numbers apart from others of the same seed. */
const SUBSTREAM = 0x10ca

/**
 * An adapter that changes nothing yet: A is uniform within 1 / sqrt(in), B zero (for an embedding A is zero and B
 * normal), as PEFT begins. Saved modules begin as the base's and have no entry in `params`.
 * Throws a Fault 'bad-flag' for a name that no module has.
 */
export const newAdapter = (
  { r, alpha, dropout, targets, rsLora = false, modulesToSave = [] }: LoraSettings,
  architecture: Architecture,
  config: Config,
  seed: number,
): Adapter => {
  const modules = loraModules(architecture, config)
  const target_modules = targets ?? defaultTargets(architecture, config)
  const saved = savedNames(modulesToSave, architecture, config)
  const spec = { target_modules, modules_to_save: saved.map(moduleOf) }
  if (target_modules !== 'all-linear')
    for (const name of target_modules) refuseUnknown(name, modules.keys(), architecture)
  const chosen = targetedModules(modules, spec, '--lora-target')
  const order = [...modules.keys()]
  const lora = new Map(chosen.map((module) => [module, { r, alpha, scaling: scalingOf(alpha, r, rsLora) }]))
  refusePartOfExperts(kindOfModule(lora, saved), architecture, config, '--lora-target')
  const params = chosen.flatMap((name) => initialPair(name, modules.get(name)!, r, seed, order.indexOf(name)))
  return {
    r,
    alpha,
    dropout,
    rsLora,
    dora: false,
    targets: lora,
    params: new Map(params.map((tensor) => [tensor.name, tensor])),
    saved,
  }
}

/** As PEFT chooses: queries and values, or the one matrix that holds them. */
const defaultTargets = (architecture: Architecture, config: Config): string[] => {
  const names = architecture.linears(config).map((name) => name.slice(name.lastIndexOf('.') + 1))
  return names.includes('q_proj') ? ['q_proj', 'v_proj'] : [names[0]]
}

const ends = (module: string, name: string) => module === name || module.endsWith(`.${name}`)

const refuseUnknown = (name: string, known: Iterable<string>, architecture: Architecture) => {
  const modules = [...known]
  if (modules.some((module) => ends(module, name))) return
  const short = [...new Set(modules.map((module) => module.slice(module.lastIndexOf('.') + 1)))]
  const close = nearest(name, short)
  const advice = close ? `; did you mean ${close}?` : `; it has ${short.join(', ')}`
  throw badInput('bad-flag', `${architecture.name} has no module ${quoted(name)}${advice}`)
}

const savedNames = (modules: readonly string[], architecture: Architecture, config: Config): string[] => {
  const names = [...new Set([...architecture.shapes(config).keys(), headWeight])]
  for (const module of modules) refuseUnknown(module, names.map(moduleOf), architecture)
  return names.filter((name) => modules.some((module) => ends(moduleOf(name), module)))
}

const initialPair = (name: string, module: LoraModule, r: number, seed: number, stream: number): StoredTensor[] => {
  const { inner, out, kind } = module
  const from = { seed, stream, substream: SUBSTREAM }
  const uniform = (x: Float32Array) => fillUniform(x, from, -1 / Math.sqrt(inner), 1 / Math.sqrt(inner))
  const normal = (x: Float32Array) => fillNormal(x, from, 1)
  const zero = (x: Float32Array) => x
  const [a, b] = kind === 'embedding' ? [zero, normal] : [uniform, zero]
  return [
    lazyTensor(loraA(name), [r, inner], () => a(new Float32Array(r * inner))),
    lazyTensor(loraB(name), [out, r], () => b(new Float32Array(out * r))),
  ]
}

/**
 * What an adapter folder holds: the text of adapter_config.json and the tensors of adapter_model.safetensors.
 * @param read the trained value of a parameter
 */
export const adapterFiles = (
  adapter: Adapter,
  architecture: Architecture,
  config: Config,
  read: (name: string) => Promise<Float32Array>,
  baseModelName: string,
): { config: string; tensors: NewTensor[] } => {
  const modules = loraModules(architecture, config)
  const shapes = new Map(architecture.shapes(config)).set(headWeight, [config.vocab_size, config.hidden_size])
  const sizes = new Map([...adapter.targets].map(([module, { r }]) => [module, { r, ...modules.get(module)! }]))
  const experts = expertsTogether(sizes, architecture, config, read)
  const low = [...sizes].flatMap(([module, { r, inner, out }]): [string, readonly number[]][] =>
    experts.parameterOf.has(module)
      ? []
      : [
          [loraA(module), [r, inner]],
          [loraB(module), [out, r]],
          ...(adapter.dora ? [[magnitudeOf(module), [out]] as [string, readonly number[]]] : []),
        ],
  )
  // A value head is the trainer's own: PEFT would look for it in a language model
  const saved = adapter.saved.filter((name) => name !== scoreWeight || architecture.scores === 'alone')
  const named = [...low, ...saved.map((name): [string, readonly number[]] => [name, shapes.get(name)!])]
  return {
    config: `${JSON.stringify(peftConfig({ ...adapter, saved }, architecture, modules, experts, baseModelName), null, 2)}\n`,
    tensors: [
      ...named.map(([name, shape]) => ({
        name: peftName(name, modules),
        dtype: 'F32' as const,
        shape,
        data: () => read(name),
      })),
      ...experts.tensors,
    ],
  }
}

const peftName = (name: string, modules: ReadonlyMap<string, LoraModule>): string => {
  const isEmbedding = modules.get(moduleOf(moduleOf(name)))?.kind === 'embedding'
  const low = name.replace(/(\.lora_magnitude_vector)\.weight$/, '$1')
  return adapterName(isEmbedding ? low.replace(/\.lora_([AB])\.weight$/, '.lora_embedding_$1') : low)
}

/** Only keys that every PEFT since 0.5 knows. */
const peftConfig = (
  { r, alpha, dropout, rsLora, dora, targets, saved }: Adapter,
  { conv1d = false, scores }: Architecture,
  modules: ReadonlyMap<string, LoraModule>,
  { parameters, parameterOf, isParametric }: Together,
  baseModelName: string,
) => {
  const named = (module: string) => parameterOf.get(module) ?? module
  const own = (key: 'r' | 'alpha', common: number) =>
    Object.fromEntries([...targets].filter(([, t]) => t[key] !== common).map(([module, t]) => [named(module), t[key]]))
  const modulesToSave = [...new Set(saved.map(moduleOf))]
  const ownModules = [...targets.keys()].filter((module) => !parameterOf.has(module))
  return {
    alpha_pattern: own('alpha', alpha),
    base_model_name_or_path: baseModelName,
    bias: 'none',
    fan_in_fan_out: conv1d,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    // PEFT has no dropout on parameters, which it makes of modules of experts too, and refuses an adapter that asks for it
    lora_dropout: isParametric ? 0 : dropout,
    modules_to_save: modulesToSave.length ? modulesToSave : null,
    peft_type: 'LORA',
    r,
    rank_pattern: own('r', r),
    target_modules: shortNames(ownModules, modules, modulesToSave),
    ...(parameters.length && { target_parameters: parameters }),
    task_type: scores === 'alone' ? 'SEQ_CLS' : 'CAUSAL_LM',
    ...(dora && { use_dora: true }),
    use_rslora: rsLora,
  }
}

/** Last parts of the names where they mean just these modules, else the names. */
const shortNames = (
  targets: string[],
  modules: ReadonlyMap<string, LoraModule>,
  modules_to_save: string[],
): string[] => {
  const short = [...new Set(targets.map((module) => module.slice(module.lastIndexOf('.') + 1)))].sort()
  const meant = targetedModules(modules, { target_modules: short, modules_to_save }, '')
  return meant.length === targets.length ? short : targets
}
