/**
 * How a JSON file wrote its numbers and ordered its keys. JavaScript loses what Python keeps: 1.0 becomes 1,
 * 12345678901234567890 is rounded, the keys "10" and "2" change places. Chat templates print all three. So the object or list
 * that holds such a number or key keeps the original text under a symbol. Its values stay plain numbers, and a copy by spread
 * keeps the symbol.
 */

const written = Symbol('as written')

type Written = {
  /** Texts of numbers by key or index. */
  numbers?: Map<string, string>
  /** All keys in the order of the file. */
  keys?: string[]
}
type Holder = { [key: PropertyKey]: unknown; [written]?: Written }

/** Whether the plain number says less than its text: another number in Python, or another text. */
export const saysLess = (text: string, value: number): boolean =>
  String(value) !== text || (Number.isInteger(value) && !Number.isSafeInteger(value))

/** Notes how the number at a key was written; undefined takes the note away. */
export const noteNumber = (holder: object, key: string | number, text: string | undefined): void => {
  const note = ((holder as Holder)[written] ??= {})
  if (text === undefined) note.numbers?.delete(String(key))
  else (note.numbers ??= new Map()).set(String(key), text)
}

export const noteKeys = (holder: object, keys: string[]): void => {
  ;((holder as Holder)[written] ??= {}).keys = keys
}

export const hasNotes = (holder: object): boolean => (holder as Holder)[written] !== undefined

/** A copy made key by key takes the notes of its original. */
export const carryNotes = <T extends object>(from: object, to: T): T => {
  const note = (from as Holder)[written]
  if (note) (to as Holder)[written] = note
  return to
}

/** How the number at a key was written; undefined where its plain text says it all, or where it was changed since. */
export const numberText = (holder: object, key: string | number): string | undefined => {
  const text = (holder as Holder)[written]?.numbers?.get(String(key))
  return text !== undefined && Object.is(Number(text), (holder as Holder)[key]) ? text : undefined
}

/** An object's keys in the order of the file. */
export const keysInOrder = (holder: object): string[] => {
  const keys = Object.keys(holder)
  const order = (holder as Holder)[written]?.keys
  if (!order) return keys
  const left = new Set(keys)
  return [...order.filter((key) => left.delete(key)), ...left]
}

/** JSON.stringify, with numbers and keys as they were written. */
export const stringify = (value: unknown): string => (noted(value) ? withNotes(value) : JSON.stringify(value))

const noted = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return false
  if (hasNotes(value)) return true
  return Array.isArray(value) ? value.some(noted) : Object.values(value).some(noted)
}

const withNotes = (value: unknown): string => {
  if (!noted(value)) return JSON.stringify(value) ?? 'null'
  const holder = value as object
  const one = (key: string | number) => numberText(holder, key) ?? withNotes((holder as Holder)[key])
  if (Array.isArray(holder)) return `[${holder.map((_, i) => one(i)).join(',')}]`
  const keys = keysInOrder(holder).filter((key) => (holder as Holder)[key] !== undefined)
  return `{${keys.map((key) => `${JSON.stringify(key)}:${one(key)}`).join(',')}}`
}
