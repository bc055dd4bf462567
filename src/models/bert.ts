/**
 * BERT and RoBERTa: encoders with learned positions and kinds of tokens. RoBERTa's positions begin behind the id of padding, and
 * padding itself has the position of that id. Poolers and heads are not used.
 */
import { embedding, layerNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import { attentionOptions } from './decoder.ts'
import { encoder, encoderBlock, encoderLinears, encoderShapes, layerNormEps, padIdOf, tokenTypesOf } from './encoder.ts'

const projections = ['query', 'key', 'value']
const silentTypes = 2

const embed = (p: Scope, ids: Tensor, positions: Tensor, config: Config, types?: Tensor): Tensor => {
  const e = p.at('embeddings.')
  const sum = embedding(e, 'word_embeddings', ids)
    .add(embedding(e, 'token_type_embeddings', types!))
    .add(embedding(e, 'position_embeddings', positions))
  return layerNorm(e, 'LayerNorm', sum, layerNormEps(config, 1e-12))
}

const block = (p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const [q, k, v] = projections.map((name) => linear(p, `attention.self.${name}`, x))
  return encoderBlock(
    p,
    x,
    context.attend(q, k, v, attentionOptions(config, kind)),
    config,
    layerNormEps(config, 1e-12),
  )
}

const shapes = (config: Config) => {
  const { hidden_size: C, max_position_embeddings: P } = config
  return encoderShapes(config, projections, {
    tables: [
      ['embeddings.position_embeddings.weight', [P, C]],
      ['embeddings.token_type_embeddings.weight', [tokenTypesOf(config, silentTypes), C]],
    ],
  })
}

export const bert: Architecture = {
  ...encoder,
  name: 'BertModel',
  shapes,
  embed,
  block,
  linears: () => encoderLinears(projections),
  encoder: {
    positions: (ids) => Array.from({ length: ids.length }, (_, t) => t),
    longestText: (config) => config.max_position_embeddings,
    tokenTypes: (config) => tokenTypesOf(config, silentTypes),
  },
}

const robertaPositions = (ids: ArrayLike<number>, config: Config): number[] => {
  const pad = padIdOf(config, 1)
  let seen = 0
  return Array.from(ids, (id) => (id === pad ? pad : pad + ++seen))
}

export const roberta: Architecture = {
  ...bert,
  name: 'RobertaModel',
  encoder: {
    ...bert.encoder!,
    positions: robertaPositions,
    longestText: (config) => config.max_position_embeddings - padIdOf(config, 1) - 1,
  },
}
