/** Phi-3 and Phi-4-mini: q, k and v are one matrix, gate and up another; a part of each head may be rotated. */
import { activations, embedding, rmsNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import { attentionOptions, decoder, decoderShapes, epsilon, type NamedShape, normShapes } from './decoder.ts'

const eps = (config: Config) => epsilon(config, 1e-5)

const rotary = (config: Config) => Math.floor(config.head_dim * config.partial_rotary_factor)

const attention = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const options = attentionOptions(config, kind)
  const [Q, KV] = [options.heads * options.headDim, options.kvHeads * options.headDim]
  const qkv = linear(p, 'qkv_proj', x)
  const q = context.rotate(qkv.slice(1, 0, Q), options.heads, '', rotary(config))
  const k = context.rotate(qkv.slice(1, Q, Q + KV), options.kvHeads, '', rotary(config))
  return linear(p, 'o_proj', context.attend(q, k, qkv.slice(1, Q + KV, Q + 2 * KV), options))
}

const mlp = (p: Scope, x: Tensor, { intermediate_size: F, activation }: Config): Tensor => {
  const both = linear(p, 'gate_up_proj', x)
  return linear(p, 'down_proj', activations[activation](both.slice(1, 0, F)).mul(both.slice(1, F, 2 * F)))
}

const block = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, eps(config))
  const attended = x.add(attention(p.at('self_attn.'), norm('input_layernorm', x), context, config, kind))
  return attended.add(mlp(p.at('mlp.'), norm('post_attention_layernorm', attended), config))
}

const layerShapes = (config: Config): NamedShape[] => {
  const { hidden_size: C, intermediate_size: F, head_dim: D } = config
  const [Q, KV] = [config.num_attention_heads * D, config.num_key_value_heads * D]
  return [
    ...normShapes(C, 'input_layernorm', 'post_attention_layernorm'),
    ['self_attn.qkv_proj.weight', [Q + 2 * KV, C]],
    ['self_attn.o_proj.weight', [C, Q]],
    ['mlp.gate_up_proj.weight', [2 * F, C]],
    ['mlp.down_proj.weight', [C, F]],
  ]
}

export const phi3: Architecture = {
  ...decoder,
  name: 'Phi3ForCausalLM',
  shapes: (config) => decoderShapes(config, layerShapes(config)),
  layerKind: ({ raw }) => ({ rope: '', window: (raw.sliding_window as number | null | undefined) ?? undefined }),
  rotary,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x, eps(config)),
  linears: () => ['self_attn.qkv_proj', 'self_attn.o_proj', 'mlp.gate_up_proj', 'mlp.down_proj'],
}
