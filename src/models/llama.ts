/**
 * Llama, and architectures that differ from it by a line: Mistral (sliding window), Qwen2 (biases on q, k, v), Qwen3
 * (RMS norm on q and k per head), SmolLM3 (some layers without rotation), Granite (multipliers), Ministral 3 (queries that grow
 * with the position).
 */
import { embedding, gatedMlp, rmsNorm } from '../nn/layers.ts'
import type { Scope } from '../nn/scope.ts'
import { scalar, type Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import {
  attentionOptions,
  attentionShapes,
  decoder,
  decoderShapes,
  epsilon,
  mlpShapes,
  type NamedShape,
  normShapes,
  numberOr,
  type ShapeOptions,
  selfAttention,
} from './decoder.ts'

type AttentionOf = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind) => Tensor

type BlockParts = {
  attention?: AttentionOf
  /** What attention and MLP are multiplied by before they are added. */
  factor?(config: Config): number
  /** What stands in place of the MLP; p is the scope of the layer. */
  mlp?(p: Scope, x: Tensor, config: Config): Tensor
}

const plainMlp = (p: Scope, x: Tensor, { activation }: Config) => gatedMlp(p.at('mlp.'), x, activation)

/** x + attention(norm(x)), then x + mlp(norm(x)). */
export const block =
  ({ attention = selfAttention, factor = () => 1, mlp = plainMlp }: BlockParts = {}): Architecture['block'] =>
  (p, x, context, config, kind) => {
    const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, epsilon(config))
    const by = factor(config)
    const times = (y: Tensor) => (by === 1 ? y : y.mul(by))
    const attended = x.add(times(attention(p.at('self_attn.'), norm('input_layernorm', x), context, config, kind)))
    return attended.add(times(mlp(p, norm('post_attention_layernorm', attended), config)))
  }

/** What a relative of Llama has of its own. */
export type Variant = {
  shapes?: (config: Config) => ShapeOptions
  kind?: (config: Config, layer: number) => LayerKind
  /** Shapes in place of the MLP's; undefined in a layer that has one. */
  mlp?: (config: Config, layer: number) => NamedShape[] | undefined
} & Partial<Omit<Architecture, 'name' | 'shapes' | 'layerKind'>>

const layerShapes = (config: Config, options: ShapeOptions, mlp = mlpShapes(config, options.bias?.mlp)) => [
  ...normShapes(config.hidden_size, 'input_layernorm', 'post_attention_layernorm'),
  ...attentionShapes(config, options),
  ...mlp,
]

export const llamaLike = (
  name: string,
  { shapes = () => ({}), kind = () => ({ rope: '' }), mlp, ...own }: Variant,
): Architecture => ({
  ...decoder,
  name,
  shapes: (config) => decoderShapes(config, (layer) => layerShapes(config, shapes(config), mlp?.(config, layer))),
  layerKind: kind,
  rotary: (config) => config.head_dim,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block: block(),
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x, epsilon(config)),
  ...own,
})

export const attentionBias = ({ raw }: Config) => ({
  qkv: raw.attention_bias === true,
  o: raw.attention_bias === true,
  mlp: raw.mlp_bias === true,
})

export const llama = llamaLike('LlamaForCausalLM', { shapes: (config) => ({ bias: attentionBias(config) }) })

/** @param silent what the class assumes where the file says nothing; null is no window */
export const windowOf = ({ raw }: Config, silent?: number) => numberOr(raw.sliding_window, silent)

export const mistral = llamaLike('MistralForCausalLM', {
  kind: (config) => ({ rope: '', window: windowOf(config, 4096) }),
})

/** Qwen's window is used only where `use_sliding_window` says so, in the layers that `layer_types` names. */
const qwenKind = (config: Config, layer: number): LayerKind => {
  const { use_sliding_window, layer_types, max_window_layers } = config.raw
  const slides = layer_types
    ? (layer_types as string[])[layer] === 'sliding_attention'
    : layer >= ((max_window_layers as number | null | undefined) ?? 28)
  return { rope: '', window: use_sliding_window === true && slides ? windowOf(config, 4096) : undefined }
}

export const qwen2 = llamaLike('Qwen2ForCausalLM', { shapes: () => ({ bias: { qkv: true } }), kind: qwenKind })

export const qwen3 = llamaLike('Qwen3ForCausalLM', {
  shapes: (config) => ({ bias: { ...attentionBias(config), mlp: false }, headNorms: true }),
  kind: qwenKind,
})

/** `no_rope_layers` holds 1 where a layer rotates, 0 where it does not; the latter slide, if any do. */
const smolKind = (config: Config, layer: number): LayerKind => {
  const { no_rope_layers, no_rope_layer_interval, layer_types, use_sliding_window } = config.raw
  const every = (no_rope_layer_interval as number | null | undefined) ?? 4
  const rotates = (no_rope_layers as number[] | null | undefined)?.[layer] ?? Number((layer + 1) % every !== 0)
  const slides = layer_types
    ? (layer_types as string[])[layer] === 'sliding_attention'
    : use_sliding_window === true && !rotates
  return { rope: rotates ? '' : undefined, window: slides ? windowOf(config) : undefined }
}

export const smollm3 = llamaLike('SmolLM3ForCausalLM', {
  shapes: (config) => ({ bias: attentionBias(config) }),
  kind: smolKind,
})

/** A multiplier of Granite's; 1 where the file is silent. */
const multiplier = ({ raw }: Config, name: string) => (raw[name] as number | null | undefined) ?? 1

/** Granite's attention and multipliers of it and of residuals, around any MLP. */
export const graniteBlock = (mlp?: BlockParts['mlp']) =>
  block({
    attention: (p, x, context, config, kind) => {
      const scale = multiplier(config, 'attention_multiplier')
      return selfAttention(p, x, context, config, kind, { options: { ...attentionOptions(config, kind), scale } })
    },
    factor: (config) => multiplier(config, 'residual_multiplier'),
    mlp,
  })

/** Llama with multipliers of embeddings, scores, residuals and logits (the last is applied to the hidden state, of which they are a product). */
export const graniteParts = {
  embed: (p, ids, _, config) => embedding(p, 'model.embed_tokens', ids).mul(multiplier(config, 'embedding_multiplier')),
  finalNorm: (p, x, config) =>
    rmsNorm(p, 'model.norm', x, epsilon(config)).mul(1 / multiplier(config, 'logits_scaling')),
  computes: ['embedding_multiplier', 'attention_multiplier', 'residual_multiplier', 'logits_scaling'],
} satisfies Variant

export const granite = llamaLike('GraniteForCausalLM', {
  shapes: (config) => ({ bias: attentionBias(config) }),
  block: graniteBlock(),
  ...graniteParts,
})

/** [N, 1]: 1 + beta ln(1 + floor(position / original context)) */
const growth = (positions: Tensor, { rope }: Config): Tensor => {
  const { llama_4_scaling_beta: beta = 0, original_max_position_embeddings: original } = rope!['']
  const times = positions.div(scalar(original!, 'i64')).cast('f32')
  return times.add(1).log().mul(beta).add(1).reshape([positions.shape[0], 1])
}

/** Queries grow where a text is longer than the original context. */
export const ministral3 = llamaLike('Ministral3ForCausalLM', {
  kind: (config) => ({ rope: '', window: windowOf(config) }),
  block: block({
    attention: (p, x, context, config, kind) => {
      const grows = config.rope?.['']?.llama_4_scaling_beta !== undefined
      const grown = (q: Tensor) => (grows ? q.mul(growth(context.positions, config)) : q)
      return selfAttention(p, x, context, config, kind, { grown })
    },
  }),
})
