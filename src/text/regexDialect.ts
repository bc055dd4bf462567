/**
 * The differences between two syntaxes of regular expressions: Oniguruma's (tokenizer.json) and JavaScript's with the
 * flag u.
 */
/**
 * Places that an anchor matches: ends of the text or of lines, and word boundaries. `anyLine...` know all of
 * JavaScript's line breaks.
 */
export type Anchor =
  | 'start'
  | 'end'
  | 'endLine'
  | 'lineStart'
  | 'lineEnd'
  | 'anyLineStart'
  | 'anyLineEnd'
  | 'word'
  | 'noWord'

export type Dialect = {
  readonly isJavaScript: boolean
  readonly ignoreCase: boolean
  /** The dot takes line breaks too. */
  readonly dotAll: boolean
  readonly dot: string
  readonly caret: Anchor
  readonly dollar: Anchor
  /** Anchors that are written as a backslash and a letter. */
  readonly anchors: Readonly<Record<string, Anchor>>
  /** A repeat may be repeated (a+*), + after a quantifier takes without giving back, and {,n} is one. */
  readonly stacksQuantifiers: boolean
  /** Letters that stand for a control character after a backslash. */
  readonly controls: Readonly<Record<string, number>>
  /** Classes, in the syntax of JavaScript's v flag. */
  readonly shorthands: Readonly<Record<string, string>>
}

/** Latin-1 keeps its superscripts and fractions as word characters, an old table of Oniguruma's. */
export const wordClass = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]'

/** Shorthand classes follow Unicode; ^ and $ are those of lines, and (?m) lets the dot take line breaks. */
export const oniguruma: Dialect = {
  isJavaScript: false,
  ignoreCase: false,
  dotAll: false,
  dot: '[^\\n]',
  caret: 'lineStart',
  dollar: 'lineEnd',
  anchors: { A: 'start', z: 'end', Z: 'endLine', b: 'word', B: 'noWord' },
  stacksQuantifiers: true,
  controls: { n: 10, t: 9, r: 13, f: 12, v: 11, a: 7, e: 27 },
  shorthands: { s: '\\p{White_Space}', d: '\\p{Nd}', w: wordClass, h: '[0-9A-Fa-f]' },
}

export const javaScriptWord = '[0-9A-Za-z_]'

/** @param flags of i, m, s and u; u is always taken as given: a character is a code point */
export const javaScript = (flags: string): Dialect => ({
  isJavaScript: true,
  ignoreCase: flags.includes('i'),
  dotAll: flags.includes('s'),
  dot: '[^\\n\\r\\u2028\\u2029]',
  caret: flags.includes('m') ? 'anyLineStart' : 'start',
  dollar: flags.includes('m') ? 'anyLineEnd' : 'end',
  anchors: { b: 'word', B: 'noWord' },
  stacksQuantifiers: false,
  controls: { n: 10, t: 9, r: 13, f: 12, v: 11 },
  shorthands: { s: '\\s', d: '[0-9]', w: javaScriptWord },
})
