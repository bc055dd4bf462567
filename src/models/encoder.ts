/**
 * What the encoders of BERT's family share: names and shapes of weights, the block with its norms behind the residual sums, and
 * how files on the Hub call the same weights.
 */
import { activations, layerNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, Config } from './architecture.ts'
import type { NamedShape } from './decoder.ts'

export const layerNormEps = ({ raw }: Config, silent: number) =>
  (raw.layer_norm_eps as number | null | undefined) ?? silent

export const tokenTypesOf = ({ raw }: Config, silent: number) =>
  (raw.type_vocab_size as number | null | undefined) ?? silent

export const padIdOf = ({ raw }: Config, silent: number) => (raw.pad_token_id as number | null | undefined) ?? silent

const wordEmbeddings = 'embeddings.word_embeddings.weight'

/** x [N, C] and what attention made of it [N, C] -> [N, C]: both residual sums with their norms, and the MLP between. */
export const encoderBlock = (p: Scope, x: Tensor, mixed: Tensor, { activation }: Config, eps: number): Tensor => {
  const attended = layerNorm(p, 'attention.output.LayerNorm', linear(p, 'attention.output.dense', mixed).add(x), eps)
  const inner = activations[activation](linear(p, 'intermediate.dense', attended))
  return layerNorm(p, 'output.LayerNorm', linear(p, 'output.dense', inner).add(attended), eps)
}

export const normPair = (name: string, C: number): NamedShape[] => [
  [`${name}.weight`, [C]],
  [`${name}.bias`, [C]],
]

const dense = (name: string, out: number, inner: number): NamedShape[] => [
  [`${name}.weight`, [out, inner]],
  [`${name}.bias`, [out]],
]

/** @param projections names of the layers that make queries, keys and values  @param tables those of the embeddings by name */
export const encoderShapes = (
  config: Config,
  projections: readonly string[],
  { tables, behind = [] }: { tables: readonly NamedShape[]; behind?: readonly NamedShape[] },
): Map<string, readonly number[]> => {
  const { hidden_size: C, intermediate_size: F, vocab_size: V } = config
  const layer = [
    ...projections.flatMap((name) => dense(`attention.self.${name}`, C, C)),
    ...dense('attention.output.dense', C, C),
    ...normPair('attention.output.LayerNorm', C),
    ...dense('intermediate.dense', F, C),
    ...dense('output.dense', C, F),
    ...normPair('output.LayerNorm', C),
  ]
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) =>
    layer.map(([name, shape]): NamedShape => [`encoder.layer.${i}.${name}`, shape]),
  )
  return new Map<string, readonly number[]>([
    [wordEmbeddings, [V, C]],
    ...tables,
    ...normPair('embeddings.LayerNorm', C),
    ...layers.flat(),
    ...behind,
  ])
}

/** BERT's first files call a norm's weights gamma and beta; a list of positions may stand among the weights. */
const rename = (name: string): string | undefined => {
  if (name.endsWith('position_ids')) return undefined
  return name
    .replace(/^(bert|roberta|deberta|pretrained_model)\./, '')
    .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
    .replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
}

/** Names and places that are the same in every encoder of this family. */
export const encoder = {
  layerPrefix: (layer: number) => `encoder.layer.${layer}.`,
  layerKind: () => ({}),
  rotary: () => 0,
  finalNorm: (_: Scope, x: Tensor) => x,
  embedding: wordEmbeddings,
  head: () => ({ weight: wordEmbeddings, module: 'lm_head' }),
  rename,
} satisfies Partial<Architecture>

export const encoderLinears = (projections: readonly string[]) => [
  ...projections.map((name) => `attention.self.${name}`),
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
]
