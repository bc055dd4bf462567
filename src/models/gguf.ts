/**
 * A model in llama.cpp's terms: architecture, settings and tensors under its names. llama.cpp chooses a graph by the
 * architecture's name alone, so a model that its graph cannot compute is refused here: one that loads and computes
 * something else would be worse.
 *
 * Some settings become part of the weights: Gemma's norms include the 1 that is added to them, a query scale is
 * multiplied into the query weights, Llama's q and k rows are permuted into pairs. Source: convert_hf_to_gguf.py and
 * src/models.
 */
import type { GgufTensor, GgufValue } from '../checkpoint/gguf.ts'
import { inverseFrequencies } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import type { Config } from './architecture.ts'
import { type GgufArchitecture, ggufArchitectures, ggufName, refuseForGguf } from './ggufArchitectures.ts'
import type { Base } from './merge.ts'

export type GgufModel = {
  metadata: Map<string, GgufValue>
  /** Without a type yet: that follows from what the file is to be. */
  tensors: Omit<GgufTensor, 'type'>[]
  /** The context within which llama.cpp computes the same, where that is less than the model's own. */
  shortened?: number
}

/** Throws Faults 'gguf' for an architecture or a setting that llama.cpp has no graph for. */
export const ggufModel = (base: Base, file: string): GgufModel => {
  const found = ggufArchitectures[base.architecture.name]
  if (!found) {
    const known = Object.keys(ggufArchitectures).join(', ')
    throw badInput('gguf', `llama.cpp has no graph for ${base.architecture.name}; it has ${known}`, { file })
  }
  refuseForGguf(found, base.config, base.architecture, file)
  const context = Math.min(base.config.max_position_embeddings, ...ignoredWindows(found, base))
  return {
    metadata: metadataOf(found, base, context),
    tensors: [...extraTensors(base), ...tensorsOf(found, base)],
    shortened: context < base.config.max_position_embeddings ? context : undefined,
  }
}

/** Sliding windows where llama.cpp's graph sees everything: up to so many tokens that is the same. */
const ignoredWindows = ({ slides }: GgufArchitecture, { architecture, config }: Base): number[] =>
  slides ? [] : layers(config).flatMap((layer) => architecture.layerKind(config, layer).window ?? [])

const layers = (config: Config) => Array.from({ length: config.num_hidden_layers }, (_, layer) => layer)

const metadataOf = (found: GgufArchitecture, base: Base, context: number): Map<string, GgufValue> => {
  const { config, architecture } = base
  const { name, own } = found
  const rotary = architecture.rotary(config)
  const [rope, sliding] = [config.rope?.[''] ?? config.rope?.full_attention, config.rope?.sliding_attention]
  const settings: Record<string, GgufValue | undefined> = {
    vocab_size: { uint: config.vocab_size },
    context_length: { uint: context },
    embedding_length: { uint: config.hidden_size },
    block_count: { uint: config.num_hidden_layers },
    feed_forward_length: { uint: config.intermediate_size },
    'attention.head_count': { uint: config.num_attention_heads },
    'attention.head_count_kv': { uint: config.num_key_value_heads },
    'attention.key_length': { uint: config.head_dim },
    'attention.value_length': { uint: config.head_dim },
    ...(rotary && rope
      ? {
          'rope.dimension_count': { uint: rotary },
          'rope.freq_base': { float: rope.rope_theta },
          'rope.freq_base_swa': sliding && { float: sliding.rope_theta },
          'rope.scaling.type': rope.rope_type === 'linear' ? 'linear' : undefined,
          'rope.scaling.factor': rope.rope_type === 'linear' ? { float: rope.factor! } : undefined,
        }
      : {}),
    ...own(config, architecture),
  }
  const metadata = new Map<string, GgufValue>([['general.architecture', name]])
  for (const [key, value] of Object.entries(settings)) if (value !== undefined) metadata.set(`${name}.${key}`, value)
  return metadata
}

/** What Llama 3.1's scaling divides each pair's frequency by. */
const extraTensors = ({ architecture, config }: Base): GgufModel['tensors'] => {
  const rope = config.rope?.['']
  if (rope?.rope_type !== 'llama3') return []
  const rotary = architecture.rotary(config)
  const plain = inverseFrequencies({ ...rope, rope_type: 'default' }, rotary)
  const scaled = inverseFrequencies(rope, rotary)
  const factors = Float32Array.from(plain, (frequency, i) => frequency / scaled[i])
  return [{ name: 'rope_freqs.weight', shape: [rotary / 2], data: async () => factors }]
}

const tensorsOf = (found: GgufArchitecture, base: Base): GgufModel['tensors'] => {
  const { architecture, config, params } = base
  return [...architecture.shapes(config)].map(([name, shape]) => {
    const read = () => params.get(name)!.floats()
    const to = ggufName(name, found)
    const { transposed, change } = changesOf(name, shape, found, base)
    return {
      name: to,
      shape: transposed ? shape.toReversed() : shape,
      data: async () => change(await read()),
    }
  })
}

type Change = (x: Float32Array) => Float32Array

const changesOf = (name: string, shape: readonly number[], found: GgufArchitecture, base: Base) => {
  const { architecture, config } = base
  const changes: Change[] = []
  const transposed = architecture.conv1d === true && shape.length === 2 && name.startsWith('transformer.h.')
  if (transposed) changes.push((x) => swapped(x, shape[0]))
  if (found.pairs && /self_attn\.[qk]_proj\.(weight|bias)$/.test(name))
    changes.push((x) => paired(x, config.head_dim, x.length / shape[0]))
  if (architecture.zeroNorms && name.endsWith('norm.weight')) changes.push((x) => x.map((value) => value + 1))
  const factor = found.queryFactor && name.endsWith(found.queryFactor.weight) ? found.queryFactor.of(config) : 1
  if (factor !== 1) changes.push((x) => x.map((value) => value * factor))
  return { transposed, change: (x: Float32Array) => changes.reduce((value, change) => change(value), x) }
}

/** [rows, columns] -> [columns, rows]. */
const swapped = (x: Float32Array, rows: number): Float32Array => {
  const columns = x.length / rows
  const out = new Float32Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j]
  return out
}

/** Rows of each head of D from (first half, second half) to neighbours: i and i + D/2 become 2i and 2i + 1. */
const paired = (x: Float32Array, D: number, columns: number): Float32Array => {
  const out = new Float32Array(x.length)
  for (let row = 0; row < x.length / columns; row++) {
    const i = row % D
    const to = row - i + (i < D / 2 ? 2 * i : 2 * i - D + 1)
    out.set(x.subarray(row * columns, (row + 1) * columns), to * columns)
  }
  return out
}
