/**
 * The config.json of a model in a GGUF file, made from its metadata and the names of its tensors: the reverse of
 * ggufArchitectures.ts, with llama.cpp's defaults where the file is silent. Source: src/llama-model.cpp.
 */
import { badInput } from '../util/fault.ts'
import { type GgufMeta, metaNumber, metaNumbers, metaText, metaTexts } from '../util/ggufHeader.ts'
import { quoted } from '../util/quote.ts'
import { type GgufSettingsReader, ropeOf } from './ggufRope.ts'

type Json = { readonly [key: string]: unknown }

const rms = ({ number }: GgufSettingsReader) => ({ rms_norm_eps: number('attention.layer_norm_rms_epsilon') })

const gemma = (read: GgufSettingsReader) => ({
  ...rms(read),
  hidden_activation: 'gelu_pytorch_tanh',
  head_dim: read.number('attention.key_length'),
})

/** Gemma's 27B models scale queries by the width of the model's heads, and llama.cpp knows them by their layers. */
const queryScalar = (read: GgufSettingsReader, largest: number): number =>
  read.number('block_count') === largest
    ? Math.floor(read.number('embedding_length') / read.number('attention.head_count'))
    : read.number('attention.key_length')

const slides = (read: GgufSettingsReader, silent: number) => {
  const period = read.number('attention.sliding_window_pattern', silent)
  const layers = Array.from({ length: read.number('block_count') }, (_, i) =>
    period === 0 || i % period < period - 1 ? 'sliding_attention' : 'full_attention',
  )
  return { sliding_window: read.number('attention.sliding_window', 4096), layer_types: layers }
}

const headDim = ({ optional }: GgufSettingsReader) => ({ head_dim: optional('attention.key_length') })

type Found = {
  model_type: string
  name: string
  config(read: GgufSettingsReader): Json
  /** Has experts in some files or in all. */
  mixture?: boolean
  /** Heads of keys and values, where layers may differ in them. */
  kvHeads?(read: GgufSettingsReader): number
}

const expertCounts = (read: GgufSettingsReader, name: 'num_experts' | 'num_local_experts') => {
  const [count, there] = [read.number('expert_count'), read.shape('blk.0.ffn_up_exps.weight')?.[0] ?? 0]
  // before lists are made for as many experts as the metadata claims
  if (count !== there)
    throw badInput('bad-gguf', `claims ${count} experts, and has ${there} in blk.0.ffn_up_exps.weight`, {
      file: read.file,
    })
  return { [name]: count, num_experts_per_tok: read.number('expert_used_count') }
}

/** 0 where a layer has a short convolution. */
const lfm2Heads = (read: GgufSettingsReader): readonly number[] => {
  const each = read.each('attention.head_count_kv')
  if (each?.length === read.number('block_count') && each.some((heads) => heads > 0)) return each
  throw badInput('bad-gguf', 'has no lfm2.attention.head_count_kv for each layer; fetch the file again', {
    file: read.file,
  })
}

