/**
 * A model as the files of a folder that transformers can load. transformers 5 writes `rope_parameters` and `dtype`;
 * version 4 would ignore them silently and compute with the wrong base. So both spellings are written.
 */
import type { NewTensor } from '../checkpoint/safetensorsWrite.ts'
import type { StoredTensor } from '../checkpoint/stored.ts'
import { type Architecture, type Config, scoreWeight } from './architecture.ts'
import { stacked } from './stacks.ts'

/** What `--save-dtype` takes. */
export const saveDtypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const

export type SaveDtype = keyof typeof saveDtypes

export type ModelFiles = {
  /** Texts by file name: config.json, and generation_config.json where there is one. */
  texts: Record<string, string>
  /** For model.safetensors or its shards. A tied head is not among them. */
  tensors: NewTensor[]
}

/** @param read the value of a parameter; as stored, when absent */
export const modelFiles = (
  model: { architecture: Architecture; config: Config; params: ReadonlyMap<string, StoredTensor> },
  dtype: SaveDtype,
  generationConfig?: object,
  read: (name: string) => Promise<Float32Array> = (name) => model.params.get(name)!.floats(),
): ModelFiles => {
  const { architecture, config } = model
  const texts: Record<string, string> = { 'config.json': json(savedConfig(architecture, config, dtype)) }
  if (generationConfig) texts['generation_config.json'] = json(generationConfig)
  // A value head is the trainer's own
  const isSaved = (name: string) => name !== scoreWeight || architecture.scores === 'alone'
  const shapes = [...architecture.shapes(config)].filter(([name]) => isSaved(name))
  const tensors = stacked(architecture, config, shapes, read).map((tensor) => ({ ...tensor, dtype }))
  return { texts, tensors }
}

/** Keys whose values Python must read as floats: transformers 5 refuses 30 where it wants 30.0, and 4 some factors. */
const floatKeys = [
  'rms_norm_eps',
  'layer_norm_epsilon',
  'initializer_range',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'rope_theta',
  'rope_local_base_freq',
  'factor',
  'low_freq_factor',
  'high_freq_factor',
  'attention_factor',
  'beta_fast',
  'beta_slow',
]

const wholeFloat = new RegExp(`^( *"(?:${floatKeys.join('|')})": -?\\d+)(?=,?$)`, 'gm')

const json = (value: object) => `${JSON.stringify(value, null, 2).replace(wholeFloat, '$1.0')}\n`

const savedConfig = (architecture: Architecture, config: Config, dtype: SaveDtype): object => ({
  ...config.raw,
  // what it says of the weights that were read is not true of these
  quantization_config: undefined,
  architectures: [architecture.name],
  tie_word_embeddings: config.tie_word_embeddings,
  dtype: saveDtypes[dtype],
  torch_dtype: saveDtypes[dtype],
  ...ropeOfBoth(config),
})

/** The older spelling of rotary settings, where the file has only the newer. Version 4 did not know Gemma 4. */
const ropeOfBoth = ({ raw, model_type, rope = {}, partial_rotary_factor }: Config): object => {
  if (!raw.rope_parameters || model_type === 'gemma4_text') return {}
  const { rope_theta, ...known } = rope[''] ?? rope.full_attention
  const { rope_type: type, short_factor, long_factor } = known
  // Phi-3's class takes exactly these
  const scaling = model_type === 'phi3' ? { rope_type: type, short_factor, long_factor } : known
  const local = rope.sliding_attention
  return {
    rope_theta,
    rope_scaling: scaling.rope_type === 'default' ? null : scaling,
    ...(local && { rope_local_base_freq: local.rope_theta }),
    ...(partial_rotary_factor !== 1 && { partial_rotary_factor }),
  }
}
