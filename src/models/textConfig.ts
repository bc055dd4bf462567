/** Models of pictures and text whose model of text is read: config.json has its settings in `text_config`. */

type Raw = Readonly<Record<string, unknown>>

/** The architecture of the text model. */
const textModels: Readonly<Record<string, string>> = { Qwen3_5ForConditionalGeneration: 'Qwen3_5ForCausalLM' }

const isObject = (value: unknown): value is Raw => typeof value === 'object' && value !== null

/** The config.json of the text model; any other as it is. */
export const textConfig = (raw: unknown): unknown => {
  if (!isObject(raw) || !isObject(raw.text_config) || !Array.isArray(raw.architectures)) return raw
  const [name] = raw.architectures
  if (!Object.hasOwn(textModels, name)) return raw
  const { text_config: text, tie_word_embeddings, quantization_config } = raw
  return {
    ...text,
    architectures: [textModels[name]],
    tie_word_embeddings: tie_word_embeddings ?? text.tie_word_embeddings,
    quantization_config,
  }
}
