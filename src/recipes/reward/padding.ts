/**
 * The padding that a saved reward model names. transformers reads the score at the last token that is not padding, told
 * by its id, so padding with the id that ends a text would read one token early. attune counts places instead; for both
 * to agree, config.json and the tokenizer saved beside it get a padding token that ends no text. GPT-2's tokenizer has none:
 * then config.json names no padding, and transformers reads one text at a time and refuses batches.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Encoder } from '../../data/examples.ts'
import type { Base } from '../../models/merge.ts'

type Padding = {
  /** The model with `pad_token_id`, or without the one that ends texts. */
  applied(base: Base): Base
  /** Files of the tokenizer that change, by name. */
  texts: Record<string, string>
}

const configFile = 'tokenizer_config.json'

type Special = string | { content: string } | null | undefined
const contentOf = (token: Special) => (typeof token === 'object' ? token?.content : token)

const readJson = async (path: string): Promise<Record<string, unknown> | undefined> =>
  readFile(path, 'utf8').then(
    (text) => JSON.parse(text) as Record<string, unknown>,
    () => undefined,
  )

/** @param dir the model's folder */
export const paddingOf = async (dir: string, encoder: Encoder): Promise<Padding> => {
  const config = await readJson(join(dir, configFile))
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
  const applied = (base: Base): Base => {
    const { raw, vocab_size } = base.config
    const id = found && found.id < vocab_size ? found.id : null
    const endsTexts = encoder.eosId !== undefined && raw.pad_token_id === encoder.eosId
    if (id === null && !endsTexts) return base
    return { ...base, config: { ...base.config, raw: { ...raw, pad_token_id: id } } }
  }
  if (!found || found.key === 'pad_token') return { applied, texts: {} }
  return { applied, texts: { [configFile]: `${JSON.stringify({ ...config, pad_token: found.content }, null, 2)}\n` } }
}
