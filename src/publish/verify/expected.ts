/** What a model itself says, for an export of it to be compared with: ids, prompts, end tokens, log-probs. */
import { endIds } from '../../generate/generate.ts'
import { score } from '../../generate/score.ts'
import { calibrationText } from '../../passes/calibrationText.ts'
import { openModel } from '../../passes/open.node.ts'
import type { Quantize } from '../../passes/quantize.ts'
import { tokenizerFiles } from '../../text/tokenizer.node.ts'
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.ts'
import type { TokenizerFiles } from '../../text/tokenizerConfig.ts'
import { bytesOf } from '../../util/bytes.ts'
import { runFailure } from '../../util/fault.ts'
import type { MergedModel } from '../mergedModel.ts'
import type { Check, Expected } from './compare.ts'
import type { Conversation } from './reader.ts'

/** Positions at which log-probs are compared. */
const positions = 200

export type ExpectedOptions = {
  /** The file whose weights the program has; without it, those of the model. */
  file?: string
  /** Whether the program multiplies in float, as llama.cpp does by weights that are not rounded. */
  exact: boolean
  /** The context of the export, where it is shorter than the model's. */
  shortened?: number
  threads?: number
}

export const expectedOf = async (
  merged: MergedModel,
  { file, exact, shortened, threads }: ExpectedOptions,
): Promise<Expected> => {
  const files = await tokenizerFiles({ dir: merged.dir, adapter: merged.adapterDir })
  const tokenizer = files && (await loadTokenizer(files))
  const ids = idsToScore(merged, tokenizer, shortened)
  const logps = (model: string, adapter?: string, quantize?: Quantize) =>
    logpsOf(ids, { model, adapter, quantize, threads })
  const own = await logps(merged.dir, merged.adapterDir)
  return {
    text: files && tokenizer && textsOf(files, tokenizer),
    eosIds: eosIdsOf(merged, tokenizer),
    scored: {
      ids,
      logps: file === undefined ? own : await logps(file),
      own,
      limit: exact ? exactLimit : await roundingLimit(merged, own, logps),
    },
  }
}

/** Of products in float; GELU, which llama.cpp takes from a table of float16, makes 2e-3. */
const exactLimit = 0.01

/**
 * llama.cpp rounds the inputs of products with rounded weights to 8 bits, in blocks of 32 or 256 values. On SmolLM2-135M that moves
 * log-probs by 0.05 and 0.07 (in transformers too, when their inputs are rounded so), and rounding its weights to 8 bits in blocks of
 * 32, which attune can do with any model, by 0.037.
 */
const roundingLimit = async (
  { dir, adapterDir }: MergedModel,
  own: readonly number[],
  logps: (model: string, adapter?: string, quantize?: Quantize) => Promise<readonly number[]>,
): Promise<number> => {
  // without its adapter, since DoRA's weights are not rounded
  const plain = adapterDir === undefined ? own : await logps(dir)
  const rounded = await logps(dir, undefined, 'int8')
  const off = plain.reduce((sum, logp, i) => sum + Math.abs(logp - rounded[i]), 0) / Math.max(1, plain.length)
  return Math.max(0.05, 4 * off)
}

/** Throws a Fault 'drift', exit 1, with what is wrong and where. */
export const refuseDrift = (checks: readonly Check[], file: string): void => {
  const failed = checks.filter(({ wrong }) => wrong.length)
  if (!failed.length) return
  const lines = failed.flatMap(({ name, wrong }) => wrong.slice(0, 5).map((line) => `${name}: ${line}`))
  throw runFailure('drift', `is not what the model is: ${lines.join('; ')}; do not ship it`, { file })
}

/** Ids of an even text, or spread over the vocabulary of a model without a tokenizer. */
const idsToScore = ({ config }: MergedModel, tokenizer: Tokenizer | undefined, shortened: number | undefined) => {
  const length = Math.min(positions + 1, shortened ?? config.max_position_embeddings)
  const spread = Array.from({ length }, (_, i) => 3 + ((11 * i + 5) % (config.vocab_size - 3)))
  const ids = tokenizer ? tokenizer.encode(calibrationText).ids.slice(0, length) : spread
  return ids.every((id) => id < config.vocab_size) && ids.length > 1 ? ids : spread
}

type Opened = { model: string; adapter?: string; quantize?: Quantize; threads?: number }

const logpsOf = async (given: readonly number[], options: Opened): Promise<readonly number[]> => {
  const opened = await openModel({ ...options, device: 'cpu' })
  try {
    // a base model may lack tokens that its adapter has
    const ids = given.map((id) => Math.min(id, opened.model.config.vocab_size - 1))
    for await (const logps of score(opened.model, [{ ids, labels: [-100, ...ids.slice(1)] }])) return logps
    return []
  } finally {
    await opened.close()
  }
}

const eosIdsOf = ({ config, generationConfig }: MergedModel, tokenizer: Tokenizer | undefined): number[] => {
  const all = endIds(config.raw, generationConfig as Readonly<Record<string, unknown>> | undefined, tokenizer?.eosId)
  const own = tokenizer?.eosId
  // as the exporter has them: the tokenizer's own goes first where it ends texts
  return own !== undefined && all.has(own) ? [own, ...[...all].filter((id) => id !== own)] : [...all]
}

const conversations: readonly Conversation[] = [
  [{ role: 'user', content: 'What is 2 + 2?' }],
  [
    { role: 'user', content: ' spaces and\nlines ' },
    { role: 'assistant', content: 'Yes.' },
    { role: 'user', content: 'Go on' },
  ],
]

const textsOf = (files: TokenizerFiles, tokenizer: Tokenizer): Expected['text'] => {
  const prompts = async (source?: string): Promise<string[]> => {
    const { chat } = source === undefined ? tokenizer : await loadTokenizer(withChat(files, source))
    return conversations.map((messages) => {
      try {
        return chat!.render(messages, { addGenerationPrompt: true }).text
      } catch (error) {
        // what the template says of a conversation that it refuses
        return String(error)
      }
    })
  }
  return {
    encode: (text) => tokenizer.encode(text, { specialTokens: false }).ids,
    addsBos: tokenizer.addsBos,
    bosId: tokenizer.bosId,
    prompts: tokenizer.chat && prompts,
    conversations,
  }
}

const withChat = (files: TokenizerFiles, source: string): TokenizerFiles => ({
  ...files,
  chatTemplates: { default: bytesOf('the chat template of the file', new TextEncoder().encode(source)) },
})
