/**
 * Joins a checkpoint's tensors to an architecture: every parameter under its name with its shape, or a fault that
 * says which is missing or misshapen. Tensors that the architecture does not know are returned, not dropped silently.
 */
import type { StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import type { Architecture, Config } from './architecture.ts'

export type Weights = { params: Map<string, StoredTensor>; unused: string[] }

export const matchWeights = (
  architecture: Architecture,
  config: Config,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
): Weights => {
  const shapes = architecture.shapes(config)
  const params = new Map<string, StoredTensor>()
  const unused: string[] = []
  for (const [stored, tensor] of tensors) {
    const name = architecture.rename ? architecture.rename(stored) : stored
    const shape = name === undefined ? undefined : shapes.get(name)
    if (name === undefined || !shape) unused.push(stored)
    else params.set(name, checkedShape(tensor, shape, file))
  }
  const missing = [...shapes.keys()].filter((name) => !params.has(name))
  if (missing.length) throw badInput('missing-weight', missingText(missing, architecture.name), { file })
  return { params, unused }
}

const missingText = (missing: readonly string[], name: string) => {
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : ''
  return `holds no ${missing.slice(0, 3).join(', ')}${more}, which ${name} with this config.json needs`
}

const checkedShape = (tensor: StoredTensor, shape: readonly number[], file: string): StoredTensor => {
  const fits = tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i])
  if (fits) return tensor
  throw badInput('wrong-shape', `${tensor.name} is [${tensor.shape}], but config.json implies [${shape}]`, { file })
}
