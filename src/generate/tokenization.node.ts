/** How a model reads text and ends completions: tokenizer, length limits and end-of-sequence ids. */
import type { Encoder, Limits } from '../data/examples.ts'
import type { Config } from '../models/architecture.ts'
import { idsOnly, type ModelFolders } from '../models/resolve.node.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { endIds } from './generate.ts'

export type Tokenization = {
  encoder: Encoder
  /** Undefined for a model without one, whose rows are token ids. */
  tokenizer?: Tokenizer
  limits: Limits
  /** Ids that end a completion. */
  eosIds: ReadonlySet<number>
  /** Number of token ids. */
  vocabulary: number
}

/** What is read of a model's configuration files. */
type ModelConfigs = { config: Config; generationConfig?: Readonly<Record<string, unknown>> }

/** `--max-length` and `--max-prompt-length`, in tokens. */
export type LengthSettings = { maxLength: number; maxPromptLength?: number }

/** Rows are never longer than the model's context, whatever `maxLength` is. */
export const openTokenization = async (
  { dir, adapter }: ModelFolders,
  { config, generationConfig }: ModelConfigs,
  { maxLength = Number.POSITIVE_INFINITY, maxPromptLength }: Partial<LengthSettings> = {},
): Promise<Tokenization> => {
  const tokenizer = await loadTokenizerFolder(dir, adapter)
  return {
    encoder: tokenizer ?? idsOnly(dir),
    tokenizer,
    limits: { maxLength: Math.min(maxLength, config.max_position_embeddings), maxPromptLength },
    eosIds: endIds(config.raw, generationConfig, tokenizer?.eosId),
    vocabulary: config.vocab_size,
  }
}
