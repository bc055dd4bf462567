/**
 * The pair ranker that `attune reward --kind pair` trains: one that there is, or a new one of an encoder, which gets a head and
 * markers. Markers are tokens of their own: rows of the embedding, and of the tokenizer where there is one.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lazyTensor, type StoredTensor } from '../../checkpoint/stored.ts'
import type { PairTokens } from '../../data/pairText.ts'
import { type Config, pairMarkers } from '../../models/architecture.ts'
import type { Base } from '../../models/merge.ts'
import { encoderPrefix, pairRanker } from '../../models/pairRanker.ts'
import { markerKeys, pairLengths, pairTokens } from '../../models/pairTokens.ts'
import type { ModelFolders } from '../../models/resolve.node.ts'
import { requireEncoder } from '../../models/scored.ts'
import { loadTokenizerFolder, tokenizerFiles } from '../../text/tokenizer.node.ts'
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.ts'
import { bytesOf } from '../../util/bytes.ts'
import { badInput } from '../../util/fault.ts'
import { fillNormal } from '../../util/rng.ts'
import { numel } from '../../util/shape.ts'

/** Keeps these random numbers apart from others of the same seed. */
const SUBSTREAM = 0x9a12

/** PairRM has a marker for a candidate that is neither first nor second; it keeps its row, and nothing reads it. */
const allMarkers = [...pairMarkers, '<|candidate|>']

type Settings = { seed: number; maxLength: number; maxPromptLength?: number }

export type PairModel = {
  /** Gives a model head and markers, for `openPolicy`. Throws a Fault 'no-encoder' for a model that is none. */
  asRanker(base: Base): Base
  /** Known once `asRanker` has seen the model. */
  tokens(): PairTokens
  /** With the markers; undefined where rows are ids. */
  tokenizer?: Tokenizer
  /** Contents of the tokenizer's files that change, by name. */
  files: Record<string, string>
}

export const openPairModel = async ({ dir, adapter }: ModelFolders, settings: Settings): Promise<PairModel> => {
  if (adapter !== undefined)
    throw badInput('bad-flag', 'a pair ranker is trained whole; give a model without an adapter', { flag: '--adapter' })
  const own = await loadTokenizerFolder(dir)
  const marked = own && !allMarkers.every((marker) => own.tokenToId(marker) !== undefined)
  const files = marked ? await filesWithMarkers(dir, own.size) : {}
  const tokenizer = marked ? await loadTokenizer(await replaced(dir, files)) : own
  let tokens: PairTokens | undefined
  return {
    asRanker: (base) => {
      requireEncoder(base, dir)
      const ranker = base.architecture.pairs ? base : newRanker(base, tokenizer, settings)
      tokens = pairTokens(ranker.config, longestOf(ranker, settings), `${dir}/config.json`)
      return ranker
    },
    tokens: () => tokens!,
    tokenizer,
    files,
  }
}

const longestOf = ({ architecture, config }: Base, { maxLength }: Pick<Settings, 'maxLength'>) =>
  Math.min(maxLength, architecture.encoder!.longestText(config))

/** The encoder under the names of a pair ranker, with a new head, and rows for the markers behind its vocabulary. */
const newRanker = (base: Base, tokenizer: Tokenizer | undefined, settings: Settings): Base => {
  const { config } = base
  const architecture = pairRanker(base.architecture)
  const ids = allMarkers.map((marker, k) => tokenizer?.tokenToId(marker) ?? config.vocab_size + k)
  const grown = withVocabulary(config, Math.max(config.vocab_size, ...ids.map((id) => id + 1)))
  const length = Math.min(longestOf(base, settings), pairLengths.source + 2 * pairLengths.candidate)
  const source =
    settings.maxPromptLength ??
    Math.floor((length * pairLengths.source) / (pairLengths.source + 2 * pairLengths.candidate))
  const raw = {
    ...grown.raw,
    ...Object.fromEntries(markerKeys.map((key, k) => [key, ids[k]])),
    n_tasks: 1,
    drop_out: 0,
    source_maxlength: source,
    candidate_maxlength: Math.max(1, Math.floor((length - source) / 2)),
    ...(tokenizer && specialIds(tokenizer)),
  }
  const encoder = [...base.params].map(([name, tensor]) => [encoderPrefix + name, tensor] as const)
  const params = new Map<string, StoredTensor>(encoder)
  const rows = params.get(architecture.embedding)!
  params.set(architecture.embedding, enlarged(rows, config, grown.vocab_size, settings.seed))
  const shapes = architecture.shapes({ ...grown, raw })
  for (const [k, name] of architecture.pairs!.weights.entries())
    params.set(name, newWeight(name, shapes.get(name)!, settings.seed, k))
  return { architecture, config: { ...grown, raw }, params }
}

