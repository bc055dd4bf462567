/**
 * Gemma 4 (text). Full layers have wider heads than sliding ones and rotate a part of them; the last layers have no keys and values
 * and attend to those of an earlier layer of their type; and every layer reads a vector of its own that is made of each token.
 *
 * In 26B-A4B experts stand beside the MLP.
 *
 * Blocks pass on what later ones read behind the hidden state, as columns of it: the vectors of the layers, that of the next layer
 * first, and the keys and values that are shared. So gradients come back by the same way.
 */
import { activations, embedding, gatedMlp, headNorm, plainRmsNorm, rmsNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import { concat, type Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import {
  decoder,
  decoderShapes,
  epsilon,
  layerType,
  type NamedShape,
  normShapes,
  numberOr,
  typedWindow,
} from './decoder.ts'
import { expertLinears, expertShapes, expertTerm, gemma4Experts } from './gemma4Experts.ts'

const full = 'full_attention'
const types = ['sliding_attention', full]

const setting = ({ raw }: Config, name: string, silent: number) => (raw[name] as number | null | undefined) ?? silent

/** The last layer is a full one, whatever the file says. */
const typeOf = (config: Config, layer: number) =>
  layer === config.num_hidden_layers - 1 ? full : layerType(config, layer, 6)

/** Full layers take the keys, before norm and rotation, as their values too. */
const keysAreValues = ({ raw }: Config, type: string) => raw.attention_k_eq_v === true && type === full

/** Values of each head in layers of a type, and heads of keys and values. */
const headsOf = (config: Config, type: string) => ({
  size: type === full ? setting(config, 'global_head_dim', 512) : setting(config, 'head_dim', 256),
  kvHeads: keysAreValues(config, type)
    ? setting(config, 'num_global_key_value_heads', config.num_key_value_heads)
    : config.num_key_value_heads,
})

const hasExperts = ({ raw }: Config) => raw.enable_moe_block === true

/** Values of a layer's vector of each token; 0: there is none. */
const inputSize = (config: Config) => setting(config, 'hidden_size_per_layer_input', 256)

const sharedLayers = (config: Config) => setting(config, 'num_kv_shared_layers', 0)

/** The first layer without keys and values of its own. */
const firstShared = (config: Config) => config.num_hidden_layers - sharedLayers(config)

/** The layer whose keys and values those without attend to: the last before them of their type; negative where there is none. */
const sourceOf = (config: Config, type: string): number => {
  let layer = firstShared(config) - 1
  while (layer >= 0 && typeOf(config, layer) !== type) layer--
  return layer
}

const layerKind = (config: Config, layer: number): LayerKind => {
  const type = typeOf(config, layer)
  const kind = { rope: type, window: typedWindow(config, type, 512) }
  const source = sourceOf(config, type)
  if (layer >= firstShared(config)) return { ...kind, keysOf: source }
  return sharedLayers(config) && layer === source ? { ...kind, givesKeys: true } : kind
}

/** Columns of the hidden states, by what they hold. */
const columnsOf = (config: Config): [string, number][] => {
  const shared = types.flatMap((type): [string, number][] => {
    const { size, kvHeads } = headsOf(config, type)
    return ['keys', 'values'].map((what) => [`${what} ${type}`, kvHeads * size])
  })
  const inputs = config.num_hidden_layers * inputSize(config)
  return [
    ['state', config.hidden_size],
    ...(inputs ? [['inputs', inputs] as [string, number]] : []),
    ...(sharedLayers(config) ? shared : []),
  ]
}

const width = (config: Config) => columnsOf(config).reduce((sum, [, size]) => sum + size, 0)

const partsOf = (x: Tensor, config: Config): Record<string, Tensor> => {
  let end = 0
  return Object.fromEntries(columnsOf(config).map(([name, size]) => [name, x.slice(1, end, (end += size))]))
}

const joined = (parts: Readonly<Record<string, Tensor>>) => concat(Object.values(parts), 1)

/** Heads [N, from*size] as [N, to*wide]: zeros behind the values of each, and each as often as it is shared. */
const widened = (x: Tensor, from: number, to: number, wide: number): Tensor => {
  const [N, columns] = x.shape
  const size = (columns as number) / from
  return x
    .reshape([N, from, 1, size])
    .pad(3, 0, wide - size)
    .broadcastTo([N, from, to / from, wide])
    .reshape([N, to * wide])
}

/** x [N, C] -> [N, C], and the keys and values of its tokens. All layers have heads of one size for `attend`, and so in the cache. */
const attention = (
  p: Scope,
  x: Tensor,
  parts: Readonly<Record<string, Tensor>>,
  context: BlockContext,
  config: Config,
  kind: LayerKind,
) => {
  const [N, type, eps] = [x.shape[0], kind.rope!, epsilon(config)]
  const { size, kvHeads: own } = headsOf(config, type)
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = config
  const turned = (name: string, y: Tensor, count: number) => {
    const normed = headNorm(y, count, (each) => rmsNorm(p, name, each, eps))
    return context.rotate(normed, count, type, size)
  }
  const read = () => {
    const k = linear(p, 'k_proj', x)
    const v = keysAreValues(config, type) ? k : linear(p, 'v_proj', x)
    return [turned('k_norm', k, own), headNorm(v, own, (each) => plainRmsNorm(each, eps))]
  }
  const q = turned('q_norm', linear(p, 'q_proj', x), heads)
  const [keys, values] = kind.keysOf === undefined ? read() : [parts[`keys ${type}`], parts[`values ${type}`]]
  const [K, V] = [keys, values].map((each) => widened(each, own, kvHeads, headDim))
  const options = { heads, kvHeads, headDim, scale: 1, window: kind.window }
  const mixed = context.attend(widened(q, heads, heads, headDim), K, V, options)
  const narrowed = mixed.reshape([N, heads, headDim]).slice(2, 0, size)
  return { y: linear(p, 'o_proj', narrowed.reshape([N, heads * size])), keys, values }
}

const block: Architecture['block'] = (p, x, context, config, kind) => {
  const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, epsilon(config))
  const parts = partsOf(x, config)
  const read = norm('input_layernorm', parts.state)
  const { y, keys, values } = attention(p.at('self_attn.'), read, parts, context, config, kind)
  const attended = parts.state.add(norm('post_attention_layernorm', y))
  const fed = gatedMlp(p.at('mlp.'), norm('pre_feedforward_layernorm', attended), config.activation)
  const both = hasExperts(config) ? norm('post_feedforward_layernorm_1', fed).add(expertTerm(p, attended, config)) : fed
  const whole = attended.add(norm('post_feedforward_layernorm', both))
  const P = inputSize(config)
  const own = P ? parts.inputs.slice(1, 0, P) : undefined
  const told = own ? whole.add(norm('post_per_layer_input_norm', inputTerm(p, whole, own, config))) : whole
  return joined({
    ...parts,
    state: told.mul(p.get('layer_scalar')),
    // Its own goes to the end, so that all layers of a kind have one trace
    ...(own && { inputs: concat([parts.inputs, own], 1).slice(1, P, P + config.num_hidden_layers * P) }),
    ...(kind.givesKeys && { [`keys ${kind.rope}`]: keys, [`values ${kind.rope}`]: values }),
  })
}

/** What a layer makes of its vector of each token, own [N, P] -> [N, C] */
const inputTerm = (p: Scope, x: Tensor, own: Tensor, { activation }: Config): Tensor =>
  linear(p, 'per_layer_projection', activations[activation](linear(p, 'per_layer_input_gate', x)).mul(own))

/** The layers' vectors [N, layers*P]: of the token by itself, and of its embedding x. */
const layerInputs = (p: Scope, ids: Tensor, x: Tensor, config: Config): Tensor => {
  const { hidden_size: C, num_hidden_layers: layers } = config
  const projected = linear(p, 'model.per_layer_model_projection', x).mul(C ** -0.5)
  const normed = headNorm(projected, layers, (each) =>
    rmsNorm(p, 'model.per_layer_projection_norm', each, epsilon(config)),
  )
  const looked = embedding(p, 'model.embed_tokens_per_layer', ids).mul(Math.sqrt(inputSize(config)))
  return normed.add(looked).mul(Math.SQRT1_2)
}

const embed: Architecture['embed'] = (p, ids, _, config) => {
  const x = embedding(p, 'model.embed_tokens', ids).mul(Math.sqrt(config.hidden_size))
  const filled = inputSize(config) ? concat([x, layerInputs(p, ids, x, config)], 1) : x
  return filled.pad(1, 0, width(config) - (filled.shape[1] as number))
}

const layerShapes = (config: Config, layer: number): NamedShape[] => {
  const { hidden_size: C, num_attention_heads: heads, raw } = config
  const { rope, keysOf } = layerKind(config, layer)
  const { size, kvHeads } = headsOf(config, rope!)
  const shares = keysOf !== undefined
  const F = config.intermediate_size * (shares && raw.use_double_wide_mlp === true ? 2 : 1)
  const P = inputSize(config)
  const projection = (name: string, out: number, inner: number): NamedShape[] => [
    [`self_attn.${name}.weight`, [out, inner]],
    ...(raw.attention_bias === true ? [[`self_attn.${name}.bias`, [out]] as const] : []),
  ]
  return [
    ...normShapes(C, 'input_layernorm', 'post_attention_layernorm'),
    ...normShapes(C, 'pre_feedforward_layernorm', 'post_feedforward_layernorm'),
    ['layer_scalar', [1]],
    ...projection('q_proj', heads * size, C),
    ...(shares ? [] : projection('k_proj', kvHeads * size, C)),
    ...(shares || keysAreValues(config, rope!) ? [] : projection('v_proj', kvHeads * size, C)),
    ...projection('o_proj', C, heads * size),
    ...normShapes(size, 'self_attn.q_norm', ...(shares ? [] : ['self_attn.k_norm'])),
    ['mlp.gate_proj.weight', [F, C]],
    ['mlp.up_proj.weight', [F, C]],
    ['mlp.down_proj.weight', [C, F]],
    ...(hasExperts(config) ? expertShapes(config) : []),
    ...(P
      ? ([
          ['per_layer_input_gate.weight', [P, C]],
          ['per_layer_projection.weight', [C, P]],
          ...normShapes(C, 'post_per_layer_input_norm'),
        ] as const)
      : []),
  ]
}

const shapes: Architecture['shapes'] = (config) => {
  const P = inputSize(config)
  const all = decoderShapes(config, (layer) => layerShapes(config, layer))
  if (!P) return all
  const inputs = config.num_hidden_layers * P
  return all
    .set('model.embed_tokens_per_layer.weight', [setting(config, 'vocab_size_per_layer_input', 262_144), inputs])
    .set('model.per_layer_model_projection.weight', [inputs, config.hidden_size])
    .set('model.per_layer_projection_norm.weight', [P])
}

/** The types that its layers have, as far as the file says. */
const typesOf = ({ raw }: Config) => {
  const given = raw.layer_types as string[] | null | undefined
  return types.filter((type) => type === full || !given || given.slice(0, -1).includes(type))
}

const lacks = (config: Config): string | undefined => {
  const { kvHeads } = headsOf(config, full)
  if (sharedLayers(config) && typesOf(config).some((type) => sourceOf(config, type) < 0))
    return `num_kv_shared_layers ${sharedLayers(config)}, which leaves a type of layers without keys,`
  if (config.num_key_value_heads % kvHeads) return `num_global_key_value_heads ${kvHeads}`
  const unturned = typesOf(config).find((type) => !config.rope?.[type])
  return unturned && `rope_parameters without ${unturned}`
}

const dense: Architecture = {
  ...decoder,
  name: 'Gemma4ForCausalLM',
  shapes,
  width,
  layerKind,
  rotary: (config, type = full) => headsOf(config, type).size,
  embed,
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x.slice(1, 0, config.hidden_size), epsilon(config)),
  head: (config) => ({ ...decoder.head(config), softcap: numberOr(config.raw.final_logit_softcapping, undefined) }),
  linears: () => [...decoder.linears(), 'per_layer_input_gate', 'per_layer_projection'],
  outerLinears: ['model.per_layer_model_projection'],
  isFixed: (name) => name.endsWith('.layer_scalar'),
  lacks,
  rename: (name) => decoder.rename(name.replace(/^model\.language_model\./, 'model.')),
}

const withExperts: Architecture = {
  ...dense,
  linears: (config) => [...dense.linears(config), ...expertLinears(config)],
  experts: gemma4Experts,
  computes: ['num_experts'],
}

export const gemma4: Architecture = { ...dense, formOf: (config) => (hasExperts(config) ? withExperts : dense) }
