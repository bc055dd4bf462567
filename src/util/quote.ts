/**
 * How text from outside (files, servers, flags) is shown in a message: on one line, with control characters, line breaks,
 * direction marks and broken surrogates as visible escapes, and cut where it is long.
 */

/** C0, DEL and C1 controls, format characters (direction marks, zero width), line and paragraph separators, lone surrogates. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

const short: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (char: string) => {
  const code = char.codePointAt(0) as number
  return short[char] ?? (code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`)
}

/** The text on one line, with an escape for each character that would not be seen. */
export const visible = (text: string): string => text.replace(unseen, escaped)

/**
 * A value from outside in double quotes, visible, at most `limit` characters of it (the rest is counted).
 * @example quoted('a\u001b[31m\nb') // "a\u001b[31m\nb" with the escapes spelled out
 */
export const quoted = (value: unknown, limit = 200): string => {
  const text = typeof value === 'string' ? value : json(value)
  const cut = text.length > limit ? text.slice(0, limit) : text
  const inner = visible(cut.replace(/["\\]/g, '\\$&'))
  const rest = text.length - cut.length
  const shown = typeof value === 'string' ? `"${inner}"` : visible(cut)
  return rest ? `${shown}… (${rest} characters more)` : shown
}

/** What is nested too deeply, or holds itself, is named by its kind. */
const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return `(${Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`})`
  }
}
