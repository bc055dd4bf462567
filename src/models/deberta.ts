/**
 * DeBERTa v2 and v3: an encoder whose attention adds content to position and position to content (He et al. 2021, arXiv
 * 2006.03654, eq. 4; v3: 2111.09543). The table of relative positions is projected by the layers' own matrices for queries and keys.
 * It travels behind the tokens in the hidden states, unchanged, so that every block has it.
 */
import { embedding, layerNorm } from '../nn/layers.ts'
import { linear } from '../nn/linear.ts'
import { type Buckets, spanOf } from '../nn/relative.ts'
import type { Scope } from '../nn/scope.ts'
import { subDims } from '../tensor/dim.ts'
import { concat, type Tensor } from '../tensor/tensor.ts'
import type { Architecture, BlockContext, Config, LayerKind } from './architecture.ts'
import { attentionOptions, type NamedShape } from './decoder.ts'
import {
  encoder,
  encoderBlock,
  encoderLinears,
  encoderShapes,
  layerNormEps,
  normPair,
  tokenTypesOf,
} from './encoder.ts'

const projections = ['query_proj', 'key_proj', 'value_proj']

const epsilon = (config: Config) => layerNormEps(config, 1e-7)
const isPositioned = ({ raw }: Config) => raw.position_biased_input !== false
const isTableNormed = ({ raw }: Config) => raw.norm_rel_ebd === 'layer_norm'
/** Whether the table is projected by the matrices that project the tokens. */
const isShared = ({ raw }: Config) => raw.share_att_key === true
const tokenTypes = (config: Config) => tokenTypesOf(config, 0)

/** c2p: queries meet the table's keys; p2c: keys meet the table's queries. A list, or joined by |. */
const positionTerms = ({ raw }: Config): { c2p: boolean; p2c: boolean } => {
  const given = raw.pos_att_type ?? []
  const names = (Array.isArray(given) ? given : `${given}`.toLowerCase().split('|')).map((name) => `${name}`.trim())
  return { c2p: names.includes('c2p'), p2c: names.includes('p2c') }
}

const distances = (config: Config): Buckets | undefined => {
  const { raw, max_position_embeddings: positions } = config
  if (raw.relative_attention !== true) return undefined
  const [buckets, longest] = [raw.position_buckets, raw.max_relative_positions] as (number | null | undefined)[]
  return {
    ...(buckets && buckets > 0 && { buckets }),
    longest: longest && longest > 0 ? longest : positions,
  }
}

const sharedRows = (config: Config): number => {
  const found = distances(config)
  return found ? 2 * spanOf(found) : 0
}

const embed = (p: Scope, ids: Tensor, positions: Tensor, config: Config, types?: Tensor): Tensor => {
  const e = p.at('embeddings.')
  const parts = [
    embedding(e, 'word_embeddings', ids),
    ...(isPositioned(config) ? [embedding(e, 'position_embeddings', positions)] : []),
    ...(tokenTypes(config) ? [embedding(e, 'token_type_embeddings', types!)] : []),
  ]
  const x = layerNorm(
    e,
    'LayerNorm',
    parts.reduce((a, b) => a.add(b)),
    epsilon(config),
  )
  if (!sharedRows(config)) return x
  const table = p.get('encoder.rel_embeddings.weight')
  return concat([x, isTableNormed(config) ? layerNorm(p, 'encoder.LayerNorm', table, epsilon(config)) : table], 0)
}

const block = (p: Scope, rows: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor => {
  const all = rows.shape[0]
  const tokens = subDims(all, sharedRows(config))
  const x = sharedRows(config) ? rows.slice(0, 0, tokens) : rows
  const [q, k, v] = projections.map((name) => linear(p, `attention.self.${name}`, x))
  const options = attentionOptions(config, kind)
  if (!sharedRows(config)) return encoderBlock(p, x, context.attend(q, k, v, options), config, epsilon(config))
  const table = rows.slice(0, tokens, all)
  const { c2p, p2c } = positionTerms(config)
  const projected = (name: string) => linear(p, `attention.self.${isShared(config) ? name : `pos_${name}`}`, table)
  const mixed = context.attend(q, k, v, {
    ...options,
    scale: (config.head_dim * (1 + Number(c2p) + Number(p2c))) ** -0.5,
    relative: { ...(c2p && { keys: projected('key_proj') }), ...(p2c && { queries: projected('query_proj') }) },
  })
  return concat([encoderBlock(p, x, mixed, config, epsilon(config)), table], 0)
}

const shapes = (config: Config) => {
  const { hidden_size: C, max_position_embeddings: P } = config
  const tables: NamedShape[] = [
    ...(isPositioned(config) ? [['embeddings.position_embeddings.weight', [P, C]] as const] : []),
    ...(tokenTypes(config) ? [['embeddings.token_type_embeddings.weight', [tokenTypes(config), C]] as const] : []),
  ]
  const behind: NamedShape[] = sharedRows(config)
    ? [
        ['encoder.rel_embeddings.weight', [sharedRows(config), C]],
        ...(isTableNormed(config) ? normPair('encoder.LayerNorm', C) : []),
      ]
    : []
  const { c2p, p2c } = positionTerms(config)
  const own = sharedRows(config) > 0 && !isShared(config)
  const names = [...projections, ...(own && c2p ? ['pos_key_proj'] : []), ...(own && p2c ? ['pos_query_proj'] : [])]
  return encoderShapes(config, names, { tables, behind })
}

export const debertaV2: Architecture = {
  ...encoder,
  name: 'DebertaV2Model',
  shapes,
  embed,
  block,
  linears: () => encoderLinears(projections),
  encoder: {
    distances,
    sharedRows,
    positions: (ids) => Array.from({ length: ids.length }, (_, t) => t),
    longestText: (config) => (isPositioned(config) ? config.max_position_embeddings : Number.POSITIVE_INFINITY),
    tokenTypes,
  },
}
