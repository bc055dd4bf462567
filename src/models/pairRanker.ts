/**
 * Pair rankers (PairRM of LLM-Blender, Jiang et al. 2023, arXiv 2306.02561): an encoder reads a source with two candidates, and a
 * head of two layers scores each candidate from the hidden states at the source's marker and at its own.
 *
 * Weights are saved under PairRM's names: `pretrained_model.*`, `head_layer.1.*` and `head_layer.4.*`.
 */
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import { concat, iota, scalar, type Tensor } from '../tensor/tensor.ts'
import type { Architecture, Config } from './architecture.ts'

export const encoderPrefix = 'pretrained_model.'

const inner = 'head_layer.1'
const outer = 'head_layer.4'

/** Outputs of the head; a score is their mean. */
export const tasksOf = ({ raw }: Config): number => (raw.n_tasks as number | null | undefined) ?? 1

/** h [M, C] in threes (source, candidate 1, candidate 2) -> [M, tasks] */
const scores = (p: Scope, h: Tensor): Tensor => {
  const rows = iota(h.shape[0])
  const source = h.gather(rows.sub(rows.mod(scalar(3, 'i64'))))
  return linear(p, outer, linear(p, inner, concat([source, h], 1)).tanh())
}

const shapes = (encoder: Architecture) => (config: Config) => {
  const { hidden_size: C } = config
  return new Map<string, readonly number[]>([
    ...[...encoder.shapes(config)].map(([name, shape]) => [encoderPrefix + name, shape] as const),
    [`${inner}.weight`, [C, 2 * C]],
    [`${inner}.bias`, [C]],
    [`${outer}.weight`, [tasksOf(config), C]],
    [`${outer}.bias`, [tasksOf(config)]],
  ])
}

/** The pair ranker of an encoder. Other names than DeBERTa's are attune's own. */
export const pairRanker = (encoder: Architecture): Architecture => ({
  ...encoder,
  name: encoder.name.replace(/Model$/, 'PairRM'),
  shapes: shapes(encoder),
  layerPrefix: (layer) => encoderPrefix + encoder.layerPrefix(layer),
  embed: (p, ...rest) => encoder.embed(p.at(encoderPrefix), ...rest),
  finalNorm: (p, ...rest) => encoder.finalNorm(p.at(encoderPrefix), ...rest),
  embedding: encoderPrefix + encoder.embedding,
  head: (config) => ({ ...encoder.head(config), weight: encoderPrefix + encoder.embedding }),
  rename: (name) => {
    if (name.startsWith('head_layer.')) return name
    const renamed = encoder.rename!(name)
    return renamed === undefined ? undefined : encoderPrefix + renamed
  },
  pairs: {
    weights: [inner, outer].flatMap((name) => [`${name}.weight`, `${name}.bias`]),
    tasks: tasksOf,
    scores,
  },
})
