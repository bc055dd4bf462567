/**
 * What nobody filled in: the rating of an answer, the better answer. In a table such a field is empty, in JSON it is null or not there at
 * all, and all three mean the same.
 *
 * That holds for columns that the user names, since rows of several kinds may share a file, and there null is no column at all.
 */
import type { RecordLocation } from './check.ts'

import type { LabelRule } from './labelRule.ts'
import { noColumn } from './otherKeys.ts'
import { isMessages, type Text } from './rows.ts'

type Columns = Record<string, unknown>

/** Of what people add to some answers only. */
const blankable = ['label', 'chosen'] as const

const isThere = (value: unknown) => value !== null && value !== undefined

export type BlankFiller = {
  /** The record, under the usual names, with '' where such a column is null or not there; in layouts with a head of columns these must be there. @param raw as the file has it */
  fill(record: Columns, raw: Columns, location: RecordLocation): Columns
  /** @throws Fault missing-column if no record had a column that the user named */
  end(): void
}

/** @param columns as --column names them   @param rule of labels, where the user gave one */
export const blankFiller = (columns: Readonly<Record<string, string>>, rule: LabelRule | undefined): BlankFiller => {
  const named = blankable.filter((name) => columns[name] !== undefined)
  const unseen = new Set<(typeof blankable)[number]>(named)
  let first: { raw: Columns; location: RecordLocation } | undefined
  const mayBeBlank = (record: Columns, name: (typeof blankable)[number], { layout }: RecordLocation) => {
    if (!(name in record)) return named.includes(name) && layout === 'rows'
    if (named.includes(name)) return true
    // A rating that a rule is given for
    return name === 'label' && rule !== undefined
  }
  return {
    fill(record, raw, location) {
      first ??= { raw, location }
      for (const name of unseen) if (name in record) unseen.delete(name)
      const blanks = blankable.filter((name) => !isThere(record[name]) && mayBeBlank(record, name, location))
      if (!blanks.length) return record
      // Both sides are conversations, or none is
      const chosen = isMessages(record.rejected as Text) ? [{ role: 'assistant', content: '' }] : ''
      return { ...record, ...Object.fromEntries(blanks.map((name) => [name, name === 'chosen' ? chosen : ''])) }
    },
    end() {
      for (const name of unseen) if (first) throw noColumn(first.raw, name, columns[name], first.location)
    },
  }
}
