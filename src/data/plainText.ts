/** Texts as a person reads them, and whether they say anything. */
import { shownTurn } from './messages.ts'
import { isIds, isMessages, type Text } from './rows.ts'

/** The text as a person reads it; undefined for token ids. */
export const plainOf = (text: Text): string | undefined =>
  isIds(text) ? undefined : typeof text === 'string' ? text : text.map(shownTurn).join('\n')

/** Whether messages hold more than text, such as calls of tools. */
export const hasFields = (text: Text): boolean =>
  isMessages(text) && text.some(({ content: _, role: __, ...more }) => Object.keys(more).length > 0)

/** Nothing, or white space alone. */
export const isBlank = (text: Text): boolean =>
  isIds(text) ? text.length === 0 : !hasFields(text) && !plainOf(text)!.trim()
