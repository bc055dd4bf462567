/**
 * What Llama and similar decoders share: names and shapes of weights, and attention with separate q, k and v. Biases
 * and head norms are applied where the checkpoint has them, so one function serves all.
 */
import type { AttentionOptions } from '../nn/attention.ts'
import { headNorm, rmsNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'

export type Norm = (p: Scope, name: string, x: Tensor, eps: number) => Tensor
export type NamedShape = readonly [string, readonly number[]]

/** What a class assumes where the file is silent; others 1e-6. */
const epsilonByDefault: Readonly<Record<string, number | undefined>> = {
  olmo2: 1e-5,
  olmo3: 1e-5,
  ministral3: 1e-5,
  mixtral: 1e-5,
  gpt_oss: 1e-5,
}

export const epsilon = ({ raw, model_type }: Config, silent = epsilonByDefault[model_type] ?? 1e-6) =>
  (raw.rms_norm_eps as number | null | undefined) ?? silent

/** A setting of config.json: what the class assumes where the file is silent, undefined where it says null. */
export const numberOr = (value: unknown, silent: number | undefined): number | undefined =>
  value === undefined ? silent : ((value as number | null) ?? undefined)

export const attentionOptions = (config: Config, kind: LayerKind): AttentionOptions => ({
  heads: config.num_attention_heads,
  kvHeads: config.num_key_value_heads,
  headDim: config.head_dim,
  scale: config.head_dim ** -0.5,
  window: kind.window,
})

/** The norm of each part of x that is as wide as the weight: a head, or the whole. x [N, heads*D] */
const partNorm = (p: Scope, name: string, x: Tensor, norm: Norm, eps: number): Tensor => {
  const parts = (x.shape[1] as number) / (p.get(`${name}.weight`).shape[0] as number)
  return headNorm(x, parts, (each) => norm(p, name, each, eps))
}

/**
 * x [N, C] -> [N, C]
 * @param how.grown what becomes of rotated queries [N, heads*D]
 */
export const selfAttention = (
  p: Scope,
  x: Tensor,
  context: BlockContext,
  config: Config,
  kind: LayerKind,
  { options = attentionOptions(config, kind), norm = rmsNorm as Norm, grown = (q: Tensor): Tensor => q } = {},
): Tensor => {
  const turned = (name: string, heads: number) => {
    const y = linear(p, `${name}_proj`, x)
    const normed = p.has(`${name}_norm.weight`) ? partNorm(p, `${name}_norm`, y, norm, epsilon(config)) : y
    return kind.rope === undefined ? normed : context.rotate(normed, heads, kind.rope, config.head_dim)
  }
  const [q, k] = [grown(turned('q', options.heads)), turned('k', options.kvHeads)]
  return linear(p, 'o_proj', context.attend(q, k, linear(p, 'v_proj', x), options))
}

/** Which layers have biases and head norms. */
export type ShapeOptions = {
  bias?: { qkv?: boolean; o?: boolean; mlp?: boolean }
  headNorms?: boolean
  /** Norms of queries and keys over all heads together. */
  wholeNorms?: boolean
}

const module = (name: string, out: number, inner: number, biased = false): NamedShape[] => [
  [`${name}.weight`, [out, inner]],
  ...(biased ? [[`${name}.bias`, [out]] as const] : []),
]

export const attentionShapes = (
  config: Config,
  { bias = {}, headNorms, wholeNorms }: ShapeOptions = {},
): NamedShape[] => {
  const { hidden_size: C, head_dim: D } = config
  const [Q, KV] = [config.num_attention_heads * D, config.num_key_value_heads * D]
  return [
    ...module('self_attn.q_proj', Q, C, bias.qkv),
    ...module('self_attn.k_proj', KV, C, bias.qkv),
    ...module('self_attn.v_proj', KV, C, bias.qkv),
    ...module('self_attn.o_proj', C, Q, bias.o),
    ...(headNorms ? normShapes(D, 'self_attn.q_norm', 'self_attn.k_norm') : []),
    ...(wholeNorms ? [...normShapes(Q, 'self_attn.q_norm'), ...normShapes(KV, 'self_attn.k_norm')] : []),
  ]
}

export const mlpShapes = ({ hidden_size: C, intermediate_size: F }: Config, biased = false): NamedShape[] => [
  ...module('mlp.gate_proj', F, C, biased),
  ...module('mlp.up_proj', F, C, biased),
  ...module('mlp.down_proj', C, F, biased),
]

export const normShapes = (size: number, ...names: string[]): NamedShape[] =>
  names.map((name) => [`${name}.weight`, [size]])

/** All shapes of a decoder from those of each layer. */
export const decoderShapes = (
  config: Config,
  layer: readonly NamedShape[] | ((layer: number) => readonly NamedShape[]),
): Map<string, readonly number[]> => {
  const { vocab_size: V, hidden_size: C } = config
  const shapes = typeof layer === 'function' ? layer : () => layer
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) =>
    shapes(i).map(([name, shape]): NamedShape => [`model.layers.${i}.${name}`, shape]),
  )
  return new Map<string, readonly number[]>([
    ['model.embed_tokens.weight', [V, C]],
    ...layers.flat(),
    ['model.norm.weight', [C]],
    ...(config.tie_word_embeddings ? [] : [['lm_head.weight', [V, C]] as const]),
  ])
}

/** Old checkpoints store the rotary frequencies; a base model saved by itself has no `model.` prefix. */
const rename = (name: string): string | undefined => {
  if (name.endsWith('rotary_emb.inv_freq')) return undefined
  return /^(embed_tokens|layers|norm)\./.test(name) ? `model.${name}` : name
}

/** 'sliding_attention' or 'full_attention'; without `layer_types` every `period`th layer is full. */
export const layerType = ({ raw }: Config, layer: number, period: number): string =>
  (raw.layer_types as string[] | null | undefined)?.[layer] ??
  ((layer + 1) % period ? 'sliding_attention' : 'full_attention')

/** The window of a layer of this type: what the file says, or what the class assumes. */
export const typedWindow = ({ raw }: Config, type: string, silent = 4096): number | undefined =>
  type === 'sliding_attention' ? numberOr(raw.sliding_window, silent) : undefined

/** Names and places that are the same in every decoder of this family. */
export const decoder = {
  layerPrefix: (layer: number) => `model.layers.${layer}.`,
  embedding: 'model.embed_tokens.weight',
  head: (config: Config) => ({
    weight: config.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight',
    module: 'lm_head',
  }),
  linears: () => [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`),
    ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`),
  ],
  rename,
} satisfies Partial<Architecture>
