/**
 * Added and special tokens from the files beside the vocabulary (tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json) and from the tokenizer's class, in the order and with the precedence of transformers 5. Where the
 * config has `added_tokens_decoder`, the two older files are not read.
 */
import { quoted } from '../util/quote.ts'
import type { AddedToken } from './addedTokens.ts'
import { readAddedToken } from './addedTokens.ts'
import type { JsonPart } from './jsonPart.ts'
import type { TokenizerClass } from './tokenizerClass.ts'

export type TokenSources = {
  readonly file: JsonPart
  readonly config: JsonPart | undefined
  readonly specialTokensMap: JsonPart | undefined
  readonly addedTokens: JsonPart | undefined
  /** Undefined where the file runs as it stands. */
  readonly tokenizerClass: TokenizerClass | undefined
}

export type SpecialTokens = {
  /** Texts of the named special tokens: `bos_token`, ..., and the model's own (`image_token`). */
  readonly names: Readonly<Record<string, string>>
  /** In the order in which they take free ids, behind the tokens of the file itself. */
  readonly added: readonly AddedToken[]
}

const standardNames = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

export const readSpecialTokens = (sources: TokenSources): SpecialTokens => {
  const { file, config, tokenizerClass } = sources
  const older = config?.has('added_tokens_decoder') ? undefined : sources.specialTokensMap
  const { extra, further } = extraTokens(older, config)
  const standard = namedTokens(older, config)
  const table = tokenTable(sources, [...Object.values(standard), ...extra])
  const listed = new Map(table.map((token) => [token.content, token]))
  const named: Record<string, AddedToken> = {}
  for (const name of standardNames) {
    const silent = isNamed(name, older, config) ? undefined : tokenizerClass?.names[name]
    const token = standard[name] ?? (silent === undefined ? undefined : plainSpecial(silent))
    if (token) named[name] = standard[name] ? (listed.get(token.content) ?? token) : token
  }
  Object.assign(named, modelTokens(older, config))
  const contents = new Set(Object.values(named).map(({ content }) => content))
  const special = (token: AddedToken): AddedToken => ({ ...token, special: true })
  const everySpecial = [...Object.values(named).map(special), ...extra, ...further]
  const own = tokenizerClass ? [] : (file.optional('added_tokens')?.items() ?? []).map(readAddedToken)
  const known = new Set([...own, ...table].map(({ content }) => content))
  return {
    names: Object.fromEntries(Object.entries(named).map(([name, { content }]) => [name, content])),
    added: [
      ...table.map((token) => (contents.has(token.content) ? special(token) : token)),
      ...distinct(everySpecial.filter(({ content }) => !known.has(content))),
      ...markedAgain(everySpecial, tokenizerClass),
    ],
  }
}

/** Without those that stand in the list before, flags and all: of two that differ in flags the later one holds. */
const distinct = (tokens: AddedToken[]): AddedToken[] => [
  ...new Map(tokens.map((token) => [Object.values(token).join(' '), token])).values(),
]

const markedAgain = (tokens: AddedToken[], tokenizerClass: TokenizerClass | undefined): AddedToken[] => {
  if (!tokenizerClass?.marksSpecials) return []
  return tokens.map((token) =>
    tokenizerClass.marksSpecials === 'plain' ? plainSpecial(token.content) : { ...token, special: true },
  )
}

