/**
 * The padding token that a saved reward model names. transformers reads the score at the last token whose id is not that of
 * the padding token, so where the padding token also ends texts it reads one token too early. attune goes by positions
 * instead. For both to agree, config.json and the tokenizer saved beside it get a padding token that ends no text. GPT-2's
 * tokenizer has none: then config.json names no padding token, and transformers takes one text at a time and refuses batches.
 */
import type { Encoder } from '../../data/examples.ts'
import type { Base } from '../../models/merge.ts'
import { tokenizerText } from '../../text/tokenizer.node.ts'

type Padding = {
  /** The model with this `pad_token_id` in its config, or without one that ends texts. */
  applied<B extends Base>(base: B): B
  /** Contents of the tokenizer's files that change, by name. */
  files: Record<string, string>
}

const configFile = 'tokenizer_config.json'

type Special = string | { content: string } | null | undefined
const contentOf = (token: Special) => (typeof token === 'object' ? token?.content : token)

const readConfig = async (dir: string): Promise<Record<string, unknown> | undefined> => {
  const text = await tokenizerText(dir, configFile)
  return text === undefined ? undefined : JSON.parse(text)
}

/** @param dir the model's folder, or its GGUF file */
export const paddingOf = async (dir: string, encoder: Encoder): Promise<Padding> => {
  const config = await readConfig(dir)
  const idOf = (token: string): number | undefined => {
    const { ids } = encoder.encode(token, { specialTokens: false })
    return ids.length === 1 ? ids[0] : undefined
  }
  const named = ['pad_token', 'unk_token', 'bos_token'].flatMap((key) => {
    const content = contentOf(config?.[key] as Special)
    const id = content === undefined ? undefined : idOf(content)
    return id === undefined || id === encoder.eosId ? [] : [{ key, content, id }]
  })
  const found = config ? named.at(0) : undefined
  const applied = <B extends Base>(base: B): B => {
    const { raw, vocab_size } = base.config
    const id = found && found.id < vocab_size ? found.id : null
    const endsTexts = encoder.eosId !== undefined && raw.pad_token_id === encoder.eosId
    if (id === null && !endsTexts) return base
    return { ...base, config: { ...base.config, raw: { ...raw, pad_token_id: id } } }
  }
  if (!found || found.key === 'pad_token') return { applied, files: {} }
  return { applied, files: { [configFile]: `${JSON.stringify({ ...config, pad_token: found.content }, null, 2)}\n` } }
}
