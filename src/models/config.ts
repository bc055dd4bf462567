/**
 * Reads config.json. transformers 5 writes `rope_parameters` and `dtype`; most files on the Hub have the older
 * `rope_theta`, `rope_scaling` and `torch_dtype`. Both become one form; every other key is kept verbatim in `raw`. The
 * values that blocks read from `raw` are checked here as well, so that later code never finds a string in place of a
 * number.
 */
import { z } from 'zod'
import { activations } from '../nn/layers.ts'
import { badInput } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import type { Config } from './architecture.ts'
import { gemma4Text } from './gemma4Config.ts'
import { ropeTablesOf } from './ropeConfig.ts'

const size = z
  .int()
  .positive()
  .max(2 ** 31 - 1)
const positive = z.number().positive()
/** Of real models at most 512 in a layer. */
const experts = z.int().nonnegative().max(4096)
const layerType = z.enum(['full_attention', 'sliding_attention', 'linear_attention', 'conv'])

const schema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string(),
  vocab_size: size,
  hidden_size: size.optional(),
  n_embd: size.optional(),
  num_hidden_layers: size.optional(),
  n_layer: size.optional(),
  num_attention_heads: size.optional(),
  n_head: size.optional(),
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  global_head_dim: size.nullish(),
  num_global_key_value_heads: size.nullish(),
  num_kv_shared_layers: z.int().nonnegative().nullish(),
  hidden_size_per_layer_input: z.int().nonnegative().max(65_536).nullish(),
  vocab_size_per_layer_input: size.nullish(),
  intermediate_size: size.optional(),
  n_inner: size.nullish(),
  max_position_embeddings: size.nullish(),
  n_positions: size.optional(),
  tie_word_embeddings: z.boolean().optional(),
  initializer_range: z.number().nonnegative().optional(),
  num_labels: size.nullish(),
  id2label: z.record(z.string(), z.unknown()).nullish(),
  hidden_act: z.string().nullish(),
  hidden_activation: z.string().nullish(),
  activation_function: z.string().nullish(),
  rms_norm_eps: positive.nullish(),
  layer_norm_epsilon: positive.nullish(),
  layer_norm_eps: positive.nullish(),
  pad_token_id: z.int().nullish(),
  type_vocab_size: z.int().nonnegative().max(65_536).nullish(),
  position_buckets: z.int().max(65_536).nullish(),
  max_relative_positions: z.int().max(65_536).nullish(),
  pos_att_type: z.union([z.string(), z.array(z.string())]).nullish(),
  relative_attention: z.boolean().nullish(),
  position_biased_input: z.boolean().nullish(),
  norm_rel_ebd: z.string().nullish(),
  n_tasks: size.max(65_536).nullish(),
  sliding_window: size.nullish(),
  sliding_window_pattern: size.nullish(),
  max_window_layers: z.int().nonnegative().nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(layerType).nullish(),
  no_rope_layers: z.array(z.int()).nullish(),
  no_rope_layer_interval: size.nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  query_pre_attn_scalar: positive.nullish(),
  attn_logit_softcapping: positive.nullish(),
  final_logit_softcapping: positive.nullish(),
  scale_attn_weights: z.boolean().nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
  original_max_position_embeddings: size.nullish(),
  embedding_multiplier: positive.nullish(),
  residual_multiplier: positive.nullish(),
  attention_multiplier: positive.nullish(),
  logits_scaling: positive.nullish(),
  norm_eps: positive.nullish(),
  conv_L_cache: z.int().min(2).max(64).nullish(),
  conv_bias: z.boolean().nullish(),
  full_attn_idxs: z.array(z.int()).nullish(),
  block_ff_dim: size.nullish(),
  block_auto_adjust_ff_dim: z.boolean().nullish(),
  block_ffn_dim_multiplier: positive.nullish(),
  block_multiple_of: size.nullish(),
  tie_embedding: z.boolean().nullish(),
  full_attention_interval: size.nullish(),
  linear_conv_kernel_dim: z.int().min(2).max(64).nullish(),
  linear_num_key_heads: size.nullish(),
  linear_num_value_heads: size.nullish(),
  linear_key_head_dim: size.nullish(),
  linear_value_head_dim: size.nullish(),
  num_experts: experts.nullish(),
  num_local_experts: experts.nullish(),
  num_experts_per_tok: experts.nullish(),
  top_k_experts: experts.nullish(),
  moe_intermediate_size: size.nullish(),
  norm_topk_prob: z.boolean().nullish(),
  decoder_sparse_step: size.nullish(),
  mlp_only_layers: z.array(z.int()).nullish(),
  swiglu_alpha: positive.nullish(),
  swiglu_limit: positive.nullish(),
})

type Parsed = z.infer<typeof schema>

/** Throws a Fault 'bad-config' that names the key. */
export const parseConfig = (whole: unknown, file: string): Config => {
  const raw = gemma4Text(whole, file)
  const parsed = schema.safeParse(raw)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw badInput('bad-config', `${cut(issue.path.join('.'), 100) || 'the file'}: ${cut(issue.message, 200)}`, {
      file,
    })
  }
  const c = parsed.data
  const { heads, hidden, ...sizes } = sizesOf(c, file)
  const { tables, partial, longest } = ropeTablesOf(c, file)
  return {
    architectures: c.architectures ?? [],
    model_type: c.model_type,
    vocab_size: c.vocab_size,
    hidden_size: hidden,
    num_attention_heads: heads,
    ...sizes,
    max_position_embeddings: Math.min(sizes.max_position_embeddings, longest ?? Number.POSITIVE_INFINITY),
    tie_word_embeddings: c.tie_embedding ?? c.tie_word_embeddings ?? tiedByDefault.has(c.model_type),
    initializer_range: c.initializer_range ?? 0.02,
    // transformers counts labels by their names, and writes none where they are two
    num_labels: (c.id2label ? Object.keys(c.id2label).length : c.num_labels) || 2,
    activation: activationOf(c, file),
    partial_rotary_factor: partial,
    rope: tables,
    raw: raw as Config['raw'],
  }
}

