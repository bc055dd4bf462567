/** WordPiece (the longest entry first, from left to right) and WordLevel (whole words only). */
import type { JsonPart } from './jsonPart.ts'
import { longestIn, trie } from './trie.ts'
import type { Model, Tokens, Vocabulary } from './vocabulary.ts'
import { cached, readVocabulary, stepLimit } from './vocabulary.ts'

export const readWordPiece = (json: JsonPart): Model => {
  const prefix = json.optional('continuing_subword_prefix')?.text() ?? '##'
  const longest = json.optional('max_input_chars_per_word')?.count() ?? 100
  const vocabulary = readVocabulary(json.at('vocab'))
  const whole = trie(vocabulary.ids.size)
  const continuing = trie(vocabulary.ids.size)
  for (const [token, id] of vocabulary.ids) {
    whole.add(token, id)
    if (token.startsWith(prefix)) continuing.add(token.slice(prefix.length), id)
  }
  return readWords(json, 'WordPiece', vocabulary, (text) => {
    const tokens: Tokens = { ids: [], from: [], to: [] }
    if (text.length > longest && [...text].length > longest) return undefined
    const steps = stepLimit(json, text)
    for (let from = 0; from < text.length; ) {
      const found = longestIn(from > 0 ? continuing : whole, text, from, steps)
      if (!found) return undefined
      tokens.ids.push(found.value)
      tokens.from.push(from)
      tokens.to.push(found.end)
      from = found.end
    }
    return tokens
  })
}

export const readWordLevel = (json: JsonPart): Model => {
  const vocabulary = readVocabulary(json.at('vocab'))
  return readWords(json, 'WordLevel', vocabulary, (text) => {
    const id = vocabulary.ids.get(text)
    return id === undefined ? undefined : { ids: [id], from: [0], to: [text.length] }
  })
}

/** A model in which a word that `cut` cannot split is one unknown token. */
const readWords = (
  json: JsonPart,
  type: string,
  { ids, tokens, highestId }: Vocabulary,
  cut: (text: string) => Tokens | undefined,
): Model => {
  const unkToken = json.at('unk_token').text()
  const unk = ids.get(unkToken)
  if (unk === undefined) return json.at('unk_token').fail('is not in the vocabulary')
  return {
    type,
    size: ids.size,
    highestId,
    idOf: (token) => ids.get(token),
    tokenOf: (id) => tokens.get(id),
    tokenize: cached((text) => cut(text) ?? { ids: [unk], from: [0], to: [text.length] }),
  }
}
