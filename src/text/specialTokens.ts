/**
 * Added and special tokens from everything beside the vocabulary: tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json and the class, in the order and with the precedence of transformers 5. A config with
 * `added_tokens_decoder` stands alone; without it the two older files are read too.
 */
import { quoted } from '../util/quote.ts'
import type { AddedToken } from './addedTokens.ts'
import { readAddedToken } from './addedTokens.ts'
import type { Shape } from './shape.ts'
import type { TokenizerClass } from './tokenizerClass.ts'

export type TokenSources = {
  readonly file: Shape
  readonly config: Shape | undefined
  readonly specialTokensMap: Shape | undefined
  readonly addedTokens: Shape | undefined
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
  const { config, tokenizerClass } = sources
  const older = config?.has('added_tokens_decoder') ? undefined : sources.specialTokensMap
  const own = namedTokens(older, config, tokenizerClass)
  const extra = extraTokens(older, config)
  const table = tokenTable(sources, [...Object.values(own), ...extra])
  const listed = new Map(table.map((token) => [token.content, token]))
  const named = Object.entries({ ...own, ...modelTokens(older, config) }).map(
    ([name, token]) => [name, listed.get(token.content) ?? token] as const,
  )
  const contents = new Set(named.map(([, { content }]) => content))
  const isNew = (token: AddedToken) => ({ ...token, ifNew: true })
  const everySpecial = [...named.map(([, token]) => token), ...extra]
  return {
    names: Object.fromEntries(named.map(([name, { content }]) => [name, content])),
    added: [
      ...table.map((token) => (contents.has(token.content) ? { ...token, special: true } : token)),
      ...named.map(([, token]) => isNew({ ...token, special: true })),
      ...extra.map(isNew),
      ...(tokenizerClass?.marksSpecials ? everySpecial.map(({ content }) => plainSpecial(content)) : []),
    ],
  }
}

const plainSpecial = (content: string): AddedToken => ({
  content,
  singleWord: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

/** A token is a text or an object with flags; in the config's own writing an object says itself whether it is special. */
const tokenOf = (token: Shape): AddedToken => {
  if (typeof token.value === 'string') return plainSpecial(token.value)
  const read = readAddedToken(token)
  return token.has('__type')
    ? read
    : { ...read, special: true, normalized: token.optional('normalized')?.flag() ?? false }
}

/** special_tokens_map.json goes before the config, the class comes last; null is "none" and no default. */
const namedTokens = (
  older: Shape | undefined,
  config: Shape | undefined,
  tokenizerClass: TokenizerClass | undefined,
): Record<string, AddedToken> => {
  const found: Record<string, AddedToken> = {}
  for (const name of standardNames) {
    const from = [older, config].find((file) => file?.has(name))
    const token = from?.optional(name)
    const silent = from ? undefined : tokenizerClass?.names[name]
    if (token) found[name] = tokenOf(token)
    else if (silent !== undefined) found[name] = plainSpecial(silent)
  }
  return found
}

/**
 * Special tokens with names of the model's own: further keys in _token, and extra_special_tokens as an object. Those
 * that transformers meets first (objects of the config, all of the older file) come first.
 */
const modelTokens = (older: Shape | undefined, config: Shape | undefined): Record<string, AddedToken> => {
  const keyed = (file: Shape | undefined, types: string[]) =>
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

const entriesOf = (file: Shape | undefined): [string, Shape][] =>
  Object.entries(file?.record() ?? {}).flatMap(([key, value]) => (value == null ? [] : [[key, file!.at(key)]]))

/** extra_special_tokens as a list, else the older additional_special_tokens. */
const extraTokens = (older: Shape | undefined, config: Shape | undefined): AddedToken[] => {
  const list = (file: Shape | undefined, key: string): AddedToken[] => {
    const found = file?.optional(key)
    return found && Array.isArray(found.value) ? found.items().map(tokenOf) : []
  }
  const extra = [...list(config, 'extra_special_tokens'), ...list(older, 'extra_special_tokens')]
  if (extra.length) return extra
  const additional = list(config, 'additional_special_tokens')
  return additional.length ? additional : list(older, 'additional_special_tokens')
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
      table.set(token.optional('id')?.count() ?? 2 ** 31 + i, readAddedToken(token))
  }
  return [...table].sort(([a], [b]) => a - b).map(([, token]) => token)
}

const idOf = (table: Shape, key: string, id: number): number =>
  Number.isSafeInteger(id) && id >= 0 ? id : table.fail(`has the id ${quoted(key)}, which is no number`)
