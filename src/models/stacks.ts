/**
 * Tensors that hold a weight of all experts of a layer, [experts, ...], as checkpoints of Granite-MoE and gpt-oss have them. attune has a
 * weight for each expert; here one becomes the other.
 */

import { lazyTensor, partOf, type StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import type { Architecture, Config } from './architecture.ts'
import { fromMxfp4, mxfp4Block } from './mxfp4.ts'

/** The parameters in a tensor, in order, each as it is or with its two axes swapped. */
type Stack = { parts: string[]; transposed: boolean }

const stacksOf = ({ experts, layerPrefix }: Architecture, config: Config): Map<string, Stack> => {
  const stacks = new Map<string, Stack>()
  const all = experts?.stacks(config).filter(({ stored }) => stored) ?? []
  for (let layer = 0; layer < (all.length && config.num_hidden_layers); layer++)
    for (const { stored, modules } of all) {
      const { weight, bias, transposed = false } = stored!
      const parts = (kind: string) => modules.map(([name]) => `${layerPrefix(layer)}${name}.${kind}`)
      stacks.set(layerPrefix(layer) + weight, { parts: parts('weight'), transposed })
      if (bias) stacks.set(layerPrefix(layer) + bias, { parts: parts('bias'), transposed: false })
    }
  return stacks
}

const [blocksOf, scalesOf] = ['_blocks', '_scales'].map((end) => (name: string) => name + end)

/** A checkpoint's tensors with those of all experts taken apart. Throws a Fault 'wrong-shape' for another number of experts. */
export const unstacked = (
  architecture: Architecture,
  config: Config,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
): Map<string, StoredTensor> => {
  const apart = new Map(tensors)
  const take = (name: string): StoredTensor | undefined => {
    const tensor = apart.get(name)
    apart.delete(name)
    return tensor
  }
  const refuseOther = ({ name, shape }: StoredTensor, { length }: readonly string[]) => {
    if (shape[0] !== length)
      throw badInput('wrong-shape', `${name} is [${shape}], but config.json says ${length} experts`, { file })
  }
  for (const [name, { parts, transposed }] of stacksOf(architecture, config)) {
    const [whole, blocks, scales] = [name, blocksOf(name), scalesOf(name)].map(take)
    if (whole) {
      refuseOther(whole, parts)
      for (const [i, part] of parts.entries())
        apart.set(part, transposed ? swapped(partOf(whole, i)) : partOf(whole, i))
    } else if (blocks && scales) {
      refuseOther(blocks, parts)
      refuseOtherScales(blocks, scales, file)
      for (const [i, part] of parts.entries()) apart.set(part, unpacked(partOf(blocks, i), partOf(scales, i)))
    }
  }
  return apart
}

const refuseOtherScales = (blocks: StoredTensor, scales: StoredTensor, file: string) => {
  const fits =
    blocks.dtype === 'U8' &&
    scales.dtype === 'U8' &&
    blocks.shape.length === 4 &&
    blocks.shape[3] === mxfp4Block &&
    blocks.shape.slice(0, 3).join() === scales.shape.join()
  if (!fits)
    throw badInput(
      'wrong-shape',
      `${blocks.name} is ${blocks.dtype} [${blocks.shape}] and ${scales.name} ${scales.dtype} [${scales.shape}], which is not MXFP4`,
      { file },
    )
}

/** [out, in / 32, 16] and [out, in / 32] -> [out, in] */
const unpacked = (blocks: StoredTensor, scales: StoredTensor): StoredTensor => {
  const [out, count, bytes] = blocks.shape
  return lazyTensor(blocks.name, [out, count * bytes * 2], async () =>
    fromMxfp4(await blocks.bytes(), await scales.bytes()),
  )
}

/** [a, b] -> [b, a] */
const swapped = (tensor: StoredTensor): StoredTensor => {
  const { name, shape } = tensor
  return lazyTensor(name, shape.toReversed(), async () => transpose(await tensor.floats(), shape[0]))
}

/** [rows, columns] -> [columns, rows] */
const transpose = (x: Float32Array, rows: number): Float32Array => {
  const columns = x.length / rows
  const out = new Float32Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j]
  return out
}

/** A tensor of a checkpoint. */
export type SavedTensor = { name: string; shape: readonly number[]; data(): Promise<Float32Array> }

/**
 * The tensors of a checkpoint in order, each of one parameter or of all experts'.
 * @param read the value of a parameter
 */
export const stacked = (
  architecture: Architecture,
  config: Config,
  shapes: Iterable<readonly [string, readonly number[]]>,
  read: (name: string) => Promise<Float32Array>,
): SavedTensor[] => {
  const stackOf = new Map(
    [...stacksOf(architecture, config)].flatMap(([name, stack]) =>
      stack.parts.map((part) => [part, { name, ...stack }] as const),
    ),
  )
  return [...shapes].flatMap(([name, shape]): SavedTensor[] => {
    const stack = stackOf.get(name)
    if (!stack) return [{ name, shape, data: () => read(name) }]
    const { parts, transposed } = stack
    if (parts[0] !== name) return []
    const data = async () => {
      const size = numel(shape)
      const all = new Float32Array(parts.length * size)
      for (const [i, part] of parts.entries()) {
        const values = await read(part)
        all.set(transposed ? transpose(values, shape[0]) : values, i * size)
      }
      return all
    }
    return [{ name: stack.name, shape: [parts.length, ...(transposed ? shape.toReversed() : shape)], data }]
  })
}
