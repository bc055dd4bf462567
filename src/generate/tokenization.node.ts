/** How a model reads text and ends completions: tokenizer, length limits and end-of-sequence ids. */
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

/** The tokenizer of a model's folder, where nothing else of its tokenization is needed; without one, rows of ids still work. */
export const openEncoder = async ({ dir, adapter }: ModelFolders): Promise<Encoder> =>
  (await loadTokenizerFolder(dir, adapter)) ?? idsOnly(dir)

/** The encoder of a model without a tokenizer: any text is a Fault 'no-tokenizer'. */
const idsOnly = (dir: string): Encoder => ({
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

/** Reads a row by the tokenizer of another model, whose name then stands in the Faults of its tokenizer and template. */
export const readBy = <T>(model: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Fault(error.code, `${quoted(model)} cannot read it: ${error.message}`, {}, error.exitCode)
  }
}