/** By llama.cpp's name: the architecture's own name, and the settings beside those that all have. */
const architectures: Readonly<Record<string, Found>> = {
  llama: {
    model_type: 'llama',
    name: 'LlamaForCausalLM',
    mixture: true,
    config: (read) => {
      const common = {
        ...rms(read),
        head_dim: read.optional('attention.key_length') ?? read.optional('rope.dimension_count'),
        hidden_act: 'silu',
        rope_parameters: ropeOf(read),
      }
      // llama.cpp has one architecture for both
      if (read.number('expert_count', 0) > 0)
        return {
          ...common,
          ...expertCounts(read, 'num_local_experts'),
          architectures: ['MixtralForCausalLM'],
          model_type: 'mixtral',
          sliding_window: null,
        }
      return {
        ...common,
        attention_bias: read.shape('blk.0.attn_q.bias') !== undefined,
        mlp_bias: read.shape('blk.0.ffn_up.bias') !== undefined,
      }
    },
  },
  mistral3: {
    model_type: 'ministral3',
    name: 'Ministral3ForCausalLM',
    config: (read) => {
      const beta = read.optional('attention.temperature_scale')
      return {
        ...rms(read),
        ...headDim(read),
        hidden_act: 'silu',
        sliding_window: null,
        rope_parameters: { ...ropeOf(read), ...(beta && { llama_4_scaling_beta: beta }) },
      }
    },
  },
  lfm2: {
    model_type: 'lfm2',
    name: 'Lfm2ForCausalLM',
    kvHeads: (read) => lfm2Heads(read).find((heads) => heads > 0)!,
    config: (read) => ({
      norm_eps: read.number('attention.layer_norm_rms_epsilon'),
      conv_L_cache: read.number('shortconv.l_cache'),
      conv_bias: false,
      block_auto_adjust_ff_dim: false,
      layer_types: lfm2Heads(read).map((heads) => (heads ? 'full_attention' : 'conv')),
      rope_parameters: ropeOf(read),
    }),
  },
  qwen35: {
    model_type: 'qwen3_5_text',
    name: 'Qwen3_5ForCausalLM',
    config: (read) => {
      const [heads, size] = [read.number('ssm.time_step_rank'), read.number('ssm.state_size')]
      const headDim = read.number('attention.key_length')
      return {
        ...rms(read),
        head_dim: headDim,
        hidden_act: 'silu',
        full_attention_interval: read.number('full_attention_interval', 4),
        linear_conv_kernel_dim: read.number('ssm.conv_kernel'),
        linear_num_key_heads: read.number('ssm.group_count'),
        linear_num_value_heads: heads,
        linear_key_head_dim: size,
        linear_value_head_dim: read.number('ssm.inner_size') / heads,
        rope_parameters: {
          ...ropeOf(read),
          partial_rotary_factor: read.number('rope.dimension_count', headDim) / headDim,
        },
      }
    },
  },
  qwen3moe: {
    model_type: 'qwen3_moe',
    name: 'Qwen3MoeForCausalLM',
    mixture: true,
    config: (read) => ({
      ...rms(read),
      ...headDim(read),
      ...expertCounts(read, 'num_experts'),
      hidden_act: 'silu',
      moe_intermediate_size: read.number(
        'expert_feed_forward_length',
        read.number('feed_forward_length') / read.number('expert_used_count'),
      ),
      norm_topk_prob: true,
      decoder_sparse_step: 1,
      mlp_only_layers: [],
      rope_parameters: ropeOf(read),
    }),
  },
  qwen2: {
    model_type: 'qwen2',
    name: 'Qwen2ForCausalLM',
    config: (read) => ({ ...rms(read), hidden_act: 'silu', rope_parameters: ropeOf(read) }),
  },
  qwen3: {
    model_type: 'qwen3',
    name: 'Qwen3ForCausalLM',
    config: (read) => ({ ...rms(read), ...headDim(read), hidden_act: 'silu', rope_parameters: ropeOf(read) }),
  },
  smollm3: {
    model_type: 'smollm3',
    name: 'SmolLM3ForCausalLM',
    config: (read) => ({
      ...rms(read),
      ...headDim(read),
      hidden_act: 'silu',
      no_rope_layer_interval: 4,
      rope_parameters: ropeOf(read),
    }),
  },
  gemma: {
    model_type: 'gemma',
    name: 'GemmaForCausalLM',
    config: (read) => ({ ...gemma(read), rope_parameters: ropeOf(read) }),
  },
  gemma2: {
    model_type: 'gemma2',
    name: 'Gemma2ForCausalLM',
    config: (read) => ({
      ...gemma(read),
      ...slides(read, 2),
      query_pre_attn_scalar: queryScalar(read, 46),
      attn_logit_softcapping: read.number('attn_logit_softcapping', 50),
      final_logit_softcapping: read.number('final_logit_softcapping', 30),
      rope_parameters: ropeOf(read),
    }),
  },
  gemma3: {
    model_type: 'gemma3_text',
    name: 'Gemma3ForCausalLM',
    config: (read) => ({
      ...gemma(read),
      ...slides(read, 6),
      query_pre_attn_scalar: queryScalar(read, 62),
      final_logit_softcapping: read.optional('final_logit_softcapping') ?? null,
      rope_parameters: {
        full_attention: ropeOf(read, 1e6),
        sliding_attention: { rope_type: 'default', rope_theta: read.number('rope.freq_base_swa', 10_000) },
      },
    }),
  },
  phi3: {
    model_type: 'phi3',
    name: 'Phi3ForCausalLM',
    config: (read) => {
      const heads = read.number('embedding_length') / read.number('attention.head_count')
      return {
        ...rms(read),
        hidden_act: 'silu',
        sliding_window: read.optional('attention.sliding_window') || null,
        original_max_position_embeddings: read.optional('rope.scaling.original_context_length'),
        rope_parameters: { ...ropeOf(read), partial_rotary_factor: read.number('rope.dimension_count', heads) / heads },
      }
    },
  },
  olmo2: {
    model_type: 'olmo2',
    name: 'Olmo2ForCausalLM',
    config: (read) => {
      const plain = { ...rms(read), hidden_act: 'silu' }
      const rope = ropeOf(read, 5e5)
      const window = read.optional('attention.sliding_window')
      if (!window) return { ...plain, rope_parameters: rope }
      // llama.cpp has one architecture for both
      return {
        ...plain,
        ...slides(read, 4),
        architectures: ['Olmo3ForCausalLM'],
        model_type: 'olmo3',
        rope_parameters: {
          full_attention: rope,
          sliding_attention: { rope_type: 'default', rope_theta: rope.rope_theta },
        },
      }
    },
  },
  granite: {
    model_type: 'granite',
    name: 'GraniteForCausalLM',
    config: (read) => ({
      ...rms(read),
      hidden_act: 'silu',
      attention_bias: read.shape('blk.0.attn_q.bias') !== undefined,
      mlp_bias: read.shape('blk.0.ffn_up.bias') !== undefined,
      attention_multiplier: read.number('attention.scale', 1),
      embedding_multiplier: read.number('embedding_scale', 1),
      residual_multiplier: read.number('residual_scale', 1),
      logits_scaling: read.number('logit_scale', 1),
      rope_parameters: ropeOf(read),
    }),
  },
  gpt2: {
    model_type: 'gpt2',
    name: 'GPT2LMHeadModel',
    config: (read) => ({
      activation_function: 'gelu_new',
      layer_norm_epsilon: read.number('attention.layer_norm_epsilon'),
      n_embd: read.number('embedding_length'),
      n_layer: read.number('block_count'),
      n_head: read.number('attention.head_count'),
      n_positions: read.number('context_length'),
      n_inner: read.number('feed_forward_length'),
    }),
  },
}

