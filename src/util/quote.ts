/**
 * How text from outside (files, servers, flags) is shown in a message: on one line, with control characters, line breaks,
 * direction marks and broken surrogates as visible escapes, and cut where it is long.
 */

/** C0, DEL and C1 controls, line and paragraph separators, lone surrogates. */
const controls = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/gu
/** These, marks that turn the direction of text, the byte order mark and tags: what makes a message look like another. */
const unseen = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu

const short: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (char: string) => {
  const code = char.codePointAt(0) as number
  return short[char] ?? (code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`)
}

/** The text on one line, with an escape for each character that would not be seen. */
export const visible = (text: string): string => text.replace(unseen, escaped)

/** A text of several lines for a screen: line breaks and tabs stay, other control characters are shown as escapes. */
export const printable = (text: string): string =>
  text.replace(controls, (char) => (char === '\n' || char === '\t' ? char : escaped(char)))

/**
 * A value from outside in double quotes, visible, at most `limit` characters of it (the rest is counted).
 * @example quoted('a\u001b[31m\nb') // "a\u001b[31m\nb" with the escapes spelled out
 */
export const quoted = (value: unknown, limit = 200): string => {
  const text = typeof value === 'string' ? value : json(value)
  if (typeof value !== 'string') return cut(visible(text), limit)
  const shown = `"${visible(text.slice(0, limit).replace(/["\\]/g, '\\$&'))}"`
  return text.length > limit ? shown + more(text.length - limit) : shown
}

/** A text that is too long to be read, cut, with the count of what is left out. */
export const cut = (text: string, limit: number): string =>
  text.length > limit ? text.slice(0, limit) + more(text.length - limit) : text

const more = (count: number) => `… (${count} characters more)`

/** What is nested too deeply, or holds itself, is named by its kind. */
const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return `(${Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`})`
  }
}
