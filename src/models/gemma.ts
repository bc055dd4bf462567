/**
 * Gemma 1, 2 and 3 (text). Norm weights are stored as what is added to 1; embeddings are multiplied by sqrt(hidden) at
 * the input and not in the head. Versions 2 and 3 also norm the outputs of attention and MLP, alternate sliding and
 * full layers, and scale queries by `query_pre_attn_scalar`. Version 2 caps attention scores and logits by tanh;
 * version 3 norms q and k per head and uses another rotary base in sliding layers.
 */
import { embedding, gatedMlp, rmsNormPlusOne } from '../nn/layers.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import {
  attentionOptions,
  attentionShapes,
  decoder,
  decoderShapes,
  epsilon,
  layerType,
  mlpShapes,
  normShapes,
  numberOr,
  selfAttention,
  typedWindow,
} from './decoder.ts'

/** x + attention(norm(x)), then x + mlp(norm(x)), as Llama. */
const block1 = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const norm = (name: string, y: Tensor) => rmsNormPlusOne(p, name, y, epsilon(config))
  const attended = x.add(selfAttention(p.at('self_attn.'), norm('input_layernorm', x), context, config, kind))
  return attended.add(gatedMlp(p.at('mlp.'), norm('post_attention_layernorm', attended), config.activation))
}

/** x + norm(attention(norm(x))), then x + norm(mlp(norm(x))). `softcap`: what caps the scores when the file is silent. */
const block2 = (caps: boolean) => (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind) => {
  const norm = (name: string, y: Tensor) => rmsNormPlusOne(p, name, y, epsilon(config))
  const options = {
    ...attentionOptions(config, kind),
    scale: numberOr(config.raw.query_pre_attn_scalar, 256)! ** -0.5,
    softcap: caps ? numberOr(config.raw.attn_logit_softcapping, 50) : undefined,
  }
  const how = { options, norm: rmsNormPlusOne }
  const mixed = selfAttention(p.at('self_attn.'), norm('input_layernorm', x), context, config, kind, how)
  const attended = x.add(norm('post_attention_layernorm', mixed))
  const fed = gatedMlp(p.at('mlp.'), norm('pre_feedforward_layernorm', attended), config.activation)
  return attended.add(norm('post_feedforward_layernorm', fed))
}

const norms1 = ['input_layernorm', 'post_attention_layernorm']
const norms2 = [...norms1, 'pre_feedforward_layernorm', 'post_feedforward_layernorm']

type Variant = Pick<Architecture, 'name' | 'block' | 'layerKind'> & {
  norms: readonly string[]
  headNorms?: boolean
  /** What caps the logits when the file is silent. */
  cap?: number
}

const gemmaLike = ({ norms, headNorms = false, cap, ...own }: Variant): Architecture => ({
  ...decoder,
  ...own,
  shapes: (config) => {
    const biased = config.raw.attention_bias === true
    return decoderShapes(config, [
      ...normShapes(config.hidden_size, ...norms),
      ...attentionShapes(config, { bias: { qkv: biased, o: biased }, headNorms }),
      ...mlpShapes(config),
    ])
  },
  rotary: (config) => config.head_dim,
  embed: (p, ids, _, config) => embedding(p, 'model.embed_tokens', ids).mul(Math.sqrt(config.hidden_size)),
  finalNorm: (p, x, config) => rmsNormPlusOne(p, 'model.norm', x, epsilon(config)),
  head: (config) => ({ ...decoder.head(config), softcap: numberOr(config.raw.final_logit_softcapping, cap) }),
  zeroNorms: true,
})

export const gemma = gemmaLike({
  name: 'GemmaForCausalLM',
  block: block1,
  norms: norms1,
  layerKind: () => ({ rope: '' }),
})

export const gemma2 = gemmaLike({
  name: 'Gemma2ForCausalLM',
  block: block2(true),
  norms: norms2,
  cap: 30,
  layerKind: (config, layer) => ({ rope: '', window: typedWindow(config, layerType(config, layer, 2)) }),
})

export const gemma3 = gemmaLike({
  name: 'Gemma3ForCausalLM',
  block: block2(false),
  norms: norms2,
  headNorms: true,
  layerKind: (config, layer) => {
    const type = layerType(config, layer, numberOr(config.raw.sliding_window_pattern, 6)!)
    return { rope: type, window: typedWindow(config, type) }
  },
})
