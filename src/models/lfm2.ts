/**
 * LFM2: most layers have a short convolution in place of attention. Of x it makes three parts b, c, v, convolves b v over the last
 * few tokens, each channel by itself, and multiplies with c. The others have attention with norms of q and k per head.
 */
import { embedding, headNorm, rmsNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import { convolution } from '../nn/recent.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import { attentionOptions, decoder, type NamedShape, normShapes } from './decoder.ts'

const eps = ({ raw }: Config) => (raw.norm_eps as number | null | undefined) ?? 1e-5
const kernel = ({ raw }: Config) => (raw.conv_L_cache as number | null | undefined) ?? 3

/** 'conv' or 'full_attention'. */
const typeOf = ({ raw }: Config, layer: number): string => {
  const full = raw.full_attn_idxs as number[] | null | undefined
  return (
    (raw.layer_types as string[] | null | undefined)?.[layer] ??
    (!full || full.includes(layer) ? 'full_attention' : 'conv')
  )
}

const shortConvolution = (p: Scope, x: Tensor, context: BlockContext, config: Config): Tensor => {
  const C = config.hidden_size
  const parts = linear(p, 'in_proj', x)
  const part = (i: number) => parts.slice(1, i * C, (i + 1) * C)
  const recent = context.recent(part(0).mul(part(2)), kernel(config) - 1)
  return linear(p, 'out_proj', part(1).mul(convolution(p, 'conv', recent)))
}

const attention = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const options = attentionOptions(config, kind)
  const turned = (name: string, heads: number) => {
    const normed = headNorm(linear(p, `${name}_proj`, x), heads, (each) =>
      rmsNorm(p, `${name}_layernorm`, each, eps(config)),
    )
    return context.rotate(normed, heads, '', config.head_dim)
  }
  const [q, k] = [turned('q', options.heads), turned('k', options.kvHeads)]
  return linear(p, 'out_proj', context.attend(q, k, linear(p, 'v_proj', x), options))
}

const block: Architecture['block'] = (p, x, context, config, kind) => {
  const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, eps(config))
  const read = norm('operator_norm', x)
  const mixed = kind.recent
    ? shortConvolution(p.at('conv.'), read, context, config)
    : attention(p.at('self_attn.'), read, context, config, kind)
  const whole = x.add(mixed)
  const [mlp, y] = [p.at('feed_forward.'), norm('ffn_norm', whole)]
  return whole.add(
    linear(
      mlp,
      'w2',
      linear(mlp, 'w1', y)
        .silu()
        .mul(linear(mlp, 'w3', y)),
    ),
  )
}

/** The width of the MLP, which the file gives before it is cut to two thirds and rounded up. */
const width = ({ raw, intermediate_size }: Config): number => {
  const given = (raw.block_ff_dim as number | null | undefined) ?? intermediate_size
  if (raw.block_auto_adjust_ff_dim === false) return given
  const { block_ffn_dim_multiplier: factor, block_multiple_of: step } = raw as Record<string, number | null | undefined>
  const cut = Math.floor((2 * given) / 3)
  if (factor === null) return cut
  const multiple = step ?? 256
  return multiple * Math.ceil(Math.floor((factor ?? 1) * cut) / multiple)
}

const layerShapes = (config: Config, layer: number): NamedShape[] => {
  const { hidden_size: C, head_dim: D } = config
  const [Q, KV, F] = [config.num_attention_heads * D, config.num_key_value_heads * D, width(config)]
  const biased = config.raw.conv_bias === true
  const bias = (name: string, size: number): NamedShape[] => (biased ? [[`${name}.bias`, [size]]] : [])
  const operator: NamedShape[] =
    typeOf(config, layer) === 'conv'
      ? [
          ['conv.conv.weight', [C, 1, kernel(config)]],
          ...bias('conv.conv', C),
          ['conv.in_proj.weight', [3 * C, C]],
          ...bias('conv.in_proj', 3 * C),
          ['conv.out_proj.weight', [C, C]],
          ...bias('conv.out_proj', C),
        ]
      : [
          ['self_attn.q_proj.weight', [Q, C]],
          ['self_attn.k_proj.weight', [KV, C]],
          ['self_attn.v_proj.weight', [KV, C]],
          ['self_attn.out_proj.weight', [C, Q]],
          ...normShapes(D, 'self_attn.q_layernorm', 'self_attn.k_layernorm'),
        ]
  return [
    ...operator,
    ['feed_forward.w1.weight', [F, C]],
    ['feed_forward.w3.weight', [F, C]],
    ['feed_forward.w2.weight', [C, F]],
    ...normShapes(C, 'operator_norm', 'ffn_norm'),
  ]
}

export const lfm2: Architecture = {
  ...decoder,
  name: 'Lfm2ForCausalLM',
  shapes: (config) => {
    const { vocab_size: V, hidden_size: C } = config
    const layers = Array.from({ length: config.num_hidden_layers }, (_, i) =>
      layerShapes(config, i).map(([name, shape]): NamedShape => [`model.layers.${i}.${name}`, shape]),
    )
    return new Map<string, readonly number[]>([
      ['model.embed_tokens.weight', [V, C]],
      ...layers.flat(),
      ['model.embedding_norm.weight', [C]],
      ...(config.tie_word_embeddings ? [] : [['lm_head.weight', [V, C]] as const]),
    ])
  },
  layerKind: (config, layer) =>
    typeOf(config, layer) === 'conv'
      ? { recent: { count: kernel(config) - 1, width: config.hidden_size } }
      : { rope: '' },
  rotary: (config) => config.head_dim,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.embedding_norm', x, eps(config)),
  linears: () => [
    ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `self_attn.${name}`),
    ...['in_proj', 'out_proj'].map((name) => `conv.${name}`),
    ...['w1', 'w2', 'w3'].map((name) => `feed_forward.${name}`),
  ],
}
