/**
 * From the records of a file to rows. The columns of the first record tell the file's format, and every later record
 * must have it: a row without one of its columns is a Fault, not another kind of row.
 *
 * A column that is null counts as absent: in files whose rows all have the same columns with nulls between (as
 * datasets and parquet write mixed rows), a row is read by the columns it has. Rows of supervised fine-tuning and of
 * scoring may be mixed in a file, because each is known by its own columns.
 */

import { z } from 'zod'
import { argillaVotes } from './argilla.ts'
import { blankFiller } from './blanks.ts'
import { chatRow, noPromptFault, userTurn } from './chatRows.ts'
import { columnNames, conform, type Layout, type RawRecord, type RecordLocation, recordOf, rowFault } from './check.ts'
import { isObject } from './issue.ts'
import { labelReader } from './labelColumn.ts'
import { isBlankLabel, type LabelCounts, type LabelRule, labelRule } from './labelRule.ts'
import { labelStudioVotes } from './labelStudio.ts'
import type { Skipped, Votes } from './labels.ts'
import { treeGatherer, treeRows } from './openAssistant.ts'
import { noColumn } from './otherKeys.ts'
import { bestOfNRow, HH_MARK, hasNoRanks, hhRow, preferenceRow, rankingRow, unrankedRow } from './preference.ts'
import { type Completion, isIds, isMessages, type Row, schemas, textColumn } from './rows.ts'
import { type Shaped, usualShape } from './shapes.ts'
import { nearestColumns, suggestion, type Wanted } from './suggest.ts'
import { templateOf } from './template.ts'
import { ratedRow, unpairedMessages, unpairedRow } from './unpaired.ts'
import { refuseMedia, unreadOf } from './unread.ts'

type Columns = Record<string, unknown>
type Read = (record: Columns, location: RecordLocation) => Row[] | { rows: Row[]; skipped: Skipped[] } | Votes

export type Format = {
  name: string
  detect: (record: Columns) => boolean
  read: Read
  /** Columns without which a record is not of this format; none where other rows may stand among them. */
  needs: readonly string[]
  /** One record is one row that can be read by itself. */
  local: boolean
  /** Rows are made of several records that stand together: the reader's `end` gives the last ones. */
  gathers?: boolean
}

/** A row of supervised fine-tuning or scoring, told by its own columns. */
const plain: Read = (record, location) => {
  // An empty field of csv is what is null elsewhere
  const has = (column: string) => isThere(record[column]) && !(location.layout === 'csv' && record[column] === '')
  if (has('input_ids') && has('labels')) return [{ kind: 'labelled', ...conform(schemas.labelled, record, location) }]
  if (has('messages')) return [{ kind: 'messages', ...conform(schemas.messages, record, location) }]
  if (has('completion')) return [{ kind: 'completion', ...conform(schemas.completion, record, location) }]
  if (has('prompt') && !has('text'))
    throw rowFault('missing-column', 'is missing; a row with a prompt needs a completion', location, 'completion')
  const text = has('text') || !has('input_ids') ? record : { ...record, text: { input_ids: record.input_ids } }
  return [{ kind: 'text', ...conform(schemas.text, text, location) }]
}

/** The format of chosen and rejected alone. */
const withoutPrompt = 'preference without prompt'

/** In the order in which they are tried, on records without their null columns. */
export const formats: Format[] = [
  {
    name: 'label-studio',
    detect: (r) => isObject(r.data) && ('annotations' in r || 'predictions' in r || 'prompt' in r.data),
    read: labelStudioVotes,
    needs: ['data'],
    local: false,
  },
  {
    name: 'argilla',
    detect: (r) => 'fields' in r && 'responses' in r,
    read: argillaVotes,
    needs: ['fields', 'responses'],
    local: false,
  },
  {
    name: 'openassistant',
    detect: (r) => isObject(r.prompt) && Array.isArray(r.prompt.replies),
    read: treeRows,
    needs: ['prompt'],
    local: false,
  },
  {
    name: 'openassistant messages',
    detect: (r) => ['message_id', 'role', 'text'].every((c) => typeof r[c] === 'string'),
    read: () => [],
    needs: ['message_id', 'role', 'text'],
    local: false,
    gathers: true,
  },
  {
    name: 'hh-rlhf',
    detect: (r) => !('prompt' in r) && typeof r.chosen === 'string' && r.chosen.includes(HH_MARK),
    read: (r, p) => [hhRow(r, p)],
    needs: ['chosen', 'rejected'],
    local: true,
  },
  {
    name: 'preference',
    detect: (r) => ('chosen' in r || 'rejected' in r) && 'prompt' in r,
    read: (r, p) => [preferenceRow(r, p, false)],
    needs: ['prompt', 'chosen', 'rejected'],
    local: true,
  },
  {
    name: withoutPrompt,
    detect: (r) => 'chosen' in r || 'rejected' in r,
    read: (r, p) => [preferenceRow(r, p, true)],
    needs: [],
    local: true,
  },
  {
    name: 'best-of-n',
    detect: (r) => 'best' in r,
    read: bestOfNRow,
    needs: ['prompt', 'responses', 'best'],
    local: true,
  },
  {
    name: 'ranking',
    detect: (r) => 'ranks' in r || 'responses' in r,
    read: (r, p) => [rankingRow(r, p)],
    needs: ['prompt', 'responses', 'ranks'],
    local: true,
  },
  {
    name: 'helpsteer2',
    detect: (r) => 'helpfulness' in r,
    read: ratedRow,
    needs: ['response', 'helpfulness'],
    local: false,
  },
  {
    name: 'unpaired',
    detect: (r) => 'label' in r && ('completion' in r || 'prompt' in r) && !('messages' in r),
    read: unpairedRow,
    needs: ['prompt', 'completion', 'label'],
    local: true,
  },
  {
    name: 'unpaired messages',
    detect: (r) => typeof r.label === 'boolean' && 'messages' in r,
    read: unpairedMessages,
    needs: ['messages', 'label'],
    local: true,
  },
  {
    name: 'prompt',
    detect: (r) => 'prompt' in r && !['completion', 'messages', 'text'].some((c) => c in r),
    read: (r, p) => [{ kind: 'prompt', ...conform(schemas.prompt, r, p) }],
    needs: [],
    local: true,
  },
  {
    name: 'sft',
    detect: (r) => ['text', 'messages', 'completion', 'input_ids'].some((c) => c in r),
    read: plain,
    needs: [],
    local: true,
  },
]

