/**
 * From a file's records to rows. The first record's columns say which format the file has, and every later record must
 * be of that format: a row that lacks a column is a fault, not another kind of row. Only the rows of supervised
 * fine-tuning and scoring may be mixed in a file, because there each row speaks for itself.
 */
import { z } from 'zod'
import { nearest } from '../util/nearest.ts'
import { conform, type Layout, type Place, type RawRecord, recordOf, rowFault } from './check.ts'
import { idTable } from './ids.ts'
import { argillaVotes, labelStudioVotes, type Skipped } from './labels.ts'
import { HH_MARK, hhRow, preferenceRow } from './preference.ts'
import { type Completion, type Rated, type Row, schemas, textColumn } from './rows.ts'

type Columns = Record<string, unknown>
type Read = (record: Columns, place: Place) => Row[] | { rows: Row[]; skipped: Skipped[] }

export type Format = {
  name: string
  detect: (record: Columns) => boolean
  read: Read
  /** No two records may have the same id. */
  uniqueIds?: boolean
  /** One record is one row that can be read by itself. */
  local: boolean
}

const RATINGS = ['helpfulness', 'correctness', 'coherence', 'complexity', 'verbosity'] as const

const rated: Read = (record, place) => {
  const { id, prompt, response, ...row } = conform(schemas.rated, record, place)
  const ratings: Rated['ratings'] = {}
  for (const name of RATINGS) if (typeof row[name] === 'number') ratings[name] = row[name]
  return [{ kind: 'rated', id, prompt, response, ratings }]
}

const bestOfN: Read = (record, place) => {
  const { id, prompt, responses, best } = conform(schemas.bestOfN, record, place)
  return [{ kind: 'ranking', id, prompt, responses, ranks: responses.map((_, i) => (i === best ? 1 : null)) }]
}

/** A row of supervised fine-tuning or scoring, told by its own columns. */
const plain: Read = (record, place) => {
  const has = (column: string) => record[column] !== undefined
  if (has('input_ids') && has('labels')) return [{ kind: 'labelled', ...conform(schemas.labelled, record, place) }]
  if (has('messages')) return [{ kind: 'messages', ...conform(schemas.messages, record, place) }]
  if (has('completion')) return [{ kind: 'completion', ...conform(schemas.completion, record, place) }]
  if (has('prompt') && !has('text'))
    throw rowFault('missing-column', 'is missing; a row with a prompt needs a completion', place, 'completion')
  const text = has('text') || !has('input_ids') ? record : { ...record, text: { input_ids: record.input_ids } }
  return [{ kind: 'text', ...conform(schemas.text, text, place) }]
}

/** In the order in which they are tried. */
export const formats: Format[] = [
  {
    name: 'label-studio',
    detect: (r) => 'data' in r && 'annotations' in r,
    read: labelStudioVotes,
    uniqueIds: true,
    local: false,
  },
  {
    name: 'argilla',
    detect: (r) => 'fields' in r && 'responses' in r,
    read: argillaVotes,
    uniqueIds: true,
    local: false,
  },
  {
    name: 'hh-rlhf',
    detect: (r) => !('prompt' in r) && `${r.chosen}`.includes(HH_MARK),
    read: (r, p) => [hhRow(r, p)],
    local: true,
  },
  {
    name: 'preference',
    detect: (r) => ('chosen' in r || 'rejected' in r) && 'prompt' in r,
    read: (r, p) => [preferenceRow(r, p, false)],
    uniqueIds: true,
    local: true,
  },
  {
    name: 'preference without prompt',
    detect: (r) => 'chosen' in r || 'rejected' in r,
    read: (r, p) => [preferenceRow(r, p, true)],
    uniqueIds: true,
    local: true,
  },
  { name: 'best-of-n', detect: (r) => 'best' in r, read: bestOfN, uniqueIds: true, local: true },
  {
    name: 'ranking',
    detect: (r) => 'ranks' in r || 'responses' in r,
    read: (r, p) => [{ kind: 'ranking', ...conform(schemas.ranking, r, p) }],
    uniqueIds: true,
    local: true,
  },
  { name: 'helpsteer2', detect: (r) => 'helpfulness' in r, read: rated, local: false },
  {
    name: 'unpaired',
    detect: (r) => 'label' in r && ('completion' in r || 'prompt' in r),
    read: (r, p) => [{ kind: 'unpaired', ...conform(schemas.unpaired, r, p) }],
    local: true,
  },
  {
    name: 'prompt',
    detect: (r) => 'prompt' in r && !['completion', 'messages', 'text'].some((c) => c in r),
    read: (r, p) => [{ kind: 'prompt', ...conform(schemas.prompt, r, p) }],
    local: true,
  },
  {
    name: 'sft',
    detect: (r) => ['text', 'messages', 'completion', 'input_ids'].some((c) => c in r),
    read: plain,
    local: true,
  },
]

