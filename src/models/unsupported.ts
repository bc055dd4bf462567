/**
 * Settings that change what a model computes and that attune does not support. They are refused by name, since a model
 * that loads and computes something else is worse than one that does not load. Each key has the values at which it
 * changes nothing.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Architecture, Config } from './architecture.ts'

const off = [false]
const one = [1]

const harmless: Readonly<Record<string, readonly unknown[]>> = {
  quantization_config: [],
  compression_config: [],
  // "vision": tokens of an image alone
  use_bidirectional_attention: [false, 'vision'],
  // GPT-2
  scale_attn_by_inverse_layer_idx: off,
  add_cross_attention: off,
  is_encoder_decoder: off,
  // BERT and its family
  is_decoder: off,
  position_embedding_type: ['absolute'],
  conv_kernel_size: [0],
  // multipliers of Granite, Cohere, MiniCPM and others that keep Llama's names
  logit_scale: one,
  logits_scaling: one,
  embedding_multiplier: one,
  residual_multiplier: one,
  attention_multiplier: [],
  scale_emb: one,
  scale_depth: [],
  clip_qkv: [],
  attn_temperature_tuning: off,
  attention_chunk_size: [],
  // mixtures of experts
  num_experts: [0, 1],
  num_local_experts: [0, 1],
  n_routed_experts: [0],
  router_jitter_noise: [0],
  // a loss that spreads the tokens over the experts
  output_router_logits: off,
}

/** gptq, awq, fp8, mxfp4, bitsandbytes (8 or 4 bits), compressed-tensors, ... */
const methodOf = (settings: unknown): string => {
  const { quant_method: method, load_in_4bit: four, load_in_8bit: eight } = settings as Record<string, unknown>
  const name = typeof method === 'string' ? quoted(method, 40) : four || eight ? '"bitsandbytes"' : 'an unnamed method'
  return four ? `${name}, 4 bits` : eight ? `${name}, 8 bits` : name
}

const isUnpacked = ({ unpacks }: Architecture, settings: unknown) =>
  unpacks?.includes((settings as { quant_method?: string }).quant_method ?? '') === true

const withoutAttention = ['conv', 'linear_attention']

/** Throws a Fault 'bad-config' for the first setting that would be ignored. */
export const refuseUnsupported = (architecture: Architecture, config: Config, file: string): void => {
  const { raw } = config
  const found = Object.keys(harmless).find(
    (key) =>
      raw[key] !== undefined &&
      raw[key] !== null &&
      !harmless[key].includes(raw[key]) &&
      !architecture.computes?.includes(key) &&
      !(key === 'quantization_config' && isUnpacked(architecture, raw[key])),
  )
  if (found === 'quantization_config')
    throw badInput(
      'bad-config',
      `the weights are quantized with ${methodOf(raw.quantization_config)} (quantization_config), which attune does not read; use a copy in bfloat16 or float32`,
      { file },
    )
  if (found) throw badInput('bad-config', `${found} ${quoted(raw[found])} is not supported by attune`, { file })
  const lacked = architecture.lacks?.(config)
  if (lacked) throw badInput('bad-config', `${lacked} is not supported by attune`, { file })
  const unknown = (raw.layer_types as string[] | null | undefined)?.find(
    (type, layer) => withoutAttention.includes(type) && !architecture.layerKind(config, layer).recent,
  )
  if (unknown) throw badInput('bad-config', `layer_types: ${architecture.name} has no layer "${unknown}"`, { file })
  const { experts } = architecture
  const [count, chosen] = [experts?.count(config) ?? 1, experts?.perToken(config) ?? 1]
  if (chosen < 1 || chosen > count)
    throw badInput('bad-config', `num_experts_per_tok ${chosen} does not fit ${count} experts`, { file })
  if (architecture.encoder && raw.embedding_size && raw.embedding_size !== config.hidden_size)
    throw badInput(
      'bad-config',
      `embedding_size ${quoted(raw.embedding_size)} is not supported by attune; hidden_size is ${config.hidden_size}`,
      { file },
    )
  const rotary = architecture.rotary(config)
  const partial = config.partial_rotary_factor
  if (rotary % 2) throw badInput('bad-config', `cannot rotate ${rotary} values of each head: not even`, { file })
  const factors = Object.values(config.rope ?? {}).find(
    (rope) => (rope.short_factor?.length ?? rotary / 2) !== rotary / 2,
  )
  if (factors)
    throw badInput(
      'bad-config',
      `short_factor has ${factors.short_factor!.length} factors for ${rotary / 2} rotated pairs of each head`,
      { file },
    )
  if (partial !== 1 && rotary === config.head_dim)
    throw badInput('bad-config', `partial_rotary_factor ${partial} is not supported for ${architecture.name}`, { file })
}