const ids = ['bos', 'eos', 'padding'] as const
const idName = { bos: 'bos_token_id', eos: 'eos_token_id', padding: 'pad_token_id' }

/**
 * Makes config.json.
 * @param shapes of the tensors, by their names in the file @param factors the values of the tensors in `ropeFactors`
 * Throws Faults 'gguf' for an architecture that attune does not compute, and 'bad-gguf' for settings that are missing.
 */
export const ggufConfig = (
  metadata: ReadonlyMap<string, GgufMeta>,
  shapes: ReadonlyMap<string, readonly number[]>,
  factors: ReadonlyMap<string, Float32Array>,
  file: string,
): Json => {
  const name = metaText(metadata, 'general.architecture', file)
  if (name === undefined || !Object.hasOwn(architectures, name))
    throw badInput(
      'gguf',
      `is of the architecture ${quoted(name ?? '')}; attune reads ${Object.keys(architectures).join(', ')}`,
      { file },
    )
  const read = reader(metadata, shapes, factors, name, file)
  const { model_type, name: architecture, config, mixture, kvHeads } = architectures[name]
  const embedding = shapes.get('token_embd.weight')
  if (!embedding) throw badInput('missing-weight', 'holds no token_embd.weight', { file })
  refuseDepth(read, shapes)
  if (!mixture && read.number('expert_count', 0) > 0)
    throw badInput(
      'gguf',
      `is a mixture of experts, which attune reads from a folder with config.json, not from a GGUF file of ${quoted(name)}`,
      {
        file,
      },
    )
  refuseTokens(metadata, embedding[0], file)
  return {
    architectures: [architecture],
    model_type,
    vocab_size: embedding[0],
    hidden_size: read.number('embedding_length'),
    intermediate_size: read.number('feed_forward_length'),
    num_hidden_layers: read.number('block_count'),
    num_attention_heads: read.number('attention.head_count'),
    num_key_value_heads: kvHeads
      ? kvHeads(read)
      : read.number('attention.head_count_kv', read.number('attention.head_count')),
    max_position_embeddings: read.number('context_length'),
    tie_word_embeddings: !shapes.has('output.weight'),
    ...Object.fromEntries(
      ids.flatMap((id) => {
        const found = metaNumber(metadata, `tokenizer.ggml.${id}_token_id`, file)
        return found === undefined ? [] : [[idName[id], found]]
      }),
    ),
    ...config(read),
  }
}

const reader = (
  metadata: ReadonlyMap<string, GgufMeta>,
  shapes: ReadonlyMap<string, readonly number[]>,
  factors: ReadonlyMap<string, Float32Array>,
  name: string,
  file: string,
): GgufSettingsReader => {
  const optional = (key: string): number | undefined => {
    const value = metadata.get(`${name}.${key}`)
    if (typeof value !== 'object') return metaNumber(metadata, `${name}.${key}`, file)
    // a value for each layer
    const list = metaNumbers(metadata, `${name}.${key}`, file)!
    if (list.every((each) => each === list[0])) return list[0]
    throw badInput('gguf', `has layers that differ in ${key}, which attune does not compute for ${name}`, { file })
  }
  const number = (key: string, silent?: number): number => {
    const found = optional(key) ?? silent
    if (found !== undefined) return found
    throw badInput('bad-gguf', `has no ${name}.${key} in its metadata; fetch the file again`, { file })
  }
  return {
    file,
    optional,
    number,
    text: (key) => metaText(metadata, `${name}.${key}`, file),
    each: (key) =>
      typeof metadata.get(`${name}.${key}`) === 'object'
        ? Array.from(metaNumbers(metadata, `${name}.${key}`, file)!)
        : undefined,
    shape: (key) => shapes.get(key),
    factors: (key) => factors.get(key),
  }
}

/** Before lists are made for as many layers as the metadata claims. */
const refuseDepth = (read: GgufSettingsReader, shapes: ReadonlyMap<string, readonly number[]>) => {
  const layers = read.number('block_count')
  const { file } = read
  if (!Number.isInteger(layers) || layers < 1 || layers > shapes.size)
    throw badInput('bad-gguf', `claims ${layers} layers, and has ${shapes.size} tensors`, { file })
}

const refuseTokens = (metadata: ReadonlyMap<string, GgufMeta>, rows: number, file: string) => {
  const tokens = metaTexts(metadata, 'tokenizer.ggml.tokens', file)?.length ?? 0
  if (tokens > rows)
    throw badInput('bad-gguf', `has ${tokens} tokens, and token_embd.weight has ${rows} rows`, { file })
}
