/**
 * llama.cpp's counterparts of attune's architectures: names of tensors, additional settings, and what their graphs
 * cannot compute. Source: gguf-py/gguf/tensor_mapping.py and src/models/*.cpp.
 */
import type { GgufValue } from '../checkpoint/gguf.ts'
import type { RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import type { Architecture, Config } from './architecture.ts'
import { deltaSizes } from './qwen35.ts'

export type GgufArchitecture = {
  name: string
  /** Names of tensors where they are not everyone's; those of experts are without the number of the expert. */
  names?: Readonly<Record<string, string>>
  /** Its graph rotates neighbours, not halves. */
  pairs?: boolean
  /** Its graph honours sliding windows. */
  slides?: boolean
  own(config: Config, architecture: Architecture): Record<string, GgufValue | undefined>
  /** What queries are to be multiplied by beforehand, and the weight that takes it. */
  queryFactor?: { weight: string; of(config: Config): number }
  /** Activations that its graph has. */
  activations: readonly string[]
  /** Has tensors for biases where config.json may ask for them. */
  biased?: boolean
  /** Takes a head of its own. */
  untied?: boolean
  /** Takes attention whose width is not the model's. */
  wide?: boolean
  /** Types of rescaled rotation that it has, besides linear ones. */
  ropes?: readonly RopeParameters['rope_type'][]
  /** Has no head of its own where it is the embedding. */
  onlyUntied?: boolean
  /** What else it cannot do, in words. */
  lacks?(config: Config, architecture: Architecture): string | undefined
}

const silu = ['silu', 'swish']
const gelu = ['gelu_new', 'gelu_pytorch_tanh']

const rms = ({ raw }: Config, silent = 1e-6) => ({
  'attention.layer_norm_rms_epsilon': { float: (raw.rms_norm_eps as number | null | undefined) ?? silent },
})

const kinds = (config: Config, { layerKind }: Architecture) =>
  Array.from({ length: config.num_hidden_layers }, (_, layer) => layerKind(config, layer))

/** Every nth layer sees everything: n, 0 where none does, undefined where it is another pattern. */
const period = (config: Config, architecture: Architecture): number | undefined => {
  const sliding = kinds(config, architecture).map(({ window }) => window !== undefined)
  const fits = (n: number) => sliding.every((slides, i) => slides === (n === 0 || i % n < n - 1))
  return Array.from({ length: sliding.length + 1 }, (_, n) => n).find(fits)
}

/** Every nth layer has attention: n, undefined where it is another pattern. */
const fullEvery = (config: Config, architecture: Architecture): number | undefined => {
  const full = kinds(config, architecture).map(({ state }) => state === undefined)
  return full.map((_, i) => i + 1).find((n) => full.every((is, i) => is === ((i + 1) % n === 0)))
}

const gemmaSlides = (config: Config, architecture: Architecture) => ({
  ...rms(config),
  'attention.sliding_window': { uint: (config.raw.sliding_window as number | null | undefined) ?? 4096 },
  'attention.sliding_window_pattern': { uint: period(config, architecture)! },
})

const capped = (value: unknown, silent?: number): GgufValue | undefined => {
  const cap = value === undefined ? silent : value
  return typeof cap === 'number' ? { float: cap } : undefined
}

const otherPattern = (config: Config, architecture: Architecture) =>
  period(config, architecture) === undefined ? 'this order of sliding and full layers' : undefined

/** Gemma 2 and 3 scale queries by head_dim^-1/2, but for the 27B, which llama.cpp knows by its number of layers. */
const queryFactor = (weight: string, largest: number): GgufArchitecture['queryFactor'] => ({
  weight,
  of: ({ raw, num_hidden_layers, hidden_size, num_attention_heads, head_dim }) => {
    const scalar = (raw.query_pre_attn_scalar as number | null | undefined) ?? 256
    const assumed = num_hidden_layers === largest ? Math.floor(hidden_size / num_attention_heads) : head_dim
    return Math.sqrt(assumed / scalar)
  },
})

const gemmaNorms = {
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
}

const llama: GgufArchitecture = {
  name: 'llama',
  pairs: true,
  own: (config) => rms(config),
  activations: silu,
  biased: true,
  untied: true,
  wide: true,
  ropes: ['llama3', 'yarn'],
}

const qwen = { own: (config: Config) => rms(config), activations: silu, untied: true, ropes: ['yarn'] } as const

const olmo: GgufArchitecture = {
  name: 'olmo2',
  names: { post_attention_layernorm: 'post_attention_norm', post_feedforward_layernorm: 'post_ffw_norm' },
  slides: true,
  own: (config) => rms(config, 1e-5),
  activations: silu,
  untied: true,
  onlyUntied: true,
  ropes: ['yarn'],
}

/** All experts of a layer are in one tensor, [experts, out, in]. */
const expertNames = (router: string, experts: string, [gate, up, down]: readonly [string, string, string]) => ({
  [router]: 'ffn_gate_inp',
  [`${experts}.${gate}`]: 'ffn_gate_exps',
  [`${experts}.${up}`]: 'ffn_up_exps',
  [`${experts}.${down}`]: 'ffn_down_exps',
})

const expertCounts = (config: Config, { experts }: Architecture) => ({
  expert_count: { uint: experts!.count(config) },
  expert_used_count: { uint: experts!.perToken(config) },
})

const multiplier = (value: unknown): GgufValue => ({ float: (value as number | null | undefined) ?? 1 })

/** By attune's name. */
export const ggufArchitectures: Readonly<Record<string, GgufArchitecture>> = {
  LlamaForCausalLM: llama,
  MistralForCausalLM: llama,
  MixtralForCausalLM: {
    ...llama,
    names: expertNames('block_sparse_moe.gate', 'block_sparse_moe.experts', ['w1', 'w3', 'w2']),
    own: (config, architecture) => ({ ...rms(config, 1e-5), ...expertCounts(config, architecture) }),
  },
  Ministral3ForCausalLM: {
    ...llama,
    name: 'mistral3',
    biased: false,
    own: (config) => {
      const beta = config.rope?.['']?.llama_4_scaling_beta
      return { ...rms(config), 'attention.temperature_scale': beta === undefined ? undefined : { float: beta } }
    },
    ropes: ['yarn'],
  },
  Lfm2ForCausalLM: {
    name: 'lfm2',
    names: {
      'model.embedding_norm': 'token_embd_norm',
      operator_norm: 'attn_norm',
      'self_attn.out_proj': 'attn_output',
      'self_attn.q_layernorm': 'attn_q_norm',
      'self_attn.k_layernorm': 'attn_k_norm',
      'conv.conv': 'shortconv.conv',
      'conv.in_proj': 'shortconv.in_proj',
      'conv.out_proj': 'shortconv.out_proj',
      ffn_norm: 'ffn_norm',
      'feed_forward.w1': 'ffn_gate',
      'feed_forward.w3': 'ffn_up',
      'feed_forward.w2': 'ffn_down',
    },
    own: (config, architecture) => ({
      feed_forward_length: { uint: architecture.shapes(config).get('model.layers.0.feed_forward.w1.weight')![0] },
      // none where a layer has a convolution
      'attention.head_count_kv': Int32Array.from(kinds(config, architecture), ({ recent }) =>
        recent ? 0 : config.num_key_value_heads,
      ),
      'attention.layer_norm_rms_epsilon': { float: (config.raw.norm_eps as number | null | undefined) ?? 1e-5 },
      'shortconv.l_cache': { uint: (config.raw.conv_L_cache as number | null | undefined) ?? 3 },
    }),
    activations: silu,
    untied: true,
    lacks: ({ raw }) => (raw.conv_bias === true ? 'biases of convolutions' : undefined),
  },
  Qwen3MoeForCausalLM: {
    name: 'qwen3moe',
    ...qwen,
    wide: true,
    names: expertNames('mlp.gate', 'mlp.experts', ['gate_proj', 'up_proj', 'down_proj']),
    own: (config, architecture) => ({
      ...rms(config),
      ...expertCounts(config, architecture),
      expert_feed_forward_length: { uint: (config.raw.moe_intermediate_size as number | null | undefined) ?? 768 },
    }),
    lacks: (config, architecture) => {
      const routers = [...architecture.shapes(config).keys()].filter((name) => name.endsWith('mlp.gate.weight'))
      return routers.length < config.num_hidden_layers
        ? 'layers without experts'
        : config.raw.norm_topk_prob !== true
          ? 'norm_topk_prob false'
          : undefined
    },
  },
  Qwen3_5ForCausalLM: {
    name: 'qwen35',
    ...qwen,
    wide: true,
    names: {
      post_attention_layernorm: 'post_attention_norm',
      'linear_attn.in_proj_qkv': 'attn_qkv',
      'linear_attn.in_proj_z': 'attn_gate',
      'linear_attn.in_proj_b': 'ssm_beta',
      'linear_attn.in_proj_a': 'ssm_alpha',
      'linear_attn.out_proj': 'ssm_out',
      'linear_attn.norm': 'ssm_norm',
      'linear_attn.conv1d': 'ssm_conv1d',
      'linear_attn.dt_bias': 'ssm_dt.bias',
      'linear_attn.A_log': 'ssm_a',
    },
    own: (config, architecture) => {
      const { keyHeads, valueHeads, keyDim, values } = deltaSizes(config)
      const pairs = architecture.rotary(config) / 2
      return {
        ...rms(config),
        full_attention_interval: { uint: fullEvery(config, architecture)! },
        'ssm.conv_kernel': { uint: (config.raw.linear_conv_kernel_dim as number | null | undefined) ?? 4 },
        'ssm.state_size': { uint: keyDim },
        'ssm.group_count': { uint: keyHeads },
        'ssm.time_step_rank': { uint: valueHeads },
        'ssm.inner_size': { uint: values },
        // pairs that rotate by time, height and width, one after the other; in a text these are one number
        'rope.dimension_sections': Int32Array.of(
          Math.ceil(pairs / 3),
          Math.ceil((pairs - 1) / 3),
          Math.floor(pairs / 3),
          0,
        ),
      }
    },
    lacks: (config, architecture) => {
      const { keyDim, valueDim } = deltaSizes(config)
      return keyDim !== valueDim
        ? 'keys and values of different sizes'
        : ((config.raw.rms_norm_eps as number | null | undefined) ?? 1e-6) !== 1e-6
          ? 'rms_norm_eps other than 1e-6'
          : fullEvery(config, architecture) === undefined
            ? 'this order of layers'
            : undefined
    },
  },
  Qwen2ForCausalLM: { name: 'qwen2', ...qwen, biased: true },
  Qwen3ForCausalLM: { name: 'qwen3', ...qwen, wide: true },
  SmolLM3ForCausalLM: {
    ...llama,
    name: 'smollm3',
    biased: false,
    ropes: ['yarn'],
    lacks: (config, architecture) =>
      kinds(config, architecture).some(({ rope }, i) => (rope === undefined) !== ((i + 1) % 4 === 0))
        ? 'no_rope_layers other than every fourth'
        : undefined,
  },
  GemmaForCausalLM: {
    name: 'gemma',
    own: (config) => rms(config),
    activations: gelu,
    wide: true,
    lacks: ({ raw }) => (raw.final_logit_softcapping ? 'logits that are capped' : undefined),
  },
  Gemma2ForCausalLM: {
    name: 'gemma2',
    names: gemmaNorms,
    slides: true,
    own: (config, architecture) => ({
      ...gemmaSlides(config, architecture),
      attn_logit_softcapping: capped(config.raw.attn_logit_softcapping, 50),
      final_logit_softcapping: capped(config.raw.final_logit_softcapping, 30),
    }),
    queryFactor: queryFactor('self_attn.q_proj.weight', 46),
    activations: gelu,
    wide: true,
    lacks: (config, architecture) =>
      config.raw.attn_logit_softcapping === null || config.raw.final_logit_softcapping === null
        ? 'scores or logits that are not capped'
        : otherPattern(config, architecture),
  },
  Gemma3ForCausalLM: {
    name: 'gemma3',
    names: gemmaNorms,
    slides: true,
    own: (config, architecture) => ({
      ...gemmaSlides(config, architecture),
      final_logit_softcapping: capped(config.raw.final_logit_softcapping),
    }),
    queryFactor: queryFactor('self_attn.q_norm.weight', 62),
    activations: gelu,
    wide: true,
    lacks: (config, architecture) =>
      (config.rope?.sliding_attention?.rope_type ?? 'default') === 'default'
        ? otherPattern(config, architecture)
        : 'scaled rotation in sliding layers',
  },
  Phi3ForCausalLM: {
    name: 'phi3',
    own: (config) => ({ ...rms(config, 1e-5), 'attention.sliding_window': { uint: 0 } }),
    activations: silu,
    untied: true,
    ropes: ['longrope'],
  },
  Olmo2ForCausalLM: olmo,
  Olmo3ForCausalLM: {
    ...olmo,
    own: (config, architecture) => ({
      ...rms(config, 1e-5),
      'attention.sliding_window': { uint: (config.raw.sliding_window as number | null | undefined) ?? 4096 },
      'attention.sliding_window_pattern': { uint: period(config, architecture)! },
    }),
    lacks: (config, architecture) =>
      period(config, architecture) !== 4
        ? 'this order of sliding and full layers'
        : config.rope?.sliding_attention?.rope_theta !== config.rope?.full_attention?.rope_theta
          ? 'two bases of rotation'
          : undefined,
  },
  GraniteForCausalLM: {
    ...llama,
    name: 'granite',
    own: ({ raw, ...config }) => ({
      ...rms({ raw, ...config }),
      'attention.scale': multiplier(raw.attention_multiplier),
      embedding_scale: multiplier(raw.embedding_multiplier),
      residual_scale: multiplier(raw.residual_multiplier),
      logit_scale: multiplier(raw.logits_scaling),
    }),
  },
  GPT2LMHeadModel: {
    name: 'gpt2',
    own: ({ raw }) => ({
      'attention.layer_norm_epsilon': { float: (raw.layer_norm_epsilon as number | null | undefined) ?? 1e-5 },
    }),
    activations: gelu,
    untied: true,
    lacks: ({ raw }) => (raw.scale_attn_weights === false ? 'scale_attn_weights false' : undefined),
  },
}

const everyones: readonly string[] = ['default', 'linear', 'dynamic']

const ropeLacking = ({ ropes = [] }: GgufArchitecture, given: readonly RopeParameters[]): string | undefined => {
  const other = given.find(({ rope_type: type }) => !everyones.includes(type) && !ropes.includes(type))
  return other
    ? `rope type ${other.rope_type}`
    : given.some(({ truncate }) => truncate === false)
      ? 'truncate false'
      : undefined
}

/** Throws a Fault 'gguf' for the first thing that llama.cpp's graph would do otherwise. */
export const refuseForGguf = (found: GgufArchitecture, config: Config, architecture: Architecture, file: string) => {
  const { raw, rope } = config
  const lacks = [
    !found.activations.includes(config.activation) && `the activation ${config.activation}`,
    !found.biased && raw.attention_bias === true && 'attention_bias',
    !found.biased && raw.mlp_bias === true && 'mlp_bias',
    !found.untied && !config.tie_word_embeddings && 'a head apart from the embedding',
    !found.wide && config.num_attention_heads * config.head_dim !== config.hidden_size && 'heads of this size',
    found.onlyUntied && config.tie_word_embeddings && 'a head that is the embedding',
    ropeLacking(found, Object.values(rope ?? {})),
    found.lacks?.(config, architecture),
  ].find((what) => what)
  if (lacks)
    throw badInput('gguf', `llama.cpp's ${found.name} has no ${lacks}; keep the folder, or export --onnx`, { file })
}
