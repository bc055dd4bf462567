/**
 * PEFT's LoRA adapters (Hu et al. 2021), read and checked. Parameters for embeddings, lora_embedding_A and _B in PEFT,
 * are named here like all others. Parameters of saved modules (modules_to_save) replace the base's under the base's
 * names. Anything else than plain LoRA is refused by name.
 */
import { z } from 'zod'
import type { StoredTensor } from '../checkpoint/stored.ts'
import { magnitudeOf } from '../nn/scope.ts'
import { badInput } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import { type Architecture, type Config, headWeight } from './architecture.ts'
import { expertModules, expertsApart, refusePartOfExperts } from './expertAdapters.ts'
import {
  adapterName,
  adapterPrefix,
  type LoraModule,
  loraA,
  loraB,
  loraModules,
  moduleOf,
  safePattern,
  targetedModules,
} from './loraModules.ts'

export type LoraTarget = {
  r: number
  alpha: number
  /** alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA (Kalajdzievski 2023). */
  scaling: number
}

export type Adapter = {
  /** Rank and alpha of modules without their own (rank_pattern, alpha_pattern). */
  r: number
  alpha: number
  dropout: number
  rsLora: boolean
  /** Each target has a magnitude too; see dora.ts. */
  dora: boolean
  /** By full module name. */
  targets: Map<string, LoraTarget>
  /**
   * `<module>.lora_A.weight` [r, in] and `<module>.lora_B.weight` [out, r], with DoRA `<module>.lora_magnitude_vector.weight` [out],
   * and saved parameters where it has them.
   */
  params: Map<string, StoredTensor>
  /** Parameters of the base that it replaces whole (modules_to_save). */
  saved: string[]
}

/** For `makeModel`. */
export const scalingsOf = ({ targets }: Adapter): Map<string, number> =>
  new Map([...targets].map(([module, { scaling }]) => [module, scaling]))

export const scalingOf = (alpha: number, r: number, rsLora: boolean) => alpha / (rsLora ? Math.sqrt(r) : r)

const size = z.int().positive()
/** Far more names and patterns than any model has modules; each is held against every module. */
const most = 10_000
const texts = z.array(z.string()).max(most)
const few = (patterns: object) => Object.keys(patterns).length <= most
const tooMany = `holds more than ${most} patterns`

const schema = z.looseObject({
  peft_type: z.string(),
  r: size,
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).max(1).default(0),
  target_modules: z.union([z.string(), texts]).nullish(),
  target_parameters: texts.nullish(),
  exclude_modules: z.union([z.string(), texts]).nullish(),
  modules_to_save: texts.nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int()).max(most)]).nullish(),
  layers_pattern: z.union([z.string(), texts]).nullish(),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), size).refine(few, tooMany).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).refine(few, tooMany).nullish(),
})

type PeftConfig = z.infer<typeof schema>

/** Settings beside plain LoRA's, with the values at which they change nothing. */
const harmless: Readonly<Record<string, readonly unknown[]>> = {
  bias: ['none'],
  lora_bias: [false],
  // the others change the base's weights when the adapter is loaded
  init_lora_weights: [true, false, 'gaussian', 'orthogonal', 'eva'],
  layer_replication: [],
  use_qalora: [false],
  alora_invocation_tokens: [],
  arrow_config: [],
  kasa_config: [],
  monteclora_config: [],
  velora_config: [],
  megatron_config: [],
  use_bdlora: [],
  trainable_token_indices: [],
  ensure_weight_tying: [false],
}

const readConfig = (raw: unknown, file: string): PeftConfig => {
  const type = (raw as { peft_type?: unknown } | null)?.peft_type
  if (type !== undefined && type !== 'LORA')
    throw badInput('bad-adapter', `peft_type ${quoted(type)} is not supported; LORA is`, { file })
  const parsed = schema.safeParse(raw)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]
    throw badInput('bad-adapter', `${cut(path.join('.'), 100) || 'the file'}: ${cut(message, 200)}`, { file })
  }
  const c = parsed.data
  const isEmpty = (value: unknown) => value === undefined || value === null || (Array.isArray(value) && !value.length)
  const found = Object.keys(harmless).find((key) => !isEmpty(c[key]) && !harmless[key].includes(c[key]))
  if (found)
    throw badInput('bad-adapter', `${found} ${quoted(c[found])} is not plain LoRA, which is all attune knows`, {
      file,
    })
  return c
}

