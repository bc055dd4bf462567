/**
 * A model as the files of a folder that transformers can load. transformers 5 writes `rope_parameters` and `dtype`;
 * version 4 would ignore them silently and compute with the wrong base. So both spellings are written.
 */
import type { NewTensor } from '../checkpoint/safetensorsWrite.ts'
import type { StoredTensor } from '../checkpoint/stored.ts'
import { type Architecture, type Config, scoreWeight } from './architecture.ts'

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
  const tensors = shapes.map(([name, shape]) => ({
    name,
    dtype,
    shape,
    data: () => read(name),
  }))
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
]

const wholeFloat = new RegExp(`^( *"(?:${floatKeys.join('|')})": -?\\d+)(?=,?$)`, 'gm')

const json = (value: object) => `${JSON.stringify(value, null, 2).replace(wholeFloat, '$1.0')}\n`

const savedConfig = (architecture: Architecture, config: Config, dtype: SaveDtype): object => ({
  ...config.raw,
  architectures: [architecture.name],
  tie_word_embeddings: config.tie_word_embeddings,
  dtype: saveDtypes[dtype],
  torch_dtype: saveDtypes[dtype],
  ...ropeOfBoth(config),
})

/** The older spelling of rotary settings, where the file has only the newer. */
const ropeOfBoth = ({ raw, rope = {}, partial_rotary_factor }: Config): object => {
  if (!raw.rope_parameters) return {}
  const { rope_theta, ...scaling } = rope[''] ?? rope.full_attention
  const local = rope.sliding_attention
  return {
    rope_theta,
    rope_scaling: scaling.rope_type === 'default' ? null : scaling,
    ...(local && { rope_local_base_freq: local.rope_theta }),
    ...(partial_rotary_factor !== 1 && { partial_rotary_factor }),
  }
}