const plainSpecial = (content: string): AddedToken => ({
  content,
  singleWord: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

/**
 * A token is a text or an object with flags; in the config's own writing an object says itself whether it is special.
 */
const tokenOf = (token: JsonPart): AddedToken => {
  if (typeof token.value === 'string') return plainSpecial(token.value)
  const read = readAddedToken(token)
  if (token.has('__type')) return read
  return { ...read, special: true, normalized: token.optional('normalized')?.flag() ?? false }
}

/** special_tokens_map.json goes before the config; null is "none", and shuts out the class's default. */
const namedTokens = (older: JsonPart | undefined, config: JsonPart | undefined): Record<string, AddedToken> => {
  const found: Record<string, AddedToken> = {}
  for (const name of standardNames) {
    const token = (older?.has(name) ? older : config)?.optional(name)
    if (token) found[name] = tokenOf(token)
  }
  return found
}

const isNamed = (name: string, ...files: (JsonPart | undefined)[]): boolean => files.some((file) => file?.has(name))

/**
 * Special tokens with names of the model's own: further keys in _token, and extra_special_tokens as an object. Those
 * that transformers meets first (objects of the config, all of the older file) come first.
 */
const modelTokens = (older: JsonPart | undefined, config: JsonPart | undefined): Record<string, AddedToken> => {
  const keyed = (file: JsonPart | undefined, types: string[]) =>
    entriesOf(file).filter(
      ([key, token]) => key.endsWith('_token') && !standardNames.includes(key) && types.includes(typeof token.value),
    )
  const inObject = [config, older].flatMap((file) => {
    const extra = file?.optional('extra_special_tokens')
    return extra && !Array.isArray(extra.value) ? entriesOf(extra) : []
  })
  const found = [...keyed(config, ['object']), ...keyed(older, ['object', 'string']), ...keyed(config, ['string'])]
  return Object.fromEntries([...found, ...inObject].map(([key, token]) => [key, tokenOf(token)]))
}

const entriesOf = (file: JsonPart | undefined): [string, JsonPart][] =>
  Object.entries(file?.record() ?? {}).flatMap(([key, value]) => (value == null ? [] : [[key, file!.at(key)]]))

/**
 * extra_special_tokens as a list, else the older additional_special_tokens; `further` ones are read only after the
 * table of added tokens, and do not make those of it special.
 */
const extraTokens = (older: JsonPart | undefined, config: JsonPart | undefined) => {
  const list = (file: JsonPart | undefined, key: string): AddedToken[] | undefined => {
    const found = file?.optional(key)
    return found && Array.isArray(found.value) ? found.items().map(tokenOf) : undefined
  }
  const own = list(config, 'extra_special_tokens')
  const additional = list(config, 'additional_special_tokens')
  const inObject = entriesOf(own ? undefined : config?.optional('extra_special_tokens')).length > 0
  const more = list(older, 'extra_special_tokens')
  const replaced = !more && older?.optional('extra_special_tokens') !== undefined
  const first = replaced ? undefined : own?.length || inObject ? own : (additional ?? own)
  if (first || more) return { extra: [...(first ?? []), ...(more ?? [])], further: [] }
  return { extra: [], further: list(older, 'additional_special_tokens') ?? (inObject ? additional : undefined) ?? [] }
}

/** Added tokens by their ids: the config's table, or added_tokens.json under the list of the file itself. */
const tokenTable = ({ file, config, addedTokens }: TokenSources, specials: AddedToken[]): AddedToken[] => {
  const table = new Map<number, AddedToken>()
  const decoder = config?.optional('added_tokens_decoder')
  if (decoder)
    for (const id of Object.keys(decoder.record()))
      table.set(idOf(decoder, id, Number(id)), readAddedToken(decoder.at(id)))
  else {
    const contents = new Set(specials.map(({ content }) => content))
    for (const content of Object.keys(addedTokens?.record() ?? {})) {
      const special = contents.has(content)
      table.set(addedTokens!.at(content).count(), { ...plainSpecial(content), special, normalized: !special })
    }
    // A token without an id comes last.
    for (const [i, token] of (file.optional('added_tokens')?.items() ?? []).entries())
      table.set(token.has('id') ? token.at('id').count() : 2 ** 31 + i, readAddedToken(token))
  }
  return [...table].sort(([a], [b]) => a - b).map(([, token]) => token)
}

const idOf = (table: JsonPart, key: string, id: number): number =>
  Number.isSafeInteger(id) && id >= 0 ? id : table.fail(`has the id ${quoted(key)}, which is no number`)