/** The base with an adapter's embeddings, where those were enlarged for new tokens before training. */
export const withVocabulary = (
  { architecture, config, params }: Model,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
): Model => {
  // Where LoRA targets the embedding as well, PEFT saves the enlarged weight under base_layer
  const grown = (name: string) =>
    tensors.get(adapterName(name)) ?? tensors.get(adapterName(name.replace(/\.weight$/, '.base_layer.weight')))
  const embedding = grown(architecture.embedding)
  const rows = embedding?.shape[0] ?? 0
  if (!embedding || rows <= config.vocab_size) return { architecture, config, params }
  const head = params.has(headWeight) ? grown(headWeight) : undefined
  if (params.has(headWeight) && head?.shape[0] !== rows)
    throw badInput(
      'wrong-adapter',
      `has embeddings of ${rows} tokens where the model has ${config.vocab_size}, but no lm_head of that size beside them; save both (modules_to_save)`,
      { file },
    )
  return {
    architecture,
    config: { ...config, vocab_size: rows, raw: { ...config.raw, vocab_size: rows } },
    params: new Map([...params, [architecture.embedding, embedding], ...(head ? [[headWeight, head] as const] : [])]),
  }
}

type Model = { architecture: Architecture; config: Config; params: ReadonlyMap<string, StoredTensor> }

/**
 * An adapter for this model.
 * @param adapterConfig adapter_config.json   @param tensors those of adapter_model.safetensors   @param file the folder
 * Faults: 'bad-adapter' for what is not plain LoRA, 'wrong-adapter' for one that was made for another model.
 */
export const parseAdapter = (
  adapterConfig: unknown,
  tensors: ReadonlyMap<string, StoredTensor>,
  architecture: Architecture,
  config: Config,
  file: string,
): Adapter => {
  const peft = readConfig(adapterConfig, `${file}/adapter_config.json`)
  const modules = loraModules(architecture, config)
  const apart = expertsApart(peft.target_parameters ?? [], tensors, architecture, config, file)
  const { parameterOf } = apart
  const base = { ...peft, name: architecture.name, modules, parameterOf, file }
  const shapes = new Map(architecture.shapes(config)).set(headWeight, [config.vocab_size, config.hidden_size])
  const params = new Map<string, StoredTensor>()
  const saved: string[] = []
  for (const [stored, tensor] of apart.tensors) {
    const { name, low } = parameterName(stored, file)
    if (name === undefined) continue
    if (!low) saved.push(name)
    params.set(name, checkedShape(tensor, low ? loraShape(name, tensor, base) : shapes.get(name), name, base))
  }
  const { targets, ...settings } = targetsOf(base, params)
  refusePartOfExperts(kindOfModule(targets, saved), architecture, config, file)
  if (settings.dora) refuseDoraTargets(targets.keys(), architecture, config, file)
  return { ...settings, targets, r: peft.r, alpha: peft.lora_alpha, params, saved }
}

type Base = PeftConfig & {
  name: string
  modules: ReadonlyMap<string, LoraModule>
  parameterOf: ReadonlyMap<string, string>
  file: string
}

/** How a module is trained, as a text to compare; undefined where it is not. */
export const kindOfModule = (targets: Adapter['targets'], saved: readonly string[]) => (module: string) =>
  saved.includes(`${module}.weight`) ? 'whole' : targets.has(module) ? JSON.stringify(targets.get(module)) : undefined

/** The name here; undefined for copies of the base's own weights. */
const parameterName = (stored: string, file: string): { name?: string; low: boolean } => {
  if (!stored.startsWith(adapterPrefix)) throw badInput('bad-adapter', `${stored} is no name that PEFT gives`, { file })
  const name = stored.slice(adapterPrefix.length)
  if (/\.base_layer\.(weight|bias)$/.test(name)) return { low: false }
  const low = name
    .replace(/\.lora_embedding_([AB])$/, '.lora_$1.weight')
    .replace(/(\.lora_magnitude_vector)$/, '$1.weight')
  if (/\.lora_([AB]|magnitude_vector)\.weight$/.test(low)) return { name: low, low: true }
  if (name.includes('.lora_')) throw badInput('bad-adapter', `${stored} is not plain LoRA`, { file })
  return { name, low: false }
}

