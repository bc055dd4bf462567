/**
 * A tokenizer.json as a pipeline: added tokens cut out, normalizer, pre-tokenizer, model, post-processor, and back by
 * the decoder. Written out here because no library for JavaScript gives offsets; every rule follows Hugging Face
 * tokenizers 0.23, its oddities included, since the models were trained with them.
 */
import type { AddedToken, AddedTokens } from './addedTokens.ts'
import { addTokens, readAddedToken } from './addedTokens.ts'
import { readBpe } from './bpe.ts'
import type { Decoder } from './decode.ts'
import { readDecoder } from './decode.ts'
import type { Normalizer } from './normalize.ts'
import { readNormalizer } from './normalize.ts'
import type { Piece } from './pieces.ts'
import { endOf, startOf, wholePiece } from './pieces.ts'
import type { PostProcessor, Row } from './postProcess.ts'
import { plainProcessor, readPostProcessor } from './postProcess.ts'
import type { PreTokenizer } from './preTokenize.ts'
import { readPreTokenizer } from './preTokenize.ts'
import type { Json, Shape } from './shape.ts'
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
  /** Tokens of a text; `matches` says which added tokens are looked for: all, none, or all but special ones. */
  row(text: string, matches: 'all' | 'ordinary' | 'none'): Row
}

/** `more` are added tokens from other files; a token of the same content takes its flags from there. */
export const readPipeline = (file: Shape, more: readonly AddedToken[]): Pipeline => {
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
    row: (text, matches) => {
      const row: Row = { ids: [], offsets: [], surfaces: [] }
      for (const piece of cut(wellFormed(text), matches)) {
        if (!piece.text) continue
        if (piece.id !== undefined) addRow(row, piece, piece.id, piece.text, 0, piece.text.length)
        else for (const word of preTokenize([piece])) addWord(row, word, model)
      }
      return row
    },
  }
}

const part = <T>(file: Shape, key: string, read: (shape: Shape) => T): T | undefined => {
  const shape = file.optional(key)
  if (!shape) return undefined
  limitSteps(shape)
  return read(shape)
}

const mostSteps = 100

/** Sequences of steps are counted through, before any is read. Real files have some ten. */
const limitSteps = (part: Shape) => {
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

const addWord = (row: Row, word: Piece, model: Model) => {
  if (!word.text) return
  const { ids, from, to } = model.tokenize(word.text)
  for (let i = 0; i < ids.length; i++) addRow(row, word, ids[i], model.tokenOf(ids[i]) ?? '', from[i], to[i])
}

const addRow = (row: Row, piece: Piece, id: number, surface: string, from: number, to: number) => {
  row.ids.push(id)
  row.surfaces.push(surface)
  row.offsets.push([startOf(piece, from), endOf(piece, to - 1)])
}

const models: Record<string, (shape: Shape) => Model> = {
  BPE: readBpe,
  Unigram: readUnigram,
  WordPiece: readWordPiece,
  WordLevel: readWordLevel,
}

/** Old files do not name the model's type. */
const readModel = (shape: Shape): Model => {
  const guess = () =>
    shape.has('merges')
      ? 'BPE'
      : shape.has('unk_id')
        ? 'Unigram'
        : shape.has('max_input_chars_per_word')
          ? 'WordPiece'
          : 'WordLevel'
  const type = shape.optional('type')?.text() ?? guess()
  return Object.hasOwn(models, type) ? models[type](shape) : shape.fail(`is of the unknown type ${type}`)
}
