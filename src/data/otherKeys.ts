/**
 * What is said of chats whose messages have other keys than role and content, such as {"author", "body"}: which keys there
 * are, and what to do. `--column` renames columns of a row, and nothing inside them.
 */
import { quoted } from '../util/quote.ts'
import { columnNames, type RecordLocation, rowFault } from './check.ts'
import { isObject } from './issue.ts'

type Columns = Readonly<Record<string, unknown>>

/** Keys that a message names: one of a stranger may have any number. */
const SHOWN = 10

/** What to do about a chat that is written otherwise. */
export const rewrite = 'write them as {"role": "user", "content": "..."}'

/** Which keys a message of a stranger has, and by which ones messages are read. */
export const otherKeys = (message: Columns): string => {
  const keys = Object.keys(message)
  const shown = keys.slice(0, SHOWN).map((key) => quoted(key, 40))
  const more = keys.length > SHOWN ? ` and ${keys.length - SHOWN} more` : ''
  const has = keys.length ? `the keys ${shown.join(', ')}${more}` : 'no keys'
  return `${has}; messages are read by "role" and "content", or "from" and "value", and --column does not rename keys inside them: ${rewrite}`
}

/** Whether objects may be turns of a chat under other names: each has a text, and something that says who speaks. */
const areTurns = (values: readonly unknown[]): values is Columns[] =>
  values.length > 1 &&
  values.every((each) => {
    const inside = isObject(each) ? Object.values(each) : []
    return inside.length > 1 && inside.some((text) => typeof text === 'string')
  })

/** A line about the column that seems to hold a chat of other keys, where there is one. */
export const transcriptHint = (record: Columns): string[] => {
  const [found] = Object.entries(record).filter(([, value]) => Array.isArray(value) && areTurns(value))
  if (!found) return []
  const [name, turns] = found as [string, Columns[]]
  return [`the turns of a chat seem to be in ${quoted(name, 60)}, but have ${otherKeys(turns[0])}`]
}

/** A record has no column that --column names. @param raw as the file has it   @param name what the column is read as */
export const noColumn = (raw: Record<string, unknown>, name: string, column: string, location: RecordLocation) =>
  rowFault(
    'missing-column',
    `is not there (--column ${name}=${column}); columns are ${columnNames(raw)}`,
    location,
    column,
    innerKeyHint(raw, column),
  )

/** A line about a column that was named with --column and is a key inside another one. */
const innerKeyHint = (record: Columns, column: string): string[] => {
  const holder = (value: unknown) =>
    [value].flat().find((each) => isObject(each) && Object.hasOwn(each, column)) as Columns
  const found = Object.entries(record).find(([, value]) => holder(value))
  if (!found) return []
  const outer = quoted(found[0], 60)
  const inside = `it is a key inside ${outer}, and --column renames columns of a row alone`
  return [Array.isArray(found[1]) ? `${inside}; ${outer} has ${otherKeys(holder(found[1]))}` : inside]
}
