/** Python's ideas of white space, lines and cases, which are not JavaScript's. */

/** str.isspace, and \s of re. */
export const space = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const isSpace = new RegExp(`^[${space}]$`)

/** Without the characters at the chosen ends; white space where no characters are named. */
export const strip = (text: string, chars: string | undefined, left: boolean, right: boolean): string => {
  const set = chars === undefined ? undefined : new Set(chars)
  const goes = (char: string) => (set ? set.has(char) : isSpace.test(char))
  const points = [...text]
  let [from, to] = [0, points.length]
  while (left && from < to && goes(points[from])) from++
  while (right && to > from && goes(points[to - 1])) to--
  return points.slice(from, to).join('')
}

/** Words between white space; at most `most` cuts, from the left or the right. Below 0: no limit. */
export const splitSpace = (text: string, most: number, right: boolean): string[] => {
  const words = [...text.matchAll(new RegExp(`[^${space}]+`, 'g'))]
  if (most < 0 || words.length <= most) return words.map(([word]) => word)
  if (right) {
    const rest = words.length - most
    const end = words[rest - 1]
    return [text.slice(0, end.index + end[0].length), ...words.slice(rest).map(([word]) => word)]
  }
  const heads = words.slice(0, most).map(([word]) => word)
  return [...heads, text.slice(words[most].index)]
}

export const splitAt = (text: string, separator: string, most: number, right: boolean): string[] => {
  const parts = text.split(separator)
  if (most < 0 || parts.length <= most + 1) return parts
  if (right) return [parts.slice(0, parts.length - most).join(separator), ...parts.slice(parts.length - most)]
  return [...parts.slice(0, most), parts.slice(most).join(separator)]
}

const lineEnd = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029'
const wholeLines = new RegExp(`[^${lineEnd}]*(?:\\r\\n|[${lineEnd}])|[^${lineEnd}]+$`, 'g')
const endOfLine = new RegExp(`(?:\\r\\n|[${lineEnd}])$`)

/** str.splitlines. */
export const lines = (text: string, keepEnds = false): string[] => {
  const found = text.match(wholeLines) ?? []
  return keepEnds ? found : found.map((line) => line.replace(endOfLine, ''))
}

export const capitalize = (text: string): string => {
  const [first = '', ...rest] = text
  return first.toUpperCase() + rest.join('').toLowerCase()
}

/** str.title: a letter after none is upper case, all others lower. */
export const titleCase = (text: string): string => text.replace(/\p{Cased}+/gu, (word) => capitalize(word))

export const isUpper = (text: string): boolean => /\p{Lu}/u.test(text) && !/\p{Ll}/u.test(text)
export const isLower = (text: string): boolean => /\p{Ll}/u.test(text) && !/\p{Lu}/u.test(text)

/** str.replace with a count, below 0: all. An empty pattern matches between all characters. */
export const replace = (text: string, from: string, to: string, most: number): string => {
  if (most < 0) return from === '' ? [...text].map((char) => to + char).join('') + to : text.replaceAll(from, () => to)
  if (from === '') {
    const points = [...text]
    const head = points.slice(0, most).map((char) => to + char)
    return head.join('') + (most > points.length ? to : '') + points.slice(most).join('')
  }
  const parts = text.split(from)
  return (
    parts.slice(0, most + 1).join(to) +
    parts
      .slice(most + 1)
      .map((part) => from + part)
      .join('')
  )
}
