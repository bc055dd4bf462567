/**
 * LoRA on experts. attune adapts the modules of each expert, as PEFT did with transformers 4. With transformers 5 PEFT adapts one
 * parameter of all experts (`target_parameters`): A [experts*r, in] has theirs one after the other, B [out, r*experts] has them
 * interleaved. Here one becomes the other, with the same products.
 */
import type { NewTensor } from '../checkpoint/safetensorsWrite.ts'
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Architecture, Config, ExpertStack } from './architecture.ts'
import { adapterName, loraA, loraB, moduleOf } from './loraModules.ts'

/** A stack of one layer, with full names. */
type LayerStack = Omit<ExpertStack, 'stored'>

const layerStacks = ({ experts, layerPrefix, shapes }: Architecture, config: Config): LayerStack[] => {
  if (!experts) return []
  const known = shapes(config)
  const stacks = experts.stacks(config)
  const all = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const prefix = layerPrefix(layer)
    return stacks.map(({ parameter, modules, named }) => ({
      parameter: prefix + parameter,
      modules: modules.map((own) => own.map((module) => prefix + module)),
      named,
    }))
  })
  return all.flat().filter(({ modules }) => known.has(`${modules[0][0]}.weight`))
}

/** Modules of experts, and routers. */
export const expertModules = (architecture: Architecture, config: Config): string[] =>
  layerStacks(architecture, config).flatMap(({ modules }) => modules.flat())

/**
 * What PEFT names the matrices of each stack by: the module that holds the parameter. Of two parameters of one module the wrapper
 * of the second is around that of the first.
 */
const withHolders = (stacks: readonly LayerStack[]) =>
  stacks.map((stack, i) => {
    const holder = moduleOf(stack.parameter)
    const around = stacks.slice(i + 1).filter(({ parameter }) => moduleOf(parameter) === holder)
    return { ...stack, holder: holder + '.base_layer'.repeat(around.length) }
  })

const isTargeted = (name: string, target: string) => name === target || name.endsWith(`.${target}`)

type Apart = {
  tensors: Map<string, StoredTensor>
  /** The parameter that a module stands in, where that is targeted: what rank_pattern and alpha_pattern call it by. */
  parameterOf: Map<string, string>
}

/**
 * An adapter's tensors with those of targeted parameters taken apart.
 * @param targets `target_parameters`
 * Throws Faults 'wrong-adapter' for parameters that the model does not have, 'bad-adapter' for matrices that do not fit its experts.
 */
export const expertsApart = (
  targets: readonly string[],
  tensors: ReadonlyMap<string, StoredTensor>,
  architecture: Architecture,
  config: Config,
  file: string,
): Apart => {
  const apart = new Map(tensors)
  const parameterOf = new Map<string, string>()
  const known = targets.length ? layerStacks(architecture, config) : []
  const other = targets.find((target) => !known.some(({ parameter }) => isTargeted(parameter, target)))
  if (other !== undefined)
    throw badInput('wrong-adapter', `targets ${quoted(other)}, which ${architecture.name} does not have`, { file })
  const stacks = known.filter(({ parameter }) => targets.some((target) => isTargeted(parameter, target)))
  for (const { parameter, modules, holder } of withHolders(stacks)) {
    const [A, B] = [loraA, loraB].map((of) => apart.get(adapterName(of(holder))))
    if (!A || !B) throw badInput('wrong-adapter', `has no LoRA weights for ${parameter}, which it targets`, { file })
    for (const of of [loraA, loraB]) apart.delete(adapterName(of(holder)))
    const [rows, columns] = [A.shape[0], B.shape[1]]
    if (A.shape.length !== 2 || rows !== columns || rows % modules.length || B.shape[0] % modules[0].length)
      throw badInput(
        'bad-adapter',
        `${parameter}: LoRA weights [${A.shape}] and [${B.shape}] do not fit ${modules.length} experts`,
        { file },
      )
    const [wholeA, wholeB] = [readOnce(A), readOnce(B)]
    for (const [expert, own] of modules.entries())
      for (const [part, module] of own.entries()) {
        parameterOf.set(module, parameter)
        apart.set(adapterName(loraA(module)), ofExpertA(wholeA, modules.length, expert))
        apart.set(adapterName(loraB(module)), ofExpertB(wholeB, modules.length, expert, own.length, part))
      }
  }
  return { tensors: apart, parameterOf }
}

/** A tensor that is read once, however many are made of it. */
const readOnce = (tensor: StoredTensor): StoredTensor => {
  let values: Promise<Float32Array> | undefined
  return { ...tensor, floats: () => (values ??= tensor.floats()) }
}

