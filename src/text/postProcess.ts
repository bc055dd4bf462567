/** The post-processors of tokenizer.json: special tokens around one text or two, and offsets without white space. */
import type { Shape } from './shape.ts'
import { isWhiteSpace } from './unicode.ts'

/** Tokens of one text: lists of the same length, offsets in code points of that text. */
export type Row = { readonly ids: number[]; readonly offsets: [number, number][]; readonly surfaces: string[] }

export type Assembled = { ids: number[]; offsets: [number, number][]; typeIds: number[] }

type Part = { ids: number[]; type: number } | { sequence: 0 | 1; type: number }

export type PostProcessor = {
  /** Changes offsets, whether special tokens are wanted or not. */
  trim(row: Row): Row
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

export const readPostProcessor = (shape: Shape): PostProcessor => {
  const type = shape.at('type').text()
  const read = Object.hasOwn(processors, type) ? processors[type] : undefined
  return read ? read(shape) : shape.fail(`is of the unknown type ${type}`)
}

const processors: Record<string, (shape: Shape) => PostProcessor> = {
  Sequence: (shape) => {
    const steps = shape.at('processors').items().map(readPostProcessor)
    const framing = steps.filter((step) => step.single !== plainProcessor.single).at(-1) ?? plainProcessor
    return { ...framing, trim: (row) => steps.reduce((now, step) => step.trim(now), row) }
  },
  ByteLevel: (shape) => ({ ...plainProcessor, trim: readTrim(shape) }),
  TemplateProcessing: (shape) => ({
    ...plainProcessor,
    single: readSingle(shape.at('single'), shape.at('special_tokens')),
    pair: readTemplate(shape.at('pair'), shape.at('special_tokens')),
  }),
  BertProcessing: (shape) => {
    const [cls, sep] = [readNamed(shape.at('cls')), readNamed(shape.at('sep'))]
    const single = [special(cls, 0), sequence(0, 0), special(sep, 0)]
    return { ...plainProcessor, single, pair: [...single, sequence(1, 1), special(sep, 1)] }
  },
  RobertaProcessing: (shape) => {
    const [cls, sep] = [readNamed(shape.at('cls')), readNamed(shape.at('sep'))]
    const single = [special(cls, 0), sequence(0, 0), special(sep, 0)]
    return {
      trim: readTrim(shape),
      single,
      pair: [...single, special(sep, 0), sequence(1, 0), special(sep, 0)],
    }
  },
}

const readTrim = (shape: Shape): PostProcessor['trim'] => {
  const wanted = shape.optional('trim_offsets')?.flag() ?? true
  return wanted ? trimmer(shape.optional('add_prefix_space')?.flag() ?? true) : plainProcessor.trim
}

/** The id of a [token, id] pair. */
const readNamed = (shape: Shape): number => shape.items()[1]?.count() ?? shape.fail('should be [token, id]')

const mostAdded = 1000

/** The template of one text, which has no second one to name. */
const readSingle = (shape: Shape, specials: Shape): Part[] => {
  const parts = readTemplate(shape, specials)
  if (parts.some((part) => 'sequence' in part && part.sequence > 0))
    shape.fail('names the sequence B, where there is only A')
  return parts
}

const readTemplate = (shape: Shape, specials: Shape): Part[] => {
  const parts = readParts(shape, specials)
  const added = parts.reduce((sum, part) => sum + ('ids' in part ? part.ids.length : 0), 0)
  if (added > mostAdded) shape.fail(`adds more than ${mostAdded} tokens`)
  if (parts.length - parts.filter((part) => 'ids' in part).length > 2) shape.fail('takes a text more than once')
  return parts
}

const readParts = (shape: Shape, specials: Shape): Part[] =>
  shape.items().map((item) => {
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

/** The last id that is put behind a single text; undefined where nothing is. */
export const addedBehind = ({ single }: PostProcessor): number | undefined => {
  const last = single.at(-1)
  return last && 'ids' in last ? last.ids.at(-1) : undefined
}

/** Rows of the sequences put together; special tokens have the offsets [0, 0]. */
export const assemble = (processor: PostProcessor, rows: readonly Row[], specialTokens: boolean): Assembled => {
  const trimmed = rows.map(processor.trim)
  const out: Assembled = { ids: [], offsets: [], typeIds: [] }
  for (const part of rows.length > 1 ? processor.pair : processor.single) {
    const row = 'sequence' in part ? trimmed[part.sequence] : undefined
    if (!row && !specialTokens) continue
    const ids = 'ids' in part ? part.ids : row!.ids
    ids.forEach((id, i) => {
      out.ids.push(id)
      out.offsets.push(row ? row.offsets[i] : [0, 0])
      out.typeIds.push(part.type)
    })
  }
  return out
}

/** Byte-level tokens begin with their space: takes white space out of the offsets, but for a space that was added. */
const trimmer =
  (prefixed: boolean) =>
  (row: Row): Row => ({
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

/** The byte alphabet's space, or white space. */
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
