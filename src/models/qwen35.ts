/**
 * Qwen3.5: most layers have the gated delta rule in place of attention, behind a short convolution of queries, keys and values.
 * What they read is normed per head and gated. The others have attention whose result is gated, with norms of q and k per head, and
 * rotate a part of each head. Norms are stored as what is added to 1, except that of the delta rule.
 */
import { stateShape } from '../nn/deltaRule.ts'
import { activations, embedding, gatedMlp, headNorm, rmsNorm, rmsNormPlusOne } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import { convolution } from '../nn/recent.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
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
} from './decoder.ts'

const setting = ({ raw }: Config, name: string, silent: number) => (raw[name] as number | null | undefined) ?? silent

const isLinear = (config: Config, layer: number): boolean => {
  const types = config.raw.layer_types as string[] | null | undefined
  if (types) return types[layer] === 'linear_attention'
  return (layer + 1) % setting(config, 'full_attention_interval', 4) !== 0
}

const kernel = (config: Config) => setting(config, 'linear_conv_kernel_dim', 4)

/** Heads of the delta rule, and their sizes. */
export const deltaSizes = (config: Config) => {
  const sizes = {
    keyHeads: setting(config, 'linear_num_key_heads', 16),
    valueHeads: setting(config, 'linear_num_value_heads', 32),
    keyDim: setting(config, 'linear_key_head_dim', 128),
    valueDim: setting(config, 'linear_value_head_dim', 128),
  }
  return { ...sizes, keys: sizes.keyHeads * sizes.keyDim, values: sizes.valueHeads * sizes.valueDim }
}

const rotary = (config: Config) => Math.floor(config.head_dim * config.partial_rotary_factor)

/** x / |x| of each head */
const unit = (x: Tensor, heads: number): Tensor =>
  headNorm(x, heads, (each) => each.div(each.square().sum(-1, true).add(1e-6).sqrt()))

const deltaNet = (p: Scope, x: Tensor, context: BlockContext, config: Config): Tensor => {
  const sizes = deltaSizes(config)
  const { keyHeads, valueHeads, keyDim, keys, values } = sizes
  const recent = context.recent(linear(p, 'in_proj_qkv', x), kernel(config) - 1)
  const mixed = activations[config.activation](convolution(p, 'conv1d', recent))
  const part = (start: number, width: number) => mixed.slice(1, start, start + width)
  const rate = linear(p, 'in_proj_a', x).add(p.get('dt_bias')).softplus()
  const o = context.deltaRule(
    {
      q: unit(part(0, keys), keyHeads).mul(keyDim ** -0.5),
      k: unit(part(keys, keys), keyHeads),
      v: part(2 * keys, values),
      g: p.get('A_log').exp().mul(rate).neg(),
      beta: linear(p, 'in_proj_b', x).sigmoid(),
    },
    sizes,
  )
  const normed = headNorm(o, valueHeads, (each) => rmsNorm(p, 'norm', each, epsilon(config)))
  return linear(p, 'out_proj', normed.mul(linear(p, 'in_proj_z', x).silu()))
}

/** Of each head, `q_proj` makes the query, then the gate. */
const attention = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const options = attentionOptions(config, kind)
  const { heads, kvHeads, headDim: D } = options
  const [N, width] = [x.shape[0], heads * D]
  const both = linear(p, 'q_proj', x).reshape([N, heads, 2 * D])
  const [query, gate] = [both.slice(2, 0, D), both.slice(2, D, 2 * D)].map((part) => part.reshape([N, width]))
  const turned = (name: string, y: Tensor, count: number) => {
    const normed = headNorm(y, count, (each) => rmsNormPlusOne(p, name, each, epsilon(config)))
    return context.rotate(normed, count, '', rotary(config))
  }
  const [q, k] = [turned('q_norm', query, heads), turned('k_norm', linear(p, 'k_proj', x), kvHeads)]
  return linear(p, 'o_proj', context.attend(q, k, linear(p, 'v_proj', x), options).mul(gate.sigmoid()))
}

const block: Architecture['block'] = (p, x, context, config, kind) => {
  const norm = (name: string, y: Tensor) => rmsNormPlusOne(p, name, y, epsilon(config))
  const read = norm('input_layernorm', x)
  const mixed = kind.state
    ? deltaNet(p.at('linear_attn.'), read, context, config)
    : attention(p.at('self_attn.'), read, context, config, kind)
  const whole = x.add(mixed)
  return whole.add(gatedMlp(p.at('mlp.'), norm('post_attention_layernorm', whole), config.activation))
}

const deltaShapes = (config: Config): NamedShape[] => {
  const { hidden_size: C } = config
  const { keys, values, valueHeads: H, valueDim } = deltaSizes(config)
  return [
    ['linear_attn.dt_bias', [H]],
    ['linear_attn.A_log', [H]],
    ['linear_attn.conv1d.weight', [2 * keys + values, 1, kernel(config)]],
    ...normShapes(valueDim, 'linear_attn.norm'),
    ['linear_attn.out_proj.weight', [C, values]],
    ['linear_attn.in_proj_qkv.weight', [2 * keys + values, C]],
    ['linear_attn.in_proj_z.weight', [values, C]],
    ['linear_attn.in_proj_b.weight', [H, C]],
    ['linear_attn.in_proj_a.weight', [H, C]],
  ]
}

/** Twice as many rows of `q_proj`, for the gates. */
const gatedShapes = (config: Config): NamedShape[] => {
  const biased = config.raw.attention_bias === true
  return attentionShapes(config, { bias: { qkv: biased, o: biased }, headNorms: true }).map(
    ([name, [rows, ...rest]]) => [name, [name.startsWith('self_attn.q_proj.') ? 2 * rows : rows, ...rest]],
  )
}

export const qwen35: Architecture = {
  ...decoder,
  name: 'Qwen3_5ForCausalLM',
  shapes: (config) =>
    decoderShapes(config, (layer) => [
      ...(isLinear(config, layer) ? deltaShapes(config) : gatedShapes(config)),
      ...mlpShapes(config),
      ...normShapes(config.hidden_size, 'input_layernorm', 'post_attention_layernorm'),
    ]),
  layerKind: (config, layer) => {
    if (!isLinear(config, layer)) return { rope: '' }
    const sizes = deltaSizes(config)
    const recent = { count: kernel(config) - 1, width: 2 * sizes.keys + sizes.values }
    return { recent, state: stateShape(sizes) }
  },
  rotary,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block,
  finalNorm: (p, x, config) => rmsNormPlusOne(p, 'model.norm', x, epsilon(config)),
  linears: () => [
    ...decoder.linears(),
    ...['in_proj_qkv', 'in_proj_z', 'in_proj_b', 'in_proj_a', 'out_proj'].map((name) => `linear_attn.${name}`),
  ],
  zeroNorms: true,
  begins: (name) => {
    if (name.endsWith('.A_log')) return (uniform) => Math.log(0.01 + 15.99 * uniform)
    return /\.linear_attn\.(dt_bias|norm\.weight)$/.test(name) ? () => 1 : undefined
  },
  // Files may hold a model of pictures beside it, and layers that predict several tokens at once
  rename: (name) =>
    /^(mtp|model\.visual)\./.test(name)
      ? undefined
      : decoder.rename(name.replace(/^model\.language_model\./, 'model.')),
}
