/**
 * OLMo 2 and 3. What attention and MLP make is normed before it is added, not what they read, and q and k are normed over all
 * heads together. Version 3 has sliding layers, whose rotation is never rescaled.
 */
import { embedding, gatedMlp, rmsNorm } from '../nn/layers.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture } from './architecture.ts'
import {
  attentionShapes,
  decoder,
  decoderShapes,
  epsilon,
  layerType,
  mlpShapes,
  normShapes,
  selfAttention,
  typedWindow,
} from './decoder.ts'

/** x + norm(attention(x)), then x + norm(mlp(x)). */
const block: Architecture['block'] = (p, x, context, config, kind) => {
  const norm = (name: string, y: Tensor) => rmsNorm(p, name, y, epsilon(config))
  const mixed = selfAttention(p.at('self_attn.'), x, context, config, kind)
  const attended = x.add(norm('post_attention_layernorm', mixed))
  return attended.add(norm('post_feedforward_layernorm', gatedMlp(p.at('mlp.'), attended, config.activation)))
}

const olmoLike = (own: Pick<Architecture, 'name' | 'layerKind'>): Architecture => ({
  ...decoder,
  ...own,
  shapes: (config) => {
    const biased = config.raw.attention_bias === true
    return decoderShapes(config, [
      ...attentionShapes(config, { bias: { qkv: biased, o: biased }, wholeNorms: true }),
      ...normShapes(config.hidden_size, 'post_attention_layernorm', 'post_feedforward_layernorm'),
      ...mlpShapes(config),
    ])
  },
  rotary: (config) => config.head_dim,
  embed: (p, ids) => embedding(p, 'model.embed_tokens', ids),
  block,
  finalNorm: (p, x, config) => rmsNorm(p, 'model.norm', x, epsilon(config)),
})

export const olmo2 = olmoLike({ name: 'Olmo2ForCausalLM', layerKind: () => ({ rope: '' }) })

export const olmo3 = olmoLike({
  name: 'Olmo3ForCausalLM',
  layerKind: (config, layer) => {
    const type = layerType(config, layer, 4)
    return { rope: type, window: typedWindow(config, type) }
  },
})
