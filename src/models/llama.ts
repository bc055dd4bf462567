/**
 * Llama and those that differ from it by a line: Mistral (sliding window), Qwen2 (biases on q, k, v), Qwen3 (RMS norm
 * on q and k per head), SmolLM3 (some layers without rotation). Biases and head norms are there when the checkpoint's
 * shapes have them, so one block serves all.
 */
import type { AttentionOptions } from '../nn/attention.ts'
import { gatedMlp, headNorm, rmsNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'

export const epsilon = (config: Config) => (config.raw.rms_norm_eps as number | undefined) ?? 1e-6

/** x + attention(norm(x)), then x + mlp(norm(x)). */
const block = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const eps = epsilon(config)
  const attended = x.add(attention(p.at('self_attn.'), rmsNorm(p, 'input_layernorm', x, eps), context, config, kind))
  const activation = config.raw.hidden_act as string
  return attended.add(gatedMlp(p.at('mlp.'), rmsNorm(p, 'post_attention_layernorm', attended, eps), activation))
}

const attention = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const options = attentionOptions(config, kind)
  const turned = (name: string, heads: number) => {
    const y = linear(p, `${name}_proj`, x)
    const normed = p.has(`${name}_norm.weight`)
      ? headNorm(y, heads, (each) => rmsNorm(p, `${name}_norm`, each, epsilon(config)))
      : y
    return kind.rope === undefined ? normed : context.rotate(normed, heads, kind.rope, config.head_dim)
  }
  const [q, k] = [turned('q', options.heads), turned('k', options.kvHeads)]
  return linear(p, 'o_proj', context.attend(q, k, linear(p, 'v_proj', x), options))
}

export const attentionOptions = (config: Config, kind: LayerKind): AttentionOptions => ({
  heads: config.num_attention_heads,
  kvHeads: config.num_key_value_heads,
  headDim: config.head_dim,
  scale: config.head_dim ** -0.5,
  window: kind.window,
})

/** Which parts beside the common ones a model type has. */
type Variant = {
  bias?: (config: Config) => { qkv: boolean; o: boolean; mlp?: boolean }
  headNorms?: boolean
  kind?: (config: Config, layer: number) => LayerKind
}

export const decoderShapes = (config: Config, layer: (i: number) => [string, readonly number[]][]) =>
  new Map<string, readonly number[]>([
    ['model.embed_tokens.weight', [config.vocab_size, config.hidden_size]],
    ...Array.from({ length: config.num_hidden_layers }, (_, i) => layer(i)).flat(),
    ['model.norm.weight', [config.hidden_size]],
    ...(config.tie_word_embeddings
      ? []
      : [['lm_head.weight', [config.vocab_size, config.hidden_size]] as [string, readonly number[]]]),
  ])

const layerShapes = (config: Config, variant: Variant, prefix: string): [string, readonly number[]][] => {
  const { hidden_size: C, intermediate_size: F, head_dim: D } = config
  const [Q, KV] = [config.num_attention_heads * D, config.num_key_value_heads * D]
  const bias = variant.bias?.(config) ?? { qkv: false, o: false }
  const module = (name: string, out: number, inner: number, biased?: boolean): [string, readonly number[]][] => [
    [`${prefix}${name}.weight`, [out, inner]],
    ...(biased ? [[`${prefix}${name}.bias`, [out]] as [string, readonly number[]]] : []),
  ]
  const norm = (name: string, size: number): [string, readonly number[]] => [`${prefix}${name}.weight`, [size]]
  return [
    norm('input_layernorm', C),
    ...module('self_attn.q_proj', Q, C, bias.qkv),
    ...module('self_attn.k_proj', KV, C, bias.qkv),
    ...module('self_attn.v_proj', KV, C, bias.qkv),
    ...module('self_attn.o_proj', C, Q, bias.o),
    ...(variant.headNorms ? [norm('self_attn.q_norm', D), norm('self_attn.k_norm', D)] : []),
    norm('post_attention_layernorm', C),
    ...module('mlp.gate_proj', F, C, bias.mlp),
    ...module('mlp.up_proj', F, C, bias.mlp),
    ...module('mlp.down_proj', C, F, bias.mlp),
  ]
}

export const llamaLike = (name: string, variant: Variant): Architecture => ({
  name,
  shapes: (config) => decoderShapes(config, (i) => layerShapes(config, variant, `model.layers.${i}.`)),
  layerPrefix: (layer) => `model.layers.${layer}.`,
  layerKind: variant.kind ?? (() => ({ rope: '' })),
  rotary: (config) => config.head_dim,
  embed: (p, ids) => p.get('model.embed_tokens.weight').gather(ids),
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x, epsilon(config)),
  embedding: 'model.embed_tokens.weight',
  head: (config) => ({ weight: config.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight' }),
  linears: () =>
    ['q_proj', 'k_proj', 'v_proj', 'o_proj']
      .map((m) => `self_attn.${m}`)
      .concat(['gate_proj', 'up_proj', 'down_proj'].map((m) => `mlp.${m}`)),
})

const attentionBias = ({ raw }: Config) => ({
  qkv: raw.attention_bias === true,
  o: raw.attention_bias === true,
  mlp: raw.mlp_bias === true,
})

export const llama = llamaLike('LlamaForCausalLM', { bias: attentionBias })

export const mistral = llamaLike('MistralForCausalLM', {
  kind: ({ raw }) => ({ rope: '', window: (raw.sliding_window as number | null | undefined) ?? undefined }),
})

/** Qwen's window is used only where `use_sliding_window` says so, in the layers that `layer_types` names. */
const qwenKind = ({ raw }: Config, layer: number): LayerKind => {
  const types = raw.layer_types as string[] | undefined
  const sliding = types
    ? types[layer] === 'sliding_attention'
    : raw.use_sliding_window === true && layer >= ((raw.max_window_layers as number | undefined) ?? 28)
  return { rope: '', window: sliding ? (raw.sliding_window as number) : undefined }
}

export const qwen2 = llamaLike('Qwen2ForCausalLM', { bias: () => ({ qkv: true, o: false }), kind: qwenKind })

export const qwen3 = llamaLike('Qwen3ForCausalLM', { bias: attentionBias, headNorms: true, kind: qwenKind })

/** `no_rope_layers` holds 1 where a layer rotates, 0 where it does not. */
export const smollm3 = llamaLike('SmolLM3ForCausalLM', {
  bias: attentionBias,
  kind: (config, layer) => {
    const rotates = (config.raw.no_rope_layers as number[] | undefined)?.[layer] ?? Number((layer + 1) % 4 !== 0)
    return { ...qwenKind(config, layer), rope: rotates ? '' : undefined }
  },
})
