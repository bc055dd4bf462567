/** The post-processors of tokenizer.json: special tokens around one text or two, and offsets trimmed of white space. */
import type { JsonPart } from './jsonPart.ts'
import { isWhiteSpace } from './unicode.ts'

/** Tokens of one text: lists of the same length, offsets in code points of that text. */
export type TokenizedText = {
  readonly ids: number[]
  readonly offsets: [number, number][]
  readonly surfaces: string[]
}

export type Assembled = { ids: number[]; offsets: [number, number][]; typeIds: number[] }

type Part = { ids: number[]; type: number } | { sequence: 0 | 1; type: number }

export type PostProcessor = {
  /** Trims offsets; applies with and without special tokens. */
  trim(row: TokenizedText): TokenizedText
  single: readonly Part[]
  pair: readonly Part[]
}

const sequence = (index: 0 | 1, type: number): Part => ({ sequence: index, type })
const special = (id: number, type: number): Part => ({ ids: [id], type })

export const plainProcessor: PostProcessor = {
  trim: (row) => row,
  single: [sequence(0, 0)],
  pair: [sequence(0, 0), sequence(1, 1)],
}

export const readPostProcessor = (json: JsonPart): PostProcessor => {
  const type = json.at('type').text()
  const read = Object.hasOwn(processors, type) ? processors[type] : undefined
  return read ? read(json) : json.fail(`is of the unknown type ${type}`)
}

const processors: Record<string, (json: JsonPart) => PostProcessor> = {
  Sequence: (json) => {
    const steps = json.at('processors').items().map(readPostProcessor)
    const framing = steps.filter((step) => step.single !== plainProcessor.single).at(-1) ?? plainProcessor
    return { ...framing, trim: (row) => steps.reduce((now, step) => step.trim(now), row) }
  },
  ByteLevel: (json) => ({ ...plainProcessor, trim: readTrim(json) }),
  TemplateProcessing: (json) => ({
    ...plainProcessor,
    single: readSingle(json.at('single'), json.at('special_tokens')),
    pair: readTemplate(json.at('pair'), json.at('special_tokens')),
  }),
  BertProcessing: (json) => {
    const cls = readNamed(json.at('cls'))
    const sep = readNamed(json.at('sep'))
    const single = [special(cls, 0), sequence(0, 0), special(sep, 0)]
    return { ...plainProcessor, single, pair: [...single, sequence(1, 1), special(sep, 1)] }
  },
  RobertaProcessing: (json) => {
    const cls = readNamed(json.at('cls'))
    const sep = readNamed(json.at('sep'))
    const single = [special(cls, 0), sequence(0, 0), special(sep, 0)]
    return {
      trim: readTrim(json),
      single,
      pair: [...single, special(sep, 0), sequence(1, 0), special(sep, 0)],
    }
  },
}

const readTrim = (json: JsonPart): PostProcessor['trim'] => {
  const wanted = json.optional('trim_offsets')?.flag() ?? true
  return wanted ? trimmer(json.optional('add_prefix_space')?.flag() ?? true) : plainProcessor.trim
}

/** The id of a [token, id] pair. */
const readNamed = (json: JsonPart): number => json.items()[1]?.count() ?? json.fail('should be [token, id]')

const mostAdded = 1000

/** The template for one text, which must not name a second one. */
const readSingle = (json: JsonPart, specials: JsonPart): Part[] => {
  const parts = readTemplate(json, specials)
  if (parts.some((part) => 'sequence' in part && part.sequence > 0))
    json.fail('names the sequence B, where there is only A')
  return parts
}

const readTemplate = (json: JsonPart, specials: JsonPart): Part[] => {
  const parts = readParts(json, specials)
  const added = parts.reduce((sum, part) => sum + ('ids' in part ? part.ids.length : 0), 0)
  if (added > mostAdded) json.fail(`adds more than ${mostAdded} tokens`)
  if (parts.length - parts.filter((part) => 'ids' in part).length > 2) json.fail('takes a text more than once')
  return parts
}

const readParts = (json: JsonPart, specials: JsonPart): Part[] =>
  json.items().map((item) => {
    if (item.has('Sequence')) {
      const name = item.at('Sequence').at('id').text()
      if (name !== 'A' && name !== 'B') item.fail(`names the unknown sequence ${name}`)
      return sequence(name === 'A' ? 0 : 1, item.at('Sequence').at('type_id').count())
    }
    const token = specials.at(item.at('SpecialToken').at('id').text())
    const list = token.at('ids')
    if (list.list().length > mostAdded) list.fail(`adds more than ${mostAdded} tokens`)
    const ids = list.items().map((id) => id.count())
    return { ids, type: item.at('SpecialToken').at('type_id').count() }
  })

/** The last id that is added behind a single text; undefined where none is. */
export const addedBehind = ({ single }: PostProcessor): number | undefined => {
  const last = single.at(-1)
  return last && 'ids' in last ? last.ids.at(-1) : undefined
}

/** The tokens of one text or two with the special tokens around them, which have the offsets [0, 0]. */
export const assemble = (
  processor: PostProcessor,
  texts: readonly TokenizedText[],
  specialTokens: boolean,
): Assembled => {
  const trimmed = texts.map(processor.trim)
  const out: Assembled = { ids: [], offsets: [], typeIds: [] }
  for (const part of texts.length > 1 ? processor.pair : processor.single) {
    const text = 'sequence' in part ? trimmed[part.sequence] : undefined
    if (!text && !specialTokens) continue
    const ids = 'ids' in part ? part.ids : text!.ids
    ids.forEach((id, i) => {
      out.ids.push(id)
      out.offsets.push(text ? text.offsets[i] : [0, 0])
      out.typeIds.push(part.type)
    })
  }
  return out
}

/**
 * Byte-level tokens include the space before a word: takes white space out of offsets, except a space that was added.
 */
const trimmer =
  (prefixed: boolean) =>
  (row: TokenizedText): TokenizedText => ({
    ...row,
    offsets: row.offsets.map(([from, to], i): [number, number] => {
      const surface = row.surfaces[i]
      const spaces = spacesFrom(surface)
      const trailing = spaces === surface.length ? spaces : spacesTo(surface)
      if (spaces === 0 && trailing === 0) return [from, to]
      const added = prefixed && spaces === 1 && (i === 0 || from === 0)
      const start = added ? from : Math.min(from + spaces, to)
      return [start, trailing > 0 && to >= trailing ? Math.max(to - trailing, start) : to]
    }),
  })

/** White space, or the character of the byte alphabet for a space. */
const isSpace = (char: string): boolean => char === '\u0120' || isWhiteSpace(char)

const spacesFrom = (text: string): number => {
  let count = 0
  while (count < text.length && isSpace(text[count])) count++
  return count
}

const spacesTo = (text: string): number => {
  let count = 0
  while (count < text.length && isSpace(text[text.length - 1 - count])) count++
  return count
}
