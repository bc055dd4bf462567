/** llama.cpp's names of tensors. Source: gguf-py/gguf/tensor_mapping.py. */
import type { GgufArchitecture } from './ggufArchitectures.ts'

/** What stands outside the layers. */
const outer: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'transformer.wte': 'token_embd',
  'transformer.wpe': 'position_embd',
  'model.norm': 'output_norm',
  'transformer.ln_f': 'output_norm',
  lm_head: 'output',
}

const inner: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.qkv_proj': 'attn_qkv',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  ln_1: 'attn_norm',
  'attn.c_attn': 'attn_qkv',
  'attn.c_proj': 'attn_output',
  ln_2: 'ffn_norm',
  'mlp.c_fc': 'ffn_up',
  'mlp.c_proj': 'ffn_down',
}

/** The expert that a weight is of, in whose file's tensor all experts are. */
export const expertOf = (name: string): number | undefined => {
  const found = /\.experts\.(\d+)\./.exec(name)
  return found ? Number(found[1]) : undefined
}

/** `model.layers.3.mlp.up_proj.weight` -> `blk.3.ffn_up.weight`. */
export const ggufName = (name: string, { names = {} }: GgufArchitecture): string => {
  const [, layer, rest] = /^(?:(?:model\.layers|transformer\.h)\.(\d+)\.)?(.*)$/.exec(
    name.replace(/\.experts\.\d+\./, '.experts.'),
  )!
  const [, module, end] = /^(.*)\.(weight|bias)$/.exec(rest) ?? []
  const known = names[rest] ?? `${names[module] ?? (layer === undefined ? outer : inner)[module]}.${end}`
  return layer === undefined ? known : `blk.${layer}.${known}`
}
