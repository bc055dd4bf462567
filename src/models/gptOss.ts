/**
 * gpt-oss: experts with biases and a clamped activation, attention with sinks, every other layer sliding. A checkpoint holds each matrix
 * of all experts in one tensor, in MXFP4 or [experts, in, out]; the rows of an expert's gate and up are interleaved.
 */
import { mixture, routeByLargest } from '../nn/experts.ts'
import { groupedLinear, linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Config } from './architecture.ts'
import { attentionOptions, decoder, layerType, type NamedShape, selfAttention, typedWindow } from './decoder.ts'
import { block, llamaLike } from './llama.ts'

const router = 'mlp.router'
const inner = (expert: number) => `mlp.experts.${expert}.gate_up_proj`
const outer = (expert: number) => `mlp.experts.${expert}.down_proj`

const setting = ({ raw }: Config, name: string, silent: number) => (raw[name] as number | null | undefined) ?? silent
const count = (config: Config) => setting(config, 'num_local_experts', 128)
const perToken = (config: Config) => setting(config, 'num_experts_per_tok', 4)
const numbers = (config: Config) => Array.from({ length: count(config) }, (_, i) => i)

/** (min(max(up, -limit), limit) + 1) gate sigmoid(alpha gate), with gate at most limit; [S, 2F] -> [S, F] */
const clampedGlu = (both: Tensor, config: Config): Tensor => {
  const limit = setting(config, 'swiglu_limit', 7)
  const [S, F] = [both.shape[0], config.intermediate_size]
  const pairs = both.reshape([S, F, 2])
  const gate = pairs.slice(2, 0, 1).reshape([S, F]).min(limit)
  const up = pairs.slice(2, 1, 2).reshape([S, F]).min(limit).max(-limit)
  return up
    .add(1)
    .mul(gate)
    .mul(gate.mul(setting(config, 'swiglu_alpha', 1.702)).sigmoid())
}

const mlp = (p: Scope, x: Tensor, config: Config): Tensor => {
  const experts = numbers(config)
  const routing = routeByLargest(linear(p, router, x), perToken(config))
  return mixture(x, routing, experts.length, (rows, sizes) => {
    const both = groupedLinear(p, experts.map(inner), rows, sizes)
    return groupedLinear(p, experts.map(outer), clampedGlu(both, config), sizes)
  })
}

const expertShapes = (config: Config): NamedShape[] => {
  const { hidden_size: C, intermediate_size: F } = config
  return [
    ['self_attn.sinks', [config.num_attention_heads]],
    [`${router}.weight`, [count(config), C]],
    [`${router}.bias`, [count(config)]],
    ...numbers(config).flatMap((e): NamedShape[] => [
      [`${inner(e)}.weight`, [2 * F, C]],
      [`${inner(e)}.bias`, [2 * F]],
      [`${outer(e)}.weight`, [C, F]],
      [`${outer(e)}.bias`, [C]],
    ]),
  ]
}

const isBiased = ({ raw }: Config) => raw.attention_bias !== false

const storedAs = (weight: string) => ({ weight, bias: `${weight}_bias`, transposed: true })

export const gptOss = llamaLike('GptOssForCausalLM', {
  shapes: (config) => ({ bias: { qkv: isBiased(config), o: isBiased(config) } }),
  kind: (config, layer) => ({ rope: '', window: typedWindow(config, layerType(config, layer, 2), 128) }),
  block: block({
    attention: (p, x, context, config, kind) => {
      const options = { ...attentionOptions(config, kind), sinks: p.get('sinks') }
      return selfAttention(p, x, context, config, kind, { options })
    },
    mlp,
  }),
  mlp: expertShapes,
  linears: (config) => [
    ...decoder.linears().filter((name) => name.startsWith('self_attn.')),
    router,
    ...numbers(config).flatMap((e) => [inner(e), outer(e)]),
  ],
  experts: {
    count,
    perToken,
    router,
    stacks: (config) => [
      {
        parameter: 'mlp.experts.gate_up_proj',
        modules: numbers(config).map((e) => [inner(e)]),
        stored: storedAs('mlp.experts.gate_up_proj'),
      },
      {
        parameter: 'mlp.experts.down_proj',
        modules: numbers(config).map((e) => [outer(e)]),
        stored: storedAs('mlp.experts.down_proj'),
      },
      { parameter: `${router}.weight`, modules: [[router]] },
    ],
  },
  computes: ['num_local_experts', 'num_experts'],
  unpacks: ['mxfp4'],
})
