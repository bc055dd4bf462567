/**
 * The config.json of Gemma 4, whose text model stands in `text_config` of a checkpoint that also sees and hears. What full layers
 * have of their own is `global_head_dim` and `num_global_key_value_heads` in the hub's files; transformers 5.24 writes it layer by
 * layer, in `per_layer_config`.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'

type Raw = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The text model's own config, in the form of the hub's files; any other as it is. Fault: 'bad-config'. */
export const gemma4Text = (raw: unknown, file: string): unknown => {
  if (!isObject(raw)) return raw
  const isNested = raw.model_type === 'gemma4' && isObject(raw.text_config)
  const { text_config, quantization_config } = raw
  const text = isNested ? { ...(text_config as Raw), architectures: ['Gemma4ForCausalLM'], quantization_config } : raw
  return text.model_type === 'gemma4_text' && isObject(text.per_layer_config) ? byType(text, file) : text
}

/** `per_layer_config` says the same of all full layers and nothing of the others. */
const byType = ({ per_layer_config, ...text }: Raw, file: string): Raw => {
  const layers = per_layer_config as Raw
  const types = Array.isArray(text.layer_types) ? text.layer_types : []
  const full = types.flatMap((type, layer) => (type === 'full_attention' ? [`${layer}`] : []))
  const own = layers[full[0]]
  const isAlike =
    Object.keys(layers).every((layer) => full.includes(layer)) &&
    full.every((layer) => JSON.stringify(layers[layer]) === JSON.stringify(own))
  const { head_dim, num_key_value_heads, ...others } = isObject(own) ? own : {}
  if (!isAlike || Object.keys(others).length || (num_key_value_heads !== undefined && text.attention_k_eq_v !== true))
    throw badInput('bad-config', `per_layer_config ${quoted(layers)} is not supported by attune`, { file })
  return { ...text, global_head_dim: head_dim ?? text.head_dim, num_global_key_value_heads: num_key_value_heads }
}
