/**
 * The experts of Gemma 4 (26B-A4B). They stand beside the MLP of every layer, and a checkpoint holds each matrix of all experts in one
 * tensor [experts, out, in], gate and up in one.
 */
import { mixture, type Routing, routeBySoftmax } from '../nn/experts.ts'
import { activations, plainRmsNorm, rmsNorm } from '../nn/layers.ts'
import { groupedLinear, linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Config, Experts } from './architecture.ts'
import { epsilon, type NamedShape, normShapes } from './decoder.ts'

const router = 'router.proj'
const inner = (expert: number) => `experts.${expert}.gate_up_proj`
const outer = (expert: number) => `experts.${expert}.down_proj`

/** The class has no default of these. */
const setting = ({ raw }: Config, name: string) => (raw[name] as number | null | undefined) ?? 0
const count = (config: Config) => setting(config, 'num_experts')
const perToken = (config: Config) => setting(config, 'top_k_experts')
const width = (config: Config) => setting(config, 'moe_intermediate_size')
const numbers = (config: Config) => Array.from({ length: count(config) }, (_, i) => i)

/** Each expert's share is multiplied by a scale of its own. */
const route = (p: Scope, x: Tensor, config: Config): Routing => {
  const scale = p.get('router.scale').mul(config.hidden_size ** -0.5)
  const logits = linear(p, router, plainRmsNorm(x, epsilon(config)).mul(scale))
  const { chosen, weights } = routeBySoftmax(logits, perToken(config), true)
  const scales = p.get('router.per_expert_scale').broadcastTo([x.shape[0], count(config)])
  return { chosen, weights: weights.mul(scales.takeAlong(chosen)) }
}

/** What the experts make of x, which the router reads without its norm. [N, C] -> [N, C] */
export const expertTerm = (p: Scope, x: Tensor, config: Config): Tensor => {
  const [experts, F] = [numbers(config), width(config)]
  const read = rmsNorm(p, 'pre_feedforward_layernorm_2', x, epsilon(config))
  const made = mixture(read, route(p, x, config), experts.length, (rows, sizes) => {
    const both = groupedLinear(p, experts.map(inner), rows, sizes)
    const gated = activations[config.activation](both.slice(1, 0, F)).mul(both.slice(1, F, 2 * F))
    return groupedLinear(p, experts.map(outer), gated, sizes)
  })
  return rmsNorm(p, 'post_feedforward_layernorm_2', made, epsilon(config))
}

export const expertShapes = (config: Config): NamedShape[] => {
  const [C, E, F] = [config.hidden_size, count(config), width(config)]
  return [
    ...normShapes(C, 'post_feedforward_layernorm_1', 'post_feedforward_layernorm_2', 'pre_feedforward_layernorm_2'),
    ['router.scale', [C]],
    ['router.per_expert_scale', [E]],
    [`${router}.weight`, [E, C]],
    ...numbers(config).flatMap((e): NamedShape[] => [
      [`${inner(e)}.weight`, [2 * F, C]],
      [`${outer(e)}.weight`, [C, F]],
    ]),
  ]
}

export const expertLinears = (config: Config): string[] => [
  router,
  ...numbers(config).flatMap((e) => [inner(e), outer(e)]),
]

export const gemma4Experts: Experts = {
  count,
  perToken,
  router,
  stacks: (config) =>
    [inner, outer].map((module, i) => {
      const parameter = `experts.${['gate_up_proj', 'down_proj'][i]}`
      return { parameter, modules: numbers(config).map((e) => [module(e)]), stored: { weight: parameter } }
    }),
}
