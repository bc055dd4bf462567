/** How a model reads text and where its completions end: tokenizer, length limits and end-of-sequence ids. */
import type { Encoder, Limits } from '../data/examples.ts'
import type { Config } from '../models/architecture.ts'
import type { ModelFolders } from '../models/resolve.node.ts'
import { loadTokenizerFolder, withoutTokenizer } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { badInput, Fault } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { endIds } from './generate.ts'

export type Tokenization = {
  encoder: Encoder
  /** Undefined for a model without a tokenizer, whose rows are token ids. */
  tokenizer?: Tokenizer
  limits: Limits
  /** Ids that end a completion. */
  eosIds: ReadonlySet<number>
  /** Number of token ids of the model. */
  vocabulary: number
}

/** A model's config.json and generation_config.json. */
type ModelConfigs = { config: Config; generationConfig?: Readonly<Record<string, unknown>> }

/** `--max-length` and `--max-prompt-length`, in tokens. */
export type LengthSettings = { maxLength: number; maxPromptLength?: number }

/** `--chat`: rows are rendered by the chat template, so there must be one. */
type TemplateSettings = { chat?: boolean }

/** The tokenization of a model. Rows are never longer than its context, whatever `maxLength` is. @throws Fault no-template for --chat */
export const openTokenization = async (
  { dir, adapter }: ModelFolders,
  { config, generationConfig }: ModelConfigs,
  {
    maxLength = Number.POSITIVE_INFINITY,
    maxPromptLength,
    chat = false,
  }: Partial<LengthSettings> & TemplateSettings = {},
): Promise<Tokenization> => {
  const tokenizer = await loadTokenizerFolder(dir, adapter)
  if (chat) requireTemplate(tokenizer, dir)
  return {
    encoder: tokenizer ?? idsOnly(dir),
    tokenizer,
    limits: { maxLength: Math.min(maxLength, config.max_position_embeddings), maxPromptLength },
    eosIds: endIds(config.raw, generationConfig, tokenizer?.eosId),
    vocabulary: config.vocab_size,
  }
}

/** Throws the Fault 'no-template' where `--chat` has no template to render rows by. @param dir the model's folder */
export const requireTemplate = (tokenizer: Tokenizer | undefined, dir: string): void => {
  if (tokenizer?.chat) return
  throw badInput(
    'no-template',
    `needs a model with a chat template, and ${dir} has none; leave it out, or take a chat model`,
    {
      flag: '--chat',
    },
  )
}

/** The encoder of a model without a tokenizer, for rows of token ids: any text is a Fault 'no-tokenizer'. @param dir the model's folder */
export const idsOnly = (dir: string): Encoder => ({
  eosId: undefined,
  addsEos: false,
  size: 0,
  encode: () => {
    throw badInput(
      'no-tokenizer',
      `holds text, and ${dir} ${withoutTokenizer(dir)}; give input_ids, or a model with a tokenizer`,
    )
  },
})

/** Calls `read`, which encodes a row with the tokenizer of another model. Its Faults then name that model. */
export const readBy = <T>(model: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Fault(error.code, `${quoted(model)} cannot read it: ${error.message}`, {}, error.exitCode)
  }
}