const isThere = (value: unknown) => value !== null && value !== undefined

const withoutNulls = (record: Columns): Columns =>
  Object.values(record).every(isThere)
    ? record
    : Object.fromEntries(Object.entries(record).filter(([, value]) => isThere(value)))

const formatOf = (record: Columns) => {
  const there = withoutNulls(record)
  return formats.find(({ detect }) => detect(there))
}

const promptFormat = formats.find(({ name }) => name === 'prompt')!

/** The file's format, or the row's own where rows may be mixed or a column that the format needs is null. */
const ownFormat = (record: Columns, known: Format): Format => {
  if (known.needs.length && !known.needs.some((column) => record[column] === null)) return known
  const own = formatOf(record)
  return own?.local ? own : known
}

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
  /** What labels mean: 'up=true,down=false' or '>=4' (labelRule.ts); without it they are true, false or words that say so. */
  label?: string | LabelRule
  /** The kind of row wanted, which a message names where records are of no kind. */
  as?: Wanted
  /** Plain prompts and responses become turns of a conversation (chatRows.ts). */
  chat?: boolean
  /** Rows of responses without ranks, or with null for all, are rankings that are still to be made. */
  unranked?: boolean
}

export type RowReader = {
  /** The file's format, known after the first record. */
  format(): Format | undefined
  /**
   * The rows of a record, and its columns that would change a result elsewhere and are not read. Rows that were gathered
   * from records before are `from` the first of them.
   */
  read(raw: RawRecord): ReadRows
  /** The rows that are still being gathered when the records are at their end. */
  end(): ReadRows
  /** How labels that are no plain true or false were read. */
  labels(): LabelCounts
}

type ReadRows = {
  rows: Row[]
  skipped: Pick<Skipped, 'reason'>[]
  unread: string[]
  from?: Pick<RawRecord, 'row' | 'line'>
  /** Of exports of labelling tools: what is no vote on responses (labels.ts). */
  beside?: Pick<Votes, 'predicted' | 'labels' | 'open'>
}

/**
 * A reader for the records of one file. With a `known` format it reads records again, in any order.
 * @throws Fault with the record's place
 */
export const rowReader = (
  file: string,
  layout: Layout,
  {
    columns = {},
    beside = [],
    record: needed,
    label,
    as,
    chat = false,
    unranked: mayBeOpen = false,
  }: ReaderOptions = {},
  known?: Format,
): RowReader => {
  let format = known
  const rule = typeof label === 'string' ? labelRule(label) : label
  const labels = labelReader(rule)
  const gatherer = treeGatherer()
  let from: ReadRows['from']
  const blanks = blankFiller(columns, rule)
  return {
    format: () => format,
    labels: labels.counts,
    end() {
      blanks.end()
      return { rows: gatherer.end(), skipped: [], unread: [], from }
    },
    read: ({ value, row, line }) => {
      const at = { file, layout, row, line }
      const raw = recordOf(value, at)
      const { record: named, own, skipped } = renamed(raw, columns, at)
      const given = blanks.fill(named, raw, at)
      const record = labels.read(given)
      const hint = format ? undefined : () => nearestColumns(record, as)
      const location = { ...at, own, hint }
      format ??= detect({ record, raw }, columns, { ...location, hint: undefined }, as)
      if (skipped) return { rows: [], skipped: [{ reason: skipped }], unread: [] }
      refuseMedia(record, location)
      if (format.gathers) {
        const made = { ...gatherer.push(record, location), unread: [], from }
        if (!from || !record.parent_id) from = { row, line }
        return made
      }
      const rated = ownFormat(record, format)
      const isUnrated = rated.name === 'unpaired' && isBlankLabel(record.label)
      if (isUnrated && (as !== 'prompt' || record.prompt === undefined))
        return { rows: [], skipped: [{ reason: 'no-label' }], unread: [] }
      const ownOne = isUnrated ? promptFormat : rated
      const read = mayBeOpen && ownOne.name === 'ranking' && hasNoRanks(record) ? unrankedRow : ownOne.read
      const made = read(
        ownOne.name.startsWith('unpaired') ? labels.checked(record, given.label, location) : record,
        location,
      )
      if (!Array.isArray(made))
        return { rows: made.rows, skipped: made.skipped, unread: [], ...('predicted' in made && { beside: made }) }
      for (const row of made) if (row.kind === 'unpaired') labels.count(given.label, row.label)
      const template = templateOf(record, location)
      const kept = {
        ...(template && { template }),
        ...(beside.length && { beside: besideOf(raw, beside, at) }),
        ...(needed && { record: wholeRecord(raw, needed, at) }),
      }
      const asTurns = (row: Row): Row => {
        const read = answeredByMessages(row, location)
        if (!chat) return read
        if (ownOne.name === withoutPrompt && isText(read)) throw noPromptFault(location)
        return chatRow(read, location, as === 'prompt')
      }
      const rows = made.map((row) => ({ ...asTurns(row), ...kept }))
      return { rows, skipped: [], unread: unreadOf(record, rows) }
    },
  }
}