const sizesOf = (c: Parsed, file: string) => {
  const needed = (value: number | undefined, name: string): number => {
    if (value === undefined) throw badInput('bad-config', `${name} is missing`, { file })
    return value
  }
  const hidden = needed(c.hidden_size ?? c.n_embd, 'hidden_size')
  const heads = needed(c.num_attention_heads ?? c.n_head, 'num_attention_heads')
  const layers = needed(c.num_hidden_layers ?? c.n_layer, 'num_hidden_layers')
  // Left out is what the class assumes; null is as many as there are heads
  const silent = c.num_key_value_heads === undefined ? keyValueHeadsByDefault[c.model_type] : undefined
  const kv = c.num_key_value_heads ?? (silent && heads % silent === 0 ? silent : heads)
  if (heads % kv) throw badInput('bad-config', `${heads} attention heads cannot share ${kv} key/value heads`, { file })
  const [keyHeads, valueHeads] = [c.linear_num_key_heads ?? 16, c.linear_num_value_heads ?? 32]
  if (valueHeads % keyHeads)
    throw badInput('bad-config', `${valueHeads} linear value heads cannot share ${keyHeads} key heads`, { file })
  for (const key of ['layer_types', 'no_rope_layers'] as const)
    if (c[key] && c[key].length !== layers)
      throw badInput('bad-config', `${key} has ${c[key].length} entries for ${layers} layers`, { file })
  return {
    hidden,
    heads,
    num_hidden_layers: layers,
    num_key_value_heads: kv,
    head_dim: headDim(c, hidden, heads, file),
    intermediate_size: c.intermediate_size ?? c.n_inner ?? 4 * hidden,
    max_position_embeddings: needed(
      c.max_position_embeddings ?? c.n_positions ?? positionsByDefault[c.model_type],
      'max_position_embeddings',
    ),
  }
}

const headDim = (c: Parsed, hidden: number, heads: number, file: string): number => {
  const given = c.head_dim ?? headDimByDefault[c.model_type]
  if (c.model_type === 'gemma4_text') return Math.max(given!, c.global_head_dim ?? 512)
  if (given !== undefined) return given
  if (hidden % heads) throw badInput('bad-config', `hidden size ${hidden} is no multiple of ${heads} heads`, { file })
  return hidden / heads
}

// What transformers' config classes assume when the file is silent.

const tiedByDefault = new Set(['gpt2', 'gemma', 'gemma2', 'gemma3_text', 'gemma4_text', 'smollm3', 'lfm2'])

const headDimByDefault: Readonly<Record<string, number | undefined>> = {
  gemma: 256,
  gemma2: 256,
  gemma3_text: 256,
  gemma4_text: 256,
  qwen3: 128,
  qwen3_5_text: 256,
  ministral3: 128,
  gpt_oss: 64,
}

const positionsByDefault: Readonly<Record<string, number | undefined>> = {
  llama: 2048,
  mistral: 131_072,
  qwen2: 32_768,
  qwen3: 32_768,
  smollm3: 32_768,
  gemma: 8192,
  gemma2: 8192,
  gemma3_text: 131_072,
  gemma4_text: 131_072,
  phi3: 4096,
  olmo2: 2048,
  olmo3: 2048,
  granite: 2048,
  ministral3: 262_144,
  lfm2: 128_000,
  qwen3_5_text: 32_768,
  mixtral: 131_072,
  qwen3_moe: 32_768,
  granitemoe: 2048,
  gpt_oss: 131_072,
  gpt2: 1024,
  bert: 512,
  roberta: 512,
  'deberta-v2': 512,
}

const keyValueHeadsByDefault: Readonly<Record<string, number | undefined>> = {
  mistral: 8,
  ministral3: 8,
  lfm2: 8,
  mixtral: 8,
  qwen2: 32,
  qwen3_moe: 4,
  gpt_oss: 8,
  qwen3: 32,
  qwen3_5_text: 4,
  smollm3: 4,
  gemma: 16,
  gemma2: 4,
  gemma3_text: 4,
  gemma4_text: 4,
}

const activationByDefault: Readonly<Record<string, string | undefined>> = {
  gpt2: 'gelu_new',
  bert: 'gelu',
  roberta: 'gelu',
  'deberta-v2': 'gelu',
}

const activationOf = (c: Parsed, file: string): string => {
  const isGemma = c.model_type.startsWith('gemma')
  const given = c.hidden_activation ?? c.hidden_act ?? c.activation_function
  const name = given ?? (isGemma ? 'gelu_pytorch_tanh' : (activationByDefault[c.model_type] ?? 'silu'))
  if (!Object.hasOwn(activations, name)) {
    const known = Object.keys(activations).join(', ')
    throw badInput('bad-config', `the activation ${quoted(name)} is not supported; ${known} are`, { file })
  }
  // Gemma's first files say "gelu" and mean its approximation.
  return isGemma && name === 'gelu' ? 'gelu_pytorch_tanh' : name
}
