/**
 * Decoders whose MLP is a mixture of experts: Mixtral, Qwen3-MoE (in some layers or all), and Granite-MoE, whose experts have gate
 * and up in one matrix. Each expert's matrices are linear modules here, also where a checkpoint has one tensor for all experts.
 */
import { mixture, type Routing, routeByLargest, routeBySoftmax } from '../nn/experts.ts'
import { activations } from '../nn/layers.ts'
import { groupedLinear, linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, Config, Experts } from './architecture.ts'
import { decoder, type NamedShape } from './decoder.ts'
import { attentionBias, block, graniteBlock, graniteParts, llamaLike, windowOf } from './llama.ts'

type Mixture = {
  count(config: Config): number
  perToken(config: Config): number
  /** Values between an expert's matrices. */
  width(config: Config): number
  route(logits: Tensor, k: number, config: Config): Routing
  router: string
  /** The modules of an expert that read x: gate and up, or both in one. */
  inner(expert: number): readonly string[]
  /** The module that writes y. */
  outer(expert: number): string
  /** What transformers 5 calls the parameters of all experts, and the router's. */
  parameters: { inner: string; outer: string; router: string }
  /** The tensors of all experts in a checkpoint, where it has not one for each expert. */
  stored?: { inner: string; outer: string }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

/** A number that the config class has a value for where the file is silent. */
const setting = ({ raw }: Config, name: string, silent: number) => (raw[name] as number | null | undefined) ?? silent

const mixtureShapes = ({ router, inner, outer, count, width }: Mixture, config: Config): NamedShape[] => {
  const [C, E, F] = [config.hidden_size, count(config), width(config)]
  return [
    [`${router}.weight`, [E, C]],
    ...numbers(E).flatMap((e): NamedShape[] => [
      ...inner(e).map((name, _, { length }): NamedShape => [`${name}.weight`, [(2 * F) / length, C]]),
      [`${outer(e)}.weight`, [C, F]],
    ]),
  ]
}

const mixtureLinears = ({ router, inner, outer, count }: Mixture, config: Config): string[] => [
  router,
  ...numbers(count(config)).flatMap((e) => [...inner(e), outer(e)]),
]

/** x [N, C] -> [N, C] */
const mixtureMlp =
  ({ router, inner, outer, count, perToken, width, route }: Mixture) =>
  (p: Scope, x: Tensor, config: Config): Tensor => {
    const experts = numbers(count(config))
    const F = width(config)
    const routing = route(linear(p, router, x), perToken(config), config)
    return mixture(x, routing, experts.length, (rows, sizes) => {
      const read = inner(0).map((_, i) => {
        const names = experts.map((e) => inner(e)[i])
        return groupedLinear(p, names, rows, sizes)
      })
      const [gate, up] = read.length === 2 ? read : [read[0].slice(1, 0, F), read[0].slice(1, F, 2 * F)]
      return groupedLinear(p, experts.map(outer), activations[config.activation](gate).mul(up), sizes)
    })
  }

/** What other parts of attune know of a mixture. */
const expertsOf = ({ count, perToken, router, inner, outer, parameters, stored }: Mixture): Experts => ({
  count,
  perToken,
  router,
  stacks: (config) => {
    const experts = numbers(count(config))
    const named = stored === undefined
    return [
      { parameter: parameters.inner, modules: experts.map(inner), stored: stored && { weight: stored.inner }, named },
      {
        parameter: parameters.outer,
        modules: experts.map((e) => [outer(e)]),
        stored: stored && { weight: stored.outer },
        named,
      },
      { parameter: parameters.router, modules: [[router]], named },
    ]
  },
})

const attentionLinears = decoder.linears().filter((name) => name.startsWith('self_attn.'))

const mixtralExperts: Mixture = {
  count: (config) => setting(config, 'num_local_experts', 8),
  perToken: (config) => setting(config, 'num_experts_per_tok', 2),
  width: (config) => config.intermediate_size,
  router: 'block_sparse_moe.gate',
  inner: (e) => ['w1', 'w3'].map((name) => `block_sparse_moe.experts.${e}.${name}`),
  outer: (e) => `block_sparse_moe.experts.${e}.w2`,
  route: (logits, k) => routeBySoftmax(logits, k, true),
  parameters: { inner: 'mlp.experts.gate_up_proj', outer: 'mlp.experts.down_proj', router: 'mlp.gate.weight' },
}

export const mixtral = llamaLike('MixtralForCausalLM', {
  kind: (config) => ({ rope: '', window: windowOf(config) }),
  block: block({ mlp: mixtureMlp(mixtralExperts) }),
  mlp: (config) => mixtureShapes(mixtralExperts, config),
  linears: (config) => [...attentionLinears, ...mixtureLinears(mixtralExperts, config)],
  experts: expertsOf(mixtralExperts),
  computes: ['num_local_experts'],
})

const qwenExperts: Mixture = {
  count: (config) => setting(config, 'num_experts', setting(config, 'num_local_experts', 128)),
  perToken: (config) => setting(config, 'num_experts_per_tok', 8),
  width: (config) => setting(config, 'moe_intermediate_size', 768),
  router: 'mlp.gate',
  inner: (e) => ['gate_proj', 'up_proj'].map((name) => `mlp.experts.${e}.${name}`),
  outer: (e) => `mlp.experts.${e}.down_proj`,
  route: (logits, k, { raw }) => routeBySoftmax(logits, k, raw.norm_topk_prob === true),
  parameters: { inner: 'mlp.experts.gate_up_proj', outer: 'mlp.experts.down_proj', router: 'mlp.gate.weight' },
}

/** Whether a layer of Qwen3-MoE has experts: every `decoder_sparse_step`th, but for `mlp_only_layers`. */
const isMixture = (config: Config, layer: number): boolean => {
  const plain = (config.raw.mlp_only_layers as number[] | null | undefined) ?? []
  return !plain.includes(layer) && (layer + 1) % setting(config, 'decoder_sparse_step', 1) === 0
}

const plainBlock = block()
const mixtureBlock = block({ mlp: mixtureMlp(qwenExperts) })

export const qwen3Moe = llamaLike('Qwen3MoeForCausalLM', {
  shapes: (config) => ({ bias: { ...attentionBias(config), mlp: false }, headNorms: true }),
  kind: (config) => ({
    rope: '',
    window: config.raw.use_sliding_window === true ? windowOf(config, 4096) : undefined,
  }),
  block: (p, ...rest) => (p.has(`${qwenExperts.router}.weight`) ? mixtureBlock : plainBlock)(p, ...rest),
  mlp: (config, layer) => (isMixture(config, layer) ? mixtureShapes(qwenExperts, config) : undefined),
  linears: (config) => [...decoder.linears(), ...mixtureLinears(qwenExperts, config)],
  experts: expertsOf(qwenExperts),
  computes: ['num_experts', 'num_local_experts'],
})

const graniteExperts: Mixture = {
  count: (config) => setting(config, 'num_local_experts', 8),
  perToken: (config) => setting(config, 'num_experts_per_tok', 2),
  width: (config) => config.intermediate_size,
  router: 'block_sparse_moe.router.layer',
  inner: (e) => [`block_sparse_moe.experts.${e}.input_linear`],
  outer: (e) => `block_sparse_moe.experts.${e}.output_linear`,
  route: routeByLargest,
  parameters: {
    inner: 'block_sparse_moe.experts.gate_up_proj',
    outer: 'block_sparse_moe.experts.down_proj',
    router: 'block_sparse_moe.router.weight',
  },
  stored: { inner: 'block_sparse_moe.input_linear.weight', outer: 'block_sparse_moe.output_linear.weight' },
}

export const graniteMoe: Architecture = llamaLike('GraniteMoeForCausalLM', {
  ...graniteParts,
  shapes: (config) => ({ bias: attentionBias(config) }),
  block: graniteBlock(mixtureMlp(graniteExperts)),
  mlp: (config) => mixtureShapes(graniteExperts, config),
  linears: (config) => [...attentionLinears, ...mixtureLinears(graniteExperts, config)],
  experts: expertsOf(graniteExperts),
  computes: [...graniteParts.computes, 'num_local_experts'],
})
