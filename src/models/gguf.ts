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
import { inverseFrequencies, type RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import type { Config } from './architecture.ts'
import { type GgufArchitecture, ggufArchitectures, refuseForGguf } from './ggufArchitectures.ts'
import { expertOf, ggufName } from './ggufNames.ts'
import { changesOf } from './ggufWeights.ts'
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
    throw badInput('gguf', `there is no GGUF of ${base.architecture.name}; there is one of ${known}`, { file })
  }
  refuseForGguf(found, base.config, base.architecture, file)
  const context = Math.min(ownContext(base.config), ...ignoredWindows(found, base))
  return {
    metadata: metadataOf(found, base, context),
    tensors: [...extraTensors(base), ...tensorsOf(found, base)],
    shortened: context < base.config.max_position_embeddings ? context : undefined,
  }
}

/** llama.cpp has the factors for longer texts too. */
const ownContext = ({ rope, raw, max_position_embeddings: known }: Config): number =>
  rope?.['']?.rope_type === 'longrope' ? (raw.max_position_embeddings as number) : known

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
          ...scalingOf(rope),
        }
      : {}),
    ...own(config, architecture),
  }
  const metadata = new Map<string, GgufValue>([['general.architecture', name]])
  for (const [key, value] of Object.entries(settings)) if (value !== undefined) metadata.set(`${name}.${key}`, value)
  return metadata
}

/** Of YaRN llama.cpp computes what cos and sin are multiplied by itself, unless the file says by what part it differs. */
const scalingOf = (rope: RopeParameters): Record<string, GgufValue | undefined> => {
  const { rope_type: type, factor, attention_factor: scale, original_max_position_embeddings: original } = rope
  const float = (value: number | undefined) => (value === undefined ? undefined : { float: value })
  if (type === 'linear') return { 'rope.scaling.type': type, 'rope.scaling.factor': float(factor) }
  if (type === 'longrope')
    return {
      'rope.scaling.original_context_length': { uint: original! },
      'rope.scaling.attn_factor': float(scale),
    }
  if (type !== 'yarn') return {}
  const share = (scale ?? 1) / (0.1 * Math.log(factor!) + 1)
  return {
    'rope.scaling.type': type,
    'rope.scaling.factor': float(factor),
    'rope.scaling.original_context_length': { uint: original! },
    'rope.scaling.attn_factor': Math.abs(share - 1) < 1e-6 ? undefined : float(share),
    'rope.scaling.yarn_beta_fast': float(rope.beta_fast),
    'rope.scaling.yarn_beta_slow': float(rope.beta_slow),
  }
}

/** What Llama 3.1's scaling, or LongRoPE, divides each pair's frequency by. */
const extraTensors = ({ architecture, config }: Base): GgufModel['tensors'] => {
  const rope = config.rope?.['']
  const rotary = architecture.rotary(config)
  if (rope?.rope_type === 'longrope')
    return (['short', 'long'] as const).map((name) => ({
      name: `rope_factors_${name}.weight`,
      shape: [rotary / 2],
      data: async () => Float32Array.from(rope[`${name}_factor`]!),
    }))
  if (rope?.rope_type !== 'llama3') return []
  const plain = inverseFrequencies({ ...rope, rope_type: 'default' }, rotary)
  const scaled = inverseFrequencies(rope, rotary)
  const factors = Float32Array.from(plain, (frequency, i) => frequency / scaled[i])
  return [{ name: 'rope_freqs.weight', shape: [rotary / 2], data: async () => factors }]
}

const tensorsOf = (found: GgufArchitecture, base: Base): GgufModel['tensors'] => {
  const { architecture, config, params } = base
  /** The weights that are one tensor in the file: those of all experts, or one. */
  const together = new Map<string, [name: string, shape: readonly number[]][]>()
  for (const [name, shape] of architecture.shapes(config)) {
    const to = ggufName(name, found)
    const others = together.get(to)
    if (others) others.push([name, shape])
    else together.set(to, [[name, shape]])
  }
  return [...together].map(([to, weights]) => {
    const parts = weights.map(([name, shape]) => {
      const { stored, change } = changesOf(name, shape, architecture, config)
      return { name: to, shape: stored, data: async () => change(await params.get(name)!.floats()) }
    })
    if (expertOf(weights[0][0]) === undefined) return parts[0]
    return { name: to, shape: [parts.length, ...parts[0].shape], data: () => joined(parts) }
  })
}

const joined = async (experts: GgufModel['tensors']): Promise<Float32Array> => {
  const size = numel(experts[0].shape)
  const all = new Float32Array(experts.length * size)
  for (const [i, { data }] of experts.entries()) all.set(await data(), i * size)
  return all
}
