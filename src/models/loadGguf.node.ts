/**
 * Opens a GGUF file as a model folder: its config.json from the metadata, its weights under the names and in the order that
 * transformers has them. What llama.cpp changes in the weights (see gguf.ts) is changed back when a weight is read.
 */
import type { Checkpoint } from '../checkpoint/folder.node.ts'
import { openGguf } from '../checkpoint/ggufFile.ts'
import { lazyTensor, partOf, type StoredTensor } from '../checkpoint/stored.ts'
import { fileSource } from '../util/files.node.ts'
import { type GgufMeta, metaNumber } from '../util/ggufHeader.ts'
import type { Architecture, Config } from './architecture.ts'
import { parseConfig } from './config.ts'
import { ggufArchitectures } from './ggufArchitectures.ts'
import { ggufConfig } from './ggufConfig.ts'
import { expertOf, ggufName } from './ggufNames.ts'
import { ropeFactors } from './ggufRope.ts'
import { changesBack } from './ggufWeights.ts'
import { architectureOf } from './registry.ts'

/** Faults: those of `openGguf`, `ggufConfig` and `parseConfig`. */
export const openGgufCheckpoint = async (path: string): Promise<Checkpoint> => {
  const { metadata, tensors } = await openGguf(await fileSource(path))
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape] as const))
  const factors = new Map<string, Float32Array>()
  for (const name of ropeFactors) {
    const values = await tensors.get(name)?.floats()
    if (values) factors.set(name, values)
  }
  const config = ggufConfig(metadata, shapes, factors, path)
  return {
    dir: path,
    config,
    generationConfig: generationConfig(metadata, path),
    tensors: renamed(parseConfig(config, path), tensors, path),
    files: [path],
  }
}

const renamed = (config: Config, tensors: ReadonlyMap<string, StoredTensor>, file: string) => {
  const architecture = architectureOf(config, file)
  const found = ggufArchitectures[architecture.name]
  const named = new Map<string, StoredTensor>()
  const used = new Set<string>(ropeFactors)
  for (const [name, shape] of architecture.shapes(config)) {
    const stored = ggufName(name, found)
    const tensor = tensors.get(stored)
    const expert = expertOf(name)
    // an expert that the file lacks is a weight that is missing
    if (!tensor || (expert !== undefined && expert >= tensor.shape[0])) continue
    used.add(stored)
    const own = expert === undefined ? tensor : partOf(tensor, expert)
    named.set(name, restored(name, own, shape, architecture, config))
  }
  // what the architecture does not know is listed as unused
  for (const [name, tensor] of tensors) if (!used.has(name)) named.set(name, tensor)
  return named
}

const restored = (
  name: string,
  tensor: StoredTensor,
  shape: readonly number[],
  architecture: Architecture,
  config: Config,
): StoredTensor => {
  const { transposed, change } = changesBack(name, shape, architecture, config)
  const there = transposed
    ? tensor.shape.toReversed()
    : shape.length === 3 && tensor.shape.length === 2
      ? [tensor.shape[0], 1, tensor.shape[1]]
      : tensor.shape
  if (!change) return { ...tensor, name, shape: there }
  return {
    ...lazyTensor(name, there, async () => change(await tensor.floats())),
    blocks: tensor.blocks ?? tensor.dtype,
  }
}

/** All ids that end a text: llama.cpp names those of a text, of a turn and of a message apart. */
const generationConfig = (metadata: ReadonlyMap<string, GgufMeta>, file: string) => {
  const id = (name: string) => metaNumber(metadata, `tokenizer.ggml.${name}_token_id`, file)
  const ends = [...new Set([id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined))]
  return ends.length ? { eos_token_id: ends.length === 1 ? ends[0] : ends } : undefined
}
