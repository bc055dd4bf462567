/** The columns of a record in messages, and the fault of a column that --column names and a record has not. */
import { type RecordLocation, rowFault } from './check.ts'

type Columns = Readonly<Record<string, unknown>>

/** Columns that a message names: a record of a stranger may have any number. */
const SHOWN = 20

/** The columns of a record, for a message. */
export const columnNames = (record: Columns): string => {
  const all = Object.keys(record)
  const shown = all.slice(0, SHOWN).map((name) => (name.length > 100 ? `${name.slice(0, 100)}...` : name))
  return `${shown.join(', ') || 'none'}${all.length > SHOWN ? ` and ${all.length - SHOWN} more` : ''}`
}

/** @param column which the record should have under this name */
export const noColumn = (record: Columns, name: string, column: string, location: RecordLocation) =>
  rowFault(
    'missing-column',
    `is not there (--column ${name}=${column}); columns are ${columnNames(record)}`,
    location,
    column,
  )
