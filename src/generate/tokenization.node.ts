/** How a model reads texts and ends its completions: tokenizer, limits and end ids, assembled in one place. */
import type { Encoder, Limits } from '../data/examples.ts'
import type { Config } from '../models/architecture.ts'
import { idsOnly, type ModelFolders } from '../models/resolve.node.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { endIds } from './generate.ts'

export type Tokenization = {
  encoder: Encoder
  /** Undefined where rows are ids. */
  tokenizer?: Tokenizer
  limits: Limits
  /** Ids that end a completion. */
  eosIds: ReadonlySet<number>
  /** How many token ids the model has. */
  vocabulary: number
}

/** What the parts of a model say of its texts. */
type ReadModel = { config: Config; generationConfig?: Readonly<Record<string, unknown>> }

/** `--max-length` and `--max-prompt-length`. */
export type LengthSettings = { maxLength: number; maxPromptLength?: number }

/** @param settings `--max-length` and `--max-prompt-length`; the model's own positions are the limit where they are less */
export const openTokenization = async (
  { dir, adapter }: ModelFolders,
  { config, generationConfig }: ReadModel,
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