/** A text that is answered by messages is a user's turn. */
const answeredByMessages = (row: Row, location: RecordLocation): Row => {
  if (!('prompt' in row) || row.kind === 'prompt' || isMessages(row.prompt)) return row
  const responses = row.kind === 'ranking' ? row.responses : [row.kind === 'rated' ? row.response : row.completion]
  if (!responses.some(isMessages)) return row
  if (isIds(row.prompt)) {
    if (row.prompt.length) throw rowFault('wrong-type', 'is ids, and the response to it messages', location, 'prompt')
    return row
  }
  return { ...row, prompt: userTurn(row.prompt) }
}

const isText = (row: Row) => 'prompt' in row && typeof row.prompt === 'string'

const requireColumns = (record: Columns, wanted: readonly string[], location: RecordLocation) => {
  for (const name of wanted)
    if (!(name in record))
      throw rowFault('missing-column', `is not there; columns are ${columnNames(record)}`, location, name)
}

const besideOf = (record: Columns, wanted: readonly string[], location: RecordLocation): Completion['beside'] => {
  requireColumns(record, wanted, location)
  const text = (name: string) => conform(z.object({ [name]: textColumn }), record, location)[name]
  return Object.fromEntries(wanted.filter((name) => isThere(record[name])).map((name) => [name, text(name)]))
}

const wholeRecord = (record: Columns, needed: readonly string[], location: RecordLocation): Columns => {
  requireColumns(record, needed, location)
  return record
}

const detect = (
  { record, raw }: { record: Columns; raw: Columns },
  columns: Record<string, string>,
  location: RecordLocation,
  as: Wanted | undefined,
): Format => {
  for (const [name, column] of Object.entries(columns))
    if (!(name in record)) throw noColumn(raw, name, column, location)
  const format = formatOf(record) ?? formats.find(({ detect }) => detect(record))
  if (format) return format
  throw rowFault(
    'unknown-columns',
    `rows with the columns ${columnNames(record, location.own)} are of no known kind`,
    location,
    undefined,
    suggestion(record, as),
  )
}

/** The record under the usual names. Object.fromEntries defines, so that a column "__proto__" stays a column. */
const renamed = (given: Columns, columns: Record<string, string>, at: RecordLocation): Shaped => {
  const named = underNames(given, columns)
  const { own, ...shaped } = usualShape(named.record, { ...at, own: named.own })
  if (!own?.size) return { ...shaped, own: named.own }
  return { ...shaped, own: new Map([...(named.own ?? []), ...own]) }
}

const underNames = (
  record: Columns,
  columns: Record<string, string>,
): { record: Columns; own?: Map<string, string> } => {
  const to = new Map<string, string>()
  for (const column in record) {
    const name = column === 'conversations' ? conversationsName(record) : ALIASES.get(column)
    if (name && isThere(record[column]) && !isThere(record[name])) to.set(column, name)
  }
  for (const name in columns) to.set(columns[name], name)
  if (!to.size) return { record }
  const taken = new Set(to.values())
  const kept = Object.entries(record).filter(([column]) => to.has(column) || !taken.has(column))
  return {
    record: Object.fromEntries(kept.map(([column, value]) => [to.get(column) ?? column, idsIn(column, value)])),
    own: new Map(Array.from(to, ([column, name]) => [name, column])),
  }
}

/** ShareGPT's column holds the prompt alone where responses to it stand beside. */
const conversationsName = (record: Columns) =>
  isThere(record.chosen) || isThere(record.rejected) ? 'prompt' : 'messages'

/** A list under an alias is one of ids, even an empty one. */
const idsIn = (column: string, value: unknown) =>
  ALIASES.has(column) && Array.isArray(value) ? { input_ids: value } : value
