/**
 * Joins a checkpoint's tensors to an architecture: every parameter under its name with its shape, or a Fault that says
 * which is missing or misshapen. Tensors that the architecture does not know are returned, not dropped silently.
 *
 * Whether embeddings are tied is decided by the weights, not by config.json. A file may hold both (torch's .bin always
 * does): equal ones are tied, unequal ones are not. Of tied ones only one needs to be there.
 */
import type { StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import { type Architecture, type Config, headWeight } from './architecture.ts'
import { blenderConfig, isBlenderConfig } from './blenderConfig.ts'
import { parseConfig } from './config.ts'
import { architectureOf } from './registry.ts'
import { unstacked } from './stacks.ts'
import { textConfig } from './textConfig.ts'

export type Weights = { params: ReadonlyMap<string, StoredTensor>; unused: string[] }

export type Pretrained = Weights & { architecture: Architecture; config: Config }

/**
 * A model of a folder's contents.
 * Faults: 'bad-config', 'architecture', 'missing-weight', 'wrong-shape', 'bad-dtype', and those of reading tied weights.
 */
export const joinCheckpoint = async (folder: {
  dir: string
  config: unknown
  tensors: ReadonlyMap<string, StoredTensor>
}): Promise<Pretrained> => {
  const file = `${folder.dir}/config.json`
  const given = isBlenderConfig(folder.config)
    ? blenderConfig(folder.config, folder.tensors, file)
    : textConfig(folder.config)
  const parsed = parseConfig(given, file)
  const architecture = architectureOf(parsed, file)
  const tensors = renamed(architecture, folder.tensors)
  const config = await withTies(architecture, parsed, tensors)
  return { architecture, config, ...matchWeights(architecture, config, tensors, folder.dir) }
}

/** Tensors under attune's names, without those that are to be ignored. */
export const renamed = (architecture: Architecture, tensors: ReadonlyMap<string, StoredTensor>) => {
  const named = new Map<string, StoredTensor>()
  for (const [stored, tensor] of tensors) {
    const name = architecture.rename ? architecture.rename(stored) : stored
    if (name !== undefined) named.set(name, tensor)
  }
  return named
}

/** The config with ties as the weights have them; drops or renames the twin of a tied pair. */
const withTies = async (
  { embedding }: Architecture,
  config: Config,
  tensors: Map<string, StoredTensor>,
): Promise<Config> => {
  const [embed, head] = [tensors.get(embedding), tensors.get(headWeight)]
  if (!config.tie_word_embeddings || !head) return config
  if (embed && !(await sameBytes(embed, head))) return { ...config, tie_word_embeddings: false }
  tensors.set(embedding, embed ?? head)
  tensors.delete(headWeight)
  return config
}

const sameBytes = async (a: StoredTensor, b: StoredTensor): Promise<boolean> => {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false
  const [x, y] = [await a.bytes(), await b.bytes()]
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false
  return true
}

/** Throws Faults 'missing-weight', 'wrong-shape' and 'bad-dtype'. */
export const matchWeights = (
  architecture: Architecture,
  config: Config,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
): Weights => {
  refuseDepth(architecture, config, tensors, file)
  const shapes = architecture.shapes(config)
  const params = new Map<string, StoredTensor>()
  const unused: string[] = []
  for (const [name, tensor] of unstacked(architecture, config, tensors, file)) {
    const shape = shapes.get(name)
    if (shape) params.set(name, checked(tensor, shape, name === architecture.embedding, file))
    else unused.push(tensor.name)
  }
  const missing = [...shapes.keys()].filter((name) => !params.has(name))
  if (missing.length) throw badInput('missing-weight', missingText(missing, architecture.name), { file })
  return { params, unused }
}

/** Before tables are made for as many layers as config.json claims. */
const refuseDepth = (
  { layerPrefix }: Architecture,
  { num_hidden_layers: layers }: Config,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
) => {
  const last = layerPrefix(layers - 1)
  if (layers <= tensors.size && [...tensors.keys()].some((name) => name.startsWith(last))) return
  throw badInput('missing-weight', `config.json says ${layers} layers, but the weights hold none of ${last}*`, { file })
}

const missingText = (missing: readonly string[], name: string) => {
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : ''
  return `holds no ${missing.slice(0, 3).join(', ')}${more}, which ${name} with this config.json needs`
}

const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16', 'F64'])

const checked = (tensor: StoredTensor, shape: readonly number[], embeds: boolean, file: string): StoredTensor => {
  const { name, dtype } = tensor
  if (!floats.has(dtype))
    throw badInput('bad-dtype', `${name} is ${dtype}; quantized weights are not read, use a copy in bfloat16`, { file })
  const fits = tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i])
  if (fits) return tensor
  const advice =
    embeds && tensor.shape[1] === shape[1] ? `: vocab_size is ${shape[0]}, the weights have ${tensor.shape[0]}` : ''
  throw badInput('wrong-shape', `${name} is [${tensor.shape}], but config.json implies [${shape}]${advice}`, { file })
}