const otherModel = (what: string, file: string) =>
  badInput('wrong-adapter', `${what}; the adapter was made for another model`, { file })

const loraShape = (name: string, { shape }: StoredTensor, { modules }: Base): readonly number[] | undefined => {
  const module = modules.get(moduleOf(moduleOf(name)))
  if (!module) return undefined
  if (name.endsWith('.lora_magnitude_vector.weight')) return [module.out]
  return name.endsWith('.lora_A.weight') ? [shape[0], module.inner] : [module.out, shape[1]]
}

const checkedShape = (tensor: StoredTensor, shape: readonly number[] | undefined, name: string, base: Base) => {
  if (!shape) throw otherModel(`holds ${name}, which ${base.name} with this config.json does not have`, base.file)
  if (tensor.shape.length === shape.length && shape.every((n, i) => n === tensor.shape[i])) return tensor
  throw otherModel(`${name} is [${tensor.shape}], this model needs [${shape}]`, base.file)
}

/** Every module that the config means has both matrices, of the rank it says, and no other has any. */
const targetsOf = (base: Base, params: ReadonlyMap<string, StoredTensor>) => {
  const { file, use_rslora: rsLora, use_dora: dora } = base
  const { target_modules, parameterOf } = base
  const means = [
    ...targetedModules(base.modules, { ...base, target_modules: target_modules ?? [] }, file),
    ...parameterOf.keys(),
  ]
  const own = (pattern: Record<string, number> | null | undefined) => patternLookup(pattern ?? {}, file)
  const [rankOf, alphaOf] = [own(base.rank_pattern), own(base.alpha_pattern)]
  const targets = new Map<string, LoraTarget>()
  for (const module of means) {
    const [A, B] = [params.get(loraA(module)), params.get(loraB(module))]
    if (!A || !B || (dora && !params.has(magnitudeOf(module))))
      throw otherModel(`has no LoRA weights for ${module}, which its adapter_config.json targets`, file)
    const named = parameterOf.get(module) ?? module
    const [r, alpha] = [rankOf(named) ?? base.r, alphaOf(named) ?? base.lora_alpha]
    if (A.shape[0] !== r || B.shape[1] !== r)
      throw badInput('bad-adapter', `${module}: adapter_config.json says rank ${r}, the weights [${A.shape}]`, { file })
    targets.set(module, { r, alpha, scaling: scalingOf(alpha, r, rsLora) })
  }
  const stray = [...params.keys()].find(
    (name) =>
      name.includes('.lora_') &&
      !(targets.has(moduleOf(moduleOf(name))) && (dora || !name.endsWith('.lora_magnitude_vector.weight'))),
  )
  if (stray) throw badInput('bad-adapter', `holds ${stray}, which its adapter_config.json does not target`, { file })
  return { targets, rsLora, dora, dropout: base.lora_dropout }
}

/** Throws a Fault 'bad-adapter' for a module whose magnitude is not computed: embeddings, heads, and experts with their routers. */
export const refuseDoraTargets = (
  targets: Iterable<string>,
  architecture: Architecture,
  config: Config,
  file: string,
): void => {
  const modules = loraModules(architecture, config)
  const others = new Set(expertModules(architecture, config)).add(moduleOf(headWeight))
  const other = [...targets].find((name) => others.has(name) || modules.get(name)!.kind !== 'linear')
  if (other)
    throw badInput(
      'bad-adapter',
      `has DoRA on ${other}, which attune computes for linear modules of attention and MLP`,
      {
        file,
      },
    )
}

/** PEFT's rule: the first key that is a regular expression for the name or for its end after a dot. */
const patternLookup = (patterns: Record<string, number>, file: string) => {
  const rules = Object.entries(patterns).map(([key, value]) => ({
    pattern: safePattern(`^(?:.*\\.)?(?:${key})$`, file),
    value,
  }))
  return (module: string): number | undefined => rules.find(({ pattern }) => pattern.test(module))?.value
}