/** Token ids of a column of text may stand in `<column>_input_ids` or `<column>_ids`. */
const ALIASES = new Map(
  ['prompt', 'chosen', 'rejected', 'completion', 'response'].flatMap((name) => [
    [`${name}_input_ids`, name],
    [`${name}_ids`, name],
  ]),
)

export type ReaderOptions = {
  /** Columns of the file under their usual names: {chosen: 'good'} reads the column "good" as chosen. */
  columns?: Record<string, string>
  /** Columns, as the file calls them, whose texts rows keep as `beside`. */
  beside?: readonly string[]
  /** Rows keep the whole record, which must have these columns, as `record`. */
  record?: readonly string[]
}

export type RowReader = {
  /** The file's format, known after the first record. */
  format(): Format | undefined
  /** The rows of a record. */
  read(raw: RawRecord): { rows: Row[]; skipped: Skipped[] }
}

/**
 * A reader for the records of one file. With a `known` format it reads records again, in any order: their ids were
 * found to be unique before. @throws Fault with the record's place
 */
export const rowReader = (
  file: string,
  layout: Layout,
  { columns = {}, beside = [], record: needed }: ReaderOptions = {},
  known?: Format,
): RowReader => {
  let format = known
  const ids = known ? undefined : idTable()
  return {
    format: () => format,
    read: ({ value, row, line }) => {
      const place = { file, layout, row, line }
      const raw = recordOf(value, place)
      const record = renamed(raw, columns)
      format ??= detect(record, columns, place)
      if (format.uniqueIds && ids) checkId(record.id, ids, place)
      const found = format.read(record, place)
      if (!Array.isArray(found)) return found
      const kept = {
        ...(beside.length && { beside: besideOf(raw, beside, place) }),
        ...(needed && { record: wholeRecord(raw, needed, place) }),
      }
      return { rows: found.map((row) => ({ ...row, ...kept })), skipped: [] }
    },
  }
}

const requireColumns = (record: Columns, wanted: readonly string[], place: Place) => {
  for (const name of wanted)
    if (!(name in record)) throw rowFault('missing-column', `is not there; columns are ${names(record)}`, place, name)
}

const besideOf = (record: Columns, wanted: readonly string[], place: Place): Completion['beside'] => {
  requireColumns(record, wanted, place)
  const text = (name: string) => conform(z.object({ [name]: textColumn }), record, place)[name]
  return Object.fromEntries(wanted.map((name) => [name, text(name)]))
}

const wholeRecord = (record: Columns, needed: readonly string[], place: Place): Columns => {
  requireColumns(record, needed, place)
  return record
}

const detect = (record: Columns, columns: Record<string, string>, place: Place): Format => {
  for (const [name, column] of Object.entries(columns))
    if (!(name in record))
      throw rowFault(
        'missing-column',
        `is not there (--column ${name}=${column}); columns are ${names(record)}`,
        place,
        column,
      )
  const format = formats.find(({ detect }) => detect(record))
  if (format) return format
  const known = [
    'prompt',
    'chosen',
    'rejected',
    'responses',
    'ranks',
    'completion',
    'label',
    'text',
    'messages',
    'input_ids',
  ]
  const near = Object.keys(record)
    .slice(0, SHOWN)
    .flatMap((column) => nearest(column, known) ?? [])[0]
  const hint = near ? `; did you mean ${JSON.stringify(near)}? A column is renamed with --column ${near}=its-name` : ''
  throw rowFault('unknown-columns', `rows with the columns ${names(record)} are of no known kind${hint}`, place)
}

/** Columns that a message names: a record of a stranger may have any number. */
const SHOWN = 20

const names = (record: Columns) => {
  const all = Object.keys(record)
  const shown = all.slice(0, SHOWN).map((name) => (name.length > 100 ? `${name.slice(0, 100)}...` : name))
  return `${shown.join(', ') || 'none'}${all.length > SHOWN ? ` and ${all.length - SHOWN} more` : ''}`
}

/** The record under the usual names. Object.fromEntries defines, so that a column "__proto__" stays a column. */
const renamed = (record: Columns, columns: Record<string, string>): Columns => {
  const to = new Map<string, string>()
  for (const column in record) {
    const name = ALIASES.get(column)
    if (name && !(name in record)) to.set(column, name)
  }
  for (const name in columns) to.set(columns[name], name)
  if (!to.size) return record
  const taken = new Set(to.values())
  const kept = Object.entries(record).filter(([column]) => to.has(column) || !taken.has(column))
  return Object.fromEntries(kept.map(([column, value]) => [to.get(column) ?? column, idsIn(column, value)]))
}

/** A list under an alias is one of ids, even an empty one. */
const idsIn = (column: string, value: unknown) =>
  ALIASES.has(column) && Array.isArray(value) ? { input_ids: value } : value

const checkId = (id: unknown, ids: ReturnType<typeof idTable>, place: Place) => {
  if (typeof id !== 'string' && typeof id !== 'number') return
  const first = ids.seen(id, place.row)
  if (first !== undefined)
    throw rowFault('duplicate-id', `${JSON.stringify(id)} was the id of row ${first} already`, place, 'id')
}