/** [experts*r, in] -> [r, in] */
const ofExpertA = (A: StoredTensor, experts: number, expert: number): StoredTensor => {
  const [rows, inner] = A.shape
  const size = (rows / experts) * inner
  return lazyTensor(A.name, [rows / experts, inner], async () =>
    (await A.floats()).slice(expert * size, (expert + 1) * size),
  )
}

/** [parts*out, r*experts] -> [out, r], of one of the modules that stand in the parameter one after the other */
const ofExpertB = (B: StoredTensor, experts: number, expert: number, parts: number, part: number): StoredTensor => {
  const [out, r] = [B.shape[0] / parts, B.shape[1] / experts]
  return lazyTensor(B.name, [out, r], async () => {
    const all = await B.floats()
    const start = part * out * r * experts
    return Float32Array.from({ length: out * r }, (_, i) => all[start + i * experts + expert])
  })
}

/** What is written of the modules that PEFT can only adapt as parameters. */
export type Together = {
  /** PEFT of transformers 5 adapts some of the targets as parameters. */
  isParametric: boolean
  /** For `target_parameters`. */
  parameters: string[]
  tensors: NewTensor[]
  /** As `parameterOf` of `Apart`. */
  parameterOf: Map<string, string>
}

/**
 * @param targets rank and shape of each adapted module, of all experts or none (see `refusePartOfExperts`)
 * @param read the value of a parameter of the adapter
 */
export const expertsTogether = (
  targets: ReadonlyMap<string, { r: number; inner: number; out: number }>,
  architecture: Architecture,
  config: Config,
  read: (name: string) => Promise<Float32Array>,
): Together => {
  const whole = layerStacks(architecture, config)
  const isParametric = whole.some(({ modules }) => modules[0].some((module) => targets.has(module)))
  const all = whole.filter(({ named }) => !named)
  const stacks = all.filter(({ modules }) => targets.has(modules[0][0]))
  const tensors = withHolders(stacks).flatMap(({ modules, holder }): NewTensor[] => {
    const names = modules.map(([module]) => module)
    const { r, inner, out } = targets.get(names[0])!
    const tensor = (name: string, shape: readonly number[], data: NewTensor['data']) =>
      ({ name: adapterName(name), dtype: 'F32', shape, data }) as const
    const readAll = (of: (module: string) => string) => Promise.all(names.map((name) => read(of(name))))
    return [
      tensor(loraA(holder), [names.length * r, inner], async () => {
        const parts = await readAll(loraA)
        return Float32Array.from(
          { length: names.length * r * inner },
          (_, i) => parts[Math.floor(i / (r * inner))][i % (r * inner)],
        )
      }),
      tensor(loraB(holder), [out, r * names.length], async () => {
        const parts = await readAll(loraB)
        return Float32Array.from(
          { length: out * r * names.length },
          (_, i) => parts[i % names.length][Math.floor(i / names.length)],
        )
      }),
    ]
  })
  const parameterOf = new Map(
    stacks.flatMap(({ parameter, modules }) => modules.map(([module]) => [module, parameter] as const)),
  )
  return { isParametric, parameters: shortNames(stacks, all, architecture, config), tensors, parameterOf }
}

/** Without the layer, where those of all layers are meant. */
const shortNames = (
  stacks: readonly LayerStack[],
  all: readonly LayerStack[],
  { layerPrefix }: Architecture,
  config: Config,
): string[] => {
  const prefixes = Array.from({ length: config.num_hidden_layers }, (_, layer) => layerPrefix(layer))
  const short = ({ parameter }: LayerStack) =>
    parameter.slice(prefixes.find((prefix) => parameter.startsWith(prefix))!.length)
  const names = [...new Set(stacks.map(short))]
  const meant = all.filter((stack) => names.includes(short(stack)))
  return meant.length === stacks.length ? names : stacks.map(({ parameter }) => parameter)
}

/** Throws a Fault 'bad-adapter' where some experts of a layer are adapted, or trained whole, and others are not or otherwise. */
export const refusePartOfExperts = (
  kindOf: (module: string) => string | undefined,
  architecture: Architecture,
  config: Config,
  file: string,
): void => {
  for (const { modules } of layerStacks(architecture, config))
    for (const part of modules[0].keys()) {
      const [first, ...others] = modules.map((own) => own[part])
      const other = others.find((module) => kindOf(module) !== kindOf(first))
      if (other)
        throw badInput(
          'bad-adapter',
          `adapts ${first} otherwise than ${other}; the experts of a layer are adapted alike`,
          {
            file,
          },
        )
    }
}
