/**
 * GPT-2. Linear weights are stored as [in, out] (Conv1D), positions are learned, norms have biases. Files on the Hub
 * lack the `transformer.` prefix and contain the causal mask as if it were a weight.
 */
import { activations, embedding, layerNorm } from '../nn/layers.ts'
import { conv1d } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import { attentionOptions, type NamedShape } from './decoder.ts'

const epsilon = ({ raw }: Config) => (raw.layer_norm_epsilon as number | null | undefined) ?? 1e-5

const attention = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const C = config.hidden_size
  const options = attentionOptions(config, kind)
  const scale = config.raw.scale_attn_weights === false ? 1 : options.scale
  const qkv = conv1d(p, 'c_attn', x)
  const part = (i: number) => qkv.slice(1, i * C, (i + 1) * C)
  return conv1d(p, 'c_proj', context.attend(part(0), part(1), part(2), { ...options, scale }))
}

const mlp = (p: Scope, x: Tensor, activation: string): Tensor =>
  conv1d(p, 'c_proj', activations[activation](conv1d(p, 'c_fc', x)))

const block = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const norm = (name: string, y: Tensor) => layerNorm(p, name, y, epsilon(config))
  const attended = x.add(attention(p.at('attn.'), norm('ln_1', x), context, config, kind))
  return attended.add(mlp(p.at('mlp.'), norm('ln_2', attended), config.activation))
}

const layerShapes = ({ hidden_size: C, intermediate_size: F }: Config): NamedShape[] => {
  const norm = (name: string): NamedShape[] => [
    [`${name}.weight`, [C]],
    [`${name}.bias`, [C]],
  ]
  const module = (name: string, inner: number, out: number): NamedShape[] => [
    [`${name}.weight`, [inner, out]],
    [`${name}.bias`, [out]],
  ]
  return [
    ...norm('ln_1'),
    ...module('attn.c_attn', C, 3 * C),
    ...module('attn.c_proj', C, C),
    ...norm('ln_2'),
    ...module('mlp.c_fc', C, F),
    ...module('mlp.c_proj', F, C),
  ]
}

const shapes = (config: Config): Map<string, readonly number[]> => {
  const { vocab_size: V, hidden_size: C } = config
  const layer = layerShapes(config)
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) =>
    layer.map(([name, shape]): NamedShape => [`transformer.h.${i}.${name}`, shape]),
  )
  return new Map<string, readonly number[]>([
    ['transformer.wte.weight', [V, C]],
    ['transformer.wpe.weight', [config.max_position_embeddings, C]],
    ...layers.flat(),
    ['transformer.ln_f.weight', [C]],
    ['transformer.ln_f.bias', [C]],
    ...(config.tie_word_embeddings ? [] : [['lm_head.weight', [V, C]] as const]),
  ])
}

const rename = (name: string): string | undefined => {
  if (/(^|\.)h\.\d+\.attn\.(masked_)?bias$/.test(name)) return undefined
  return /^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name
}

export const gpt2: Architecture = {
  name: 'GPT2LMHeadModel',
  shapes,
  layerPrefix: (layer) => `transformer.h.${layer}.`,
  layerKind: () => ({}),
  rotary: () => 0,
  embed: (p, ids, positions) => embedding(p, 'transformer.wte', ids).add(embedding(p, 'transformer.wpe', positions)),
  block,
  finalNorm: (p, x, config) => layerNorm(p, 'transformer.ln_f', x, epsilon(config)),
  embedding: 'transformer.wte.weight',
  head: (config) => ({
    weight: config.tie_word_embeddings ? 'transformer.wte.weight' : 'lm_head.weight',
    module: 'lm_head',
  }),
  linears: () => ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'],
  conv1d: true,
  rename,
}