const withVocabulary = (config: Config, vocab_size: number): Config => ({
  ...config,
  vocab_size,
  raw: { ...config.raw, vocab_size },
})

/** For rows of ids, which no tokenizer frames. */
const specialIds = (tokenizer: Tokenizer) => {
  const idOf = (name: string) => {
    const token = tokenizer.specialTokens[name]
    return token === undefined ? undefined : tokenizer.tokenToId(token)
  }
  const [cls, sep] = [idOf('cls_token'), idOf('sep_token')]
  return { ...(cls !== undefined && { cls_token_id: cls }), ...(sep !== undefined && { sep_token_id: sep }) }
}

/** The embedding with new rows at its end, as transformers draws them. */
const enlarged = (
  tensor: StoredTensor,
  { initializer_range }: Config,
  vocabulary: number,
  seed: number,
): StoredTensor => {
  const [rows, C] = tensor.shape
  if (rows === vocabulary) return tensor
  return lazyTensor(tensor.name, [vocabulary, C], async () => {
    const values = new Float32Array(vocabulary * C)
    values.set(await tensor.floats())
    fillNormal(values.subarray(rows * C), { seed, stream: 0, substream: SUBSTREAM }, initializer_range)
    return values
  })
}

/** As wide as torch draws the weights of a linear layer; biases are 0. */
const newWeight = (name: string, shape: readonly number[], seed: number, k: number): StoredTensor =>
  lazyTensor(name, shape, () => {
    const values = new Float32Array(numel(shape))
    if (shape.length === 1) return values
    return fillNormal(values, { seed, stream: k + 1, substream: SUBSTREAM }, 1 / Math.sqrt(3 * shape[1]))
  })

// The tokenizer

type TokenizerJson = { added_tokens?: { id: number; content: string }[] }
type TokenizerConfig = { added_tokens_decoder?: Record<string, object> }

/** @param first the id of the first marker */
const filesWithMarkers = async (dir: string, first: number): Promise<Record<string, string>> => {
  const kind = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false }
  const markers = allMarkers.map((content, k) => ({ id: first + k, content, ...kind }))
  const tokenizer: TokenizerJson = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8'))
  const isOther = ({ content }: { content: string }) => !allMarkers.includes(content)
  const added = [...(tokenizer.added_tokens ?? []).filter(isOther), ...markers]
  const files = { 'tokenizer.json': json({ ...tokenizer, added_tokens: added }) }
  const text = await readFile(join(dir, 'tokenizer_config.json'), 'utf8').catch(() => undefined)
  const config: TokenizerConfig = text === undefined ? {} : JSON.parse(text)
  if (!config.added_tokens_decoder) return files
  const decoder = {
    ...config.added_tokens_decoder,
    ...Object.fromEntries(markers.map(({ id, ...rest }) => [id, rest])),
  }
  return { ...files, 'tokenizer_config.json': json({ ...config, added_tokens_decoder: decoder }) }
}

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`

/** The tokenizer's files with some of them in memory. */
const replaced = async (dir: string, files: Record<string, string>) => {
  const found = (await tokenizerFiles({ dir }))!
  const inMemory = (name: string) =>
    files[name] === undefined ? undefined : bytesOf(join(dir, name), new TextEncoder().encode(files[name]))
  return {
    ...found,
    tokenizerJson: inMemory('tokenizer.json') ?? found.tokenizerJson,
    tokenizerConfig: inMemory('tokenizer_config.json') ?? found.tokenizerConfig,
  }
}
