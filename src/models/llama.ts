/**
 * Llama, and architectures that differ from it by a line: Mistral (sliding window), Qwen2 (biases on q, k, v), Qwen3
 * (RMS norm on q and k per head), SmolLM3 (some layers without rotation).
 */
import { embedding, gatedMlp, rmsNorm } from '../nn/layers.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import {
  attentionShapes,
  decoder,
  decoderShapes,
  epsilon,
  mlpShapes,
  normShapes,
  numberOr,
  type ShapeOptions,
  selfAttention,
} from './decoder.ts'

/** x + attention(norm(x)), then x + mlp(norm(x)). */
const block = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, epsilon(config))
  const attended = x.add(selfAttention(p.at('self_attn.'), norm('input_layernorm', x), context, config, kind))
  return attended.add(gatedMlp(p.at('mlp.'), norm('post_attention_layernorm', attended), config.activation))
}

/** What a relative of Llama has of its own. */
type Variant = {
  shapes?: (config: Config) => ShapeOptions
  kind?: (config: Config, layer: number) => LayerKind
}

const layerShapes = (config: Config, options: ShapeOptions) => [
  ...normShapes(config.hidden_size, 'input_layernorm', 'post_attention_layernorm'),
  ...attentionShapes(config, options),
  ...mlpShapes(config, options.bias?.mlp),
]

const llamaLike = (name: string, { shapes = () => ({}), kind = () => ({ rope: '' }) }: Variant): Architecture => ({
  ...decoder,
  name,
  shapes: (config) => decoderShapes(config, layerShapes(config, shapes(config))),
  layerKind: kind,
  rotary: (config) => config.head_dim,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x, epsilon(config)),
})

const attentionBias = ({ raw }: Config) => ({
  qkv: raw.attention_bias === true,
  o: raw.attention_bias === true,
  mlp: raw.mlp_bias === true,
})

export const llama = llamaLike('LlamaForCausalLM', { shapes: (config) => ({ bias: attentionBias(config) }) })

/** @param silent what the class assumes where the file says nothing; null is no window */
const windowOf = ({ raw }: Config, silent?: number) => numberOr(raw.sliding_window, silent)

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
