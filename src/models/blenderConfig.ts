/**
 * The config.json of LLM-Blender's own ranker folders (llm-blender/PairRM). It says how the ranker was trained and which encoder
 * it came from, but nothing of the encoder's shape, which is read from the weights. Only DeBERTa v3 is known in this form.
 */
import type { StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { encoderPrefix } from './pairRanker.ts'

type Raw = Readonly<Record<string, unknown>>

export const isBlenderConfig = (config: unknown): config is Raw =>
  typeof config === 'object' && config !== null && 'ranker_type' in config

/** Values of a head in every DeBERTa v3. */
const headDim = 64

/**
 * The same as a config.json of the -hf form.
 * Faults: 'architecture' for another kind of ranker, 'missing-weight' where the weights are not those of a DeBERTa.
 */
export const blenderConfig = (raw: Raw, tensors: ReadonlyMap<string, StoredTensor>, file: string): Raw => {
  const { ranker_type: kind, model_type: type } = raw
  if (kind !== 'pairranker' || !`${type}`.startsWith('deberta'))
    throw badInput(
      'architecture',
      `is a ranker of the type ${quoted(kind)} on ${quoted(type)}; of LLM-Blender's own folders attune reads pair rankers on DeBERTa, others in the -hf form`,
      { file },
    )
  const shapeOf = (name: string) => {
    const tensor = tensors.get(encoderPrefix + name)
    if (tensor) return tensor.shape
    throw badInput('missing-weight', `the weights hold no ${encoderPrefix}${name}`, { file })
  }
  const [vocab_size, hidden_size] = shapeOf('embeddings.word_embeddings.weight')
  const [positions] = shapeOf('encoder.rel_embeddings.weight')
  const [intermediate_size] = shapeOf('encoder.layer.0.intermediate.dense.weight')
  const layers = [...tensors.keys()].flatMap((name) => /\.encoder\.layer\.(\d+)\./.exec(name)?.[1] ?? [])
  return {
    ...raw,
    architectures: ['DebertaV2PairRM'],
    model_type: 'deberta-v2',
    vocab_size,
    hidden_size,
    intermediate_size,
    num_hidden_layers: new Set(layers).size,
    num_attention_heads: Math.max(1, Math.floor(hidden_size / headDim)),
    hidden_act: 'gelu',
    layer_norm_eps: 1e-7,
    max_position_embeddings: positions,
    max_relative_positions: -1,
    position_buckets: positions / 2,
    relative_attention: true,
    share_att_key: true,
    norm_rel_ebd: 'layer_norm',
    pos_att_type: ['p2c', 'c2p'],
    position_biased_input: false,
    type_vocab_size: 0,
    pad_token_id: 0,
    sep_token_id: 2,
    // The markers are the last rows of the embedding
    source_prefix_id: vocab_size - 4,
    cand1_prefix_id: vocab_size - 3,
    cand2_prefix_id: vocab_size - 2,
    cand_prefix_id: vocab_size - 1,
  }
}
