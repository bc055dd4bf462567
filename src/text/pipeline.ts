/**
 * A tokenizer.json as a pipeline: added tokens are cut out, then normalizer, pre-tokenizer, model and post-processor
 * run, and the decoder goes back to text. Written here because no JavaScript library gives offsets. Every rule follows
 * Hugging Face tokenizers 0.23, oddities included, since the models were trained with them.
 */
import type { AddedToken, AddedTokens } from './addedTokens.ts'
import { addTokens, readAddedToken } from './addedTokens.ts'
import { readBpe } from './bpe.ts'
import type { Decoder } from './decode.ts'
import { readDecoder } from './decode.ts'
import type { Json, JsonPart } from './jsonPart.ts'
import type { Normalizer } from './normalize.ts'
import { readNormalizer } from './normalize.ts'
import type { Piece } from './pieces.ts'
import { endOf, startOf, wholePiece } from './pieces.ts'
import type { PostProcessor, TokenizedText } from './postProcess.ts'
import { plainProcessor, readPostProcessor } from './postProcess.ts'
import type { PreTokenizer } from './preTokenize.ts'
import { readPreTokenizer } from './preTokenize.ts'
import { wellFormed } from './unicode.ts'
import { readUnigram } from './unigram.ts'
import type { Model } from './vocabulary.ts'
import { readWordLevel, readWordPiece } from './wordPiece.ts'
import { workFor } from './work.ts'

export type Pipeline = {
  readonly model: Model
  readonly added: AddedTokens
  readonly processor: PostProcessor
  readonly decoder: Decoder | undefined
  /**
   * Tokens of a text. `matches` says which added tokens are looked for: all, only those that are not special, or none.
   */
  tokenize(text: string, matches: 'all' | 'ordinary' | 'none'): TokenizedText
}

/** @param more added tokens from other files; a token that both name takes its flags from there */
export const readPipeline = (file: JsonPart, more: readonly AddedToken[]): Pipeline => {
  const model = readModel(file.at('model'))
  const normalize: Normalizer = part(file, 'normalizer', readNormalizer) ?? ((piece) => piece)
  const preTokenize: PreTokenizer = part(file, 'pre_tokenizer', readPreTokenizer) ?? ((pieces) => [...pieces])
  const own = file.optional('added_tokens')?.items().map(readAddedToken) ?? []
  const added = addTokens([own, more], model, normalize, file.file)

  const cut = (text: string, matches: 'all' | 'ordinary' | 'none'): Piece[] => {
    const whole = [wholePiece(text, workFor(text.length, file.file))]
    if (matches === 'none') return whole.map(normalize)
    const splitSpecial = matches === 'ordinary'
    return whole
      .flatMap((piece) => added.extract(piece, false, splitSpecial))
      .flatMap((piece) => (piece.id === undefined ? added.extract(normalize(piece), true, splitSpecial) : [piece]))
  }

  return {
    model,
    added,
    processor: part(file, 'post_processor', readPostProcessor) ?? plainProcessor,
    decoder: part(file, 'decoder', readDecoder),
    tokenize: (text, matches) => {
      const tokenized: TokenizedText = { ids: [], offsets: [], surfaces: [] }
      for (const piece of cut(wellFormed(text), matches)) {
        if (!piece.text) continue
        if (piece.id !== undefined) addToken(tokenized, piece, piece.id, piece.text, 0, piece.text.length)
        else for (const word of preTokenize([piece])) addWord(tokenized, word, model)
      }
      return tokenized
    },
  }
}

const part = <T>(file: JsonPart, key: string, read: (json: JsonPart) => T): T | undefined => {
  const json = file.optional(key)
  if (!json) return undefined
  limitSteps(json)
  return read(json)
}

const mostSteps = 100

/** Refuses a part with too many steps, before any of them is read. Real files have about ten. */
const limitSteps = (part: JsonPart) => {
  const left = [part.value]
  for (let steps = 1; left.length; steps++) {
    if (steps > mostSteps) part.fail(`has more than ${mostSteps} steps`)
    const step = left.pop()
    if (typeof step !== 'object' || step === null) continue
    for (const key of ['normalizers', 'pretokenizers', 'processors', 'decoders']) {
      const list = (step as Json)[key]
      if (!Array.isArray(list)) continue
      if (list.length > mostSteps) part.fail(`has more than ${mostSteps} steps`)
      left.push(...list)
    }
  }
}

const addWord = (tokenized: TokenizedText, word: Piece, model: Model) => {
  if (!word.text) return
  const { ids, from, to } = model.tokenize(word.text)
  for (let i = 0; i < ids.length; i++) addToken(tokenized, word, ids[i], model.tokenOf(ids[i]) ?? '', from[i], to[i])
}

const addToken = (tokenized: TokenizedText, piece: Piece, id: number, surface: string, from: number, to: number) => {
  tokenized.ids.push(id)
  tokenized.surfaces.push(surface)
  tokenized.offsets.push([startOf(piece, from), endOf(piece, to - 1)])
}

const models: Record<string, (json: JsonPart) => Model> = {
  BPE: readBpe,
  Unigram: readUnigram,
  WordPiece: readWordPiece,
  WordLevel: readWordLevel,
}

/** Old files do not name the model's type, so it is recognised by its fields. */
const readModel = (json: JsonPart): Model => {
  const guess = () =>
    json.has('merges')
      ? 'BPE'
      : json.has('unk_id')
        ? 'Unigram'
        : json.has('max_input_chars_per_word')
          ? 'WordPiece'
          : 'WordLevel'
  const type = json.optional('type')?.text() ?? guess()
  return Object.hasOwn(models, type) ? models[type](json) : json.fail(`is of the unknown type ${type}`)
}
