/**
 * Proves a GGUF file: its weights and settings beside the model that it was made from, and what llama.cpp makes of it beside
 * attune: ids, chat template, beginning and end tokens, and log-probs, which attune computes from the file's own weights.
 */
import { openGguf } from '../../checkpoint/ggufFile.ts'
import { endIds } from '../../generate/generate.ts'
import { score } from '../../generate/score.ts'
import { ggufModel } from '../../models/gguf.ts'
import { calibrationText } from '../../passes/calibrationText.ts'
import { openModel } from '../../passes/open.node.ts'
import { tokenizerFiles } from '../../text/tokenizer.node.ts'
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.ts'
import type { TokenizerFiles } from '../../text/tokenizerConfig.ts'
import { bytesOf } from '../../util/bytes.ts'
import { runFailure } from '../../util/fault.ts'
import { fileSource } from '../../util/files.node.ts'
import type { MergedModel } from '../mergedModel.ts'
import { openMerged } from '../mergedModel.ts'
import { type Check, compareWeights, compareWithReader, type Expected } from './compare.ts'
import type { ExportReader } from './reader.ts'

export type VerifySettings = { model: string; adapter?: string; file: string; threads?: number }

/** Positions at which log-probs are compared. */
const positions = 200

/** @param openReader opens the program that reads the file */
export const verifyGguf = async (
  { model, adapter, file, threads }: VerifySettings,
  openReader: (file: string) => Promise<ExportReader>,
): Promise<Check[]> => {
  const merged = await openMerged(model, adapter)
  const reader = await openReader(file)
  try {
    const { metadata, tensors } = await openGguf(await fileSource(file))
    const due = ggufModel(merged, merged.dir)
    const files = await tokenizerFiles({ dir: merged.dir, adapter: merged.adapterDir })
    const tokenizer = files && (await loadTokenizer(files))
    const ids = idsToScore(merged, tokenizer, due.shortened)
    const logps = (from: string, of?: string) => logpsOf(ids, from, of, threads)
    const expected: Expected = {
      text: files && tokenizer && textsOf(files, tokenizer),
      eosIds: eosIdsOf(merged, tokenizer),
      scored: { ids, logps: await logps(file), own: await logps(merged.dir, merged.adapterDir) },
    }
    return [
      settings(due.metadata, metadata),
      await compareWeights(due.tensors, tensors),
      ...(await compareWithReader(expected, reader)),
    ]
  } finally {
    await reader.close()
  }
}

/** Throws a Fault 'drift', exit 1, with what is wrong and where. */
export const refuseDrift = (checks: readonly Check[], file: string): void => {
  const failed = checks.filter(({ wrong }) => wrong.length)
  if (!failed.length) return
  const lines = failed.flatMap(({ name, wrong }) => wrong.slice(0, 5).map((line) => `${name}: ${line}`))
  throw runFailure('drift', `is not what the model is: ${lines.join('; ')}; do not ship it`, { file })
}

const settings = (due: ReadonlyMap<string, unknown>, found: ReadonlyMap<string, unknown>): Check => {
  const plain = (value: unknown) =>
    typeof value === 'object' && value !== null && 'uint' in value
      ? value.uint
      : typeof value === 'object' && value !== null && 'float' in value
        ? Math.fround(value.float as number)
        : value
  const wrong = [...due]
    .filter(([key, value]) => plain(value) !== found.get(key))
    .map(([key, value]) => `${key} is ${found.get(key) ?? 'missing'}, and the model's is ${plain(value)}`)
  return { name: 'settings', found: `${due.size - wrong.length} of ${due.size} are the same`, wrong }
}

/** Ids of an even text, or spread over the vocabulary of a model without a tokenizer. */
const idsToScore = ({ config }: MergedModel, tokenizer: Tokenizer | undefined, shortened: number | undefined) => {
  const length = Math.min(positions + 1, shortened ?? config.max_position_embeddings)
  const spread = Array.from({ length }, (_, i) => 3 + ((11 * i + 5) % (config.vocab_size - 3)))
  const ids = tokenizer ? tokenizer.encode(calibrationText).ids.slice(0, length) : spread
  return ids.every((id) => id < config.vocab_size) && ids.length > 1 ? ids : spread
}

const logpsOf = async (ids: readonly number[], model: string, adapter: string | undefined, threads?: number) => {
  const opened = await openModel({ model, adapter, device: 'cpu', threads })
  try {
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

const conversations = [
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
  }
}

const withChat = (files: TokenizerFiles, source: string): TokenizerFiles => ({
  ...files,
  chatTemplates: { default: bytesOf('the chat template of the file', new TextEncoder().encode(source)) },
})
