/** WordPiece (greedy, longest first, from left to right) and WordLevel (whole words only). */
import { width } from './pieces.ts'
import type { Shape } from './shape.ts'
import type { Model, Tokens } from './vocabulary.ts'
import { cached, readVocabulary } from './vocabulary.ts'

export const readWordPiece = (shape: Shape): Model => {
  const prefix = shape.optional('continuing_subword_prefix')?.text() ?? '##'
  const longest = shape.optional('max_input_chars_per_word')?.count() ?? 100
  return readWords(shape, 'WordPiece', (text, ids) => {
    const tokens: Tokens = { ids: [], from: [], to: [] }
    if ([...text].length > longest) return undefined
    for (let from = 0; from < text.length; ) {
      const found = longestFrom(text, from, from > 0 ? prefix : '', ids)
      if (!found) return undefined
      tokens.ids.push(found.id)
      tokens.from.push(from)
      tokens.to.push(found.to)
      from = found.to
    }
    return tokens
  })
}

export const readWordLevel = (shape: Shape): Model =>
  readWords(shape, 'WordLevel', (text, ids) => {
    const id = ids.get(text)
    return id === undefined ? undefined : { ids: [id], from: [0], to: [text.length] }
  })

type Ids = ReadonlyMap<string, number>

/** A model whose words are the unknown token as a whole where `cut` finds no way. */
const readWords = (shape: Shape, type: string, cut: (text: string, ids: Ids) => Tokens | undefined): Model => {
  const { ids, tokens, highestId } = readVocabulary(shape.at('vocab'))
  const unkToken = shape.at('unk_token').text()
  const unk = ids.get(unkToken)
  if (unk === undefined) return shape.at('unk_token').fail('is not in the vocabulary')
  return {
    type,
    size: ids.size,
    highestId,
    idOf: (token) => ids.get(token),
    tokenOf: (id) => tokens.get(id),
    tokenize: cached((text) => cut(text, ids) ?? { ids: [unk], from: [0], to: [text.length] }),
  }
}

const longestFrom = (text: string, from: number, prefix: string, ids: Ids): { id: number; to: number } | undefined => {
  for (let to = text.length; to > from; to -= to - from > 1 && width(text, to - 2) === 2 ? 2 : 1) {
    const id = ids.get(prefix + text.slice(from, to))
    if (id !== undefined) return { id, to }
  }
  return undefined
}
