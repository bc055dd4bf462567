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
  use_bidirectional_attention: off,
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
}

/** gptq, awq, fp8, mxfp4, bitsandbytes (8 or 4 bits), compressed-tensors, ... */
const methodOf = (settings: unknown): string => {
  const { quant_method: method, load_in_4bit: four, load_in_8bit: eight } = settings as Record<string, unknown>
  const name = typeof method === 'string' ? quoted(method, 40) : four || eight ? '"bitsandbytes"' : 'an unnamed method'
  return four ? `${name}, 4 bits` : eight ? `${name}, 8 bits` : name
}

/** Throws a Fault 'bad-config' for the first setting that would be ignored. */
export const refuseUnsupported = (architecture: Architecture, config: Config, file: string): void => {
  const { raw } = config
  const found = Object.keys(harmless).find(
    (key) => raw[key] !== undefined && raw[key] !== null && !harmless[key].includes(raw[key]),
  )
  if (found === 'quantization_config')
    throw badInput(
      'bad-config',
      `the weights are quantized with ${methodOf(raw.quantization_config)} (quantization_config), which attune does not read; use a copy in bfloat16 or float32`,
      { file },
    )
  if (found) throw badInput('bad-config', `${found} ${quoted(raw[found])} is not supported by attune`, { file })
  if (architecture.encoder && raw.embedding_size && raw.embedding_size !== config.hidden_size)
    throw badInput(
      'bad-config',
      `embedding_size ${quoted(raw.embedding_size)} is not supported by attune; hidden_size is ${config.hidden_size}`,
      { file },
    )
  const rotary = architecture.rotary(config)
  const partial = config.partial_rotary_factor
  if (rotary % 2) throw badInput('bad-config', `cannot rotate ${rotary} values of each head: not even`, { file })
  if (partial !== 1 && rotary === config.head_dim)
    throw badInput('bad-config', `partial_rotary_factor ${partial} is not supported for ${architecture.name}`, { file })
}
