/**
 * Patterns of tokenizer.json as functions that find their matches. Patterns of well-known tokenizers run on
 * JavaScript's own engine, rewritten for its \s and flags. Any other pattern comes from a file that is not trusted and
 * runs on a matcher that takes time linear in the text (regexMatch.ts).
 */
import { badInput } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import type { JsonPart } from './jsonPart.ts'
import { javaScript, javaScriptWord, oniguruma, wordClass } from './regexDialect.ts'
import { findAll, hasMatch } from './regexMatch.ts'
import { parseRegex } from './regexParse.ts'
import { compileProgram } from './regexProgram.ts'
import type { Work } from './work.ts'

/** Bounds of all matches, [start, end] flat and in order; `work` says how many steps the search may take. */
export type Pattern = (text: string, work?: Work) => number[]

/** GPT-2's pattern, built into the ByteLevel pre-tokenizer. */
export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/**
 * The pattern of Llama 3 and similar tokenizers, which differ in how they take digits. (?i:) also folds U+017F to s.
 */
const modern = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
const modernNative = (digits: string) =>
  new RegExp(
    `'(?:[sS\\u017fdDmMtT]|[lL][lL]|[vVrR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*|\\p{White_Space}*[\\r\\n]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+`,
    'gu',
  )

/** Published patterns and equal ones in JavaScript; none of them backtracks more than the length of a run. */
export const knownPatterns: ReadonlyMap<string, RegExp> = new Map([
  [
    gpt2Pattern,
    /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu,
  ],
  [modern('\\p{N}{1,3}'), modernNative('\\p{N}{1,3}')],
  [modern('\\p{N}'), modernNative('\\p{N}')],
  [' {2,}', / {2,}/g],
])

export const regexPattern = (source: string): Pattern => {
  const known = knownPatterns.get(source)
  if (known) return (text) => nativeMatches(known, text)
  return linearPattern(source)
}

/** Any pattern, on the matcher that cannot hang. */
export const linearPattern = (source: string): Pattern => {
  const program = compileProgram(source, parseRegex(source, oniguruma), wordClass)
  return (text, work) => findAll(program, text, work)
}

/**
 * Whether a text contains a match of a regular expression in JavaScript's syntax, in time linear in the text: no
 * pattern can hang it. Takes the flags i, m, s and u; characters are code points, as with u. Groups, classes,
 * quantifiers greedy and lazy, anchors, \\b and looking around are understood, looking behind by a fixed width only.
 * Throws a Fault 'bad-pattern' for what it does not understand (back references, repeats of what may be empty) and for
 * patterns of more than 10,000 characters, 20,000 steps or 100 levels; the search throws 'slow-pattern' for a text that
 * takes more than 500 steps a character.
 * @example regexSearch('^(\\w+\\s?)+~', 'i')('a b ~') // true
 */
export const regexSearch = (source: string, flags = ''): ((text: string) => boolean) => {
  const unknown = [...flags].find((flag, i) => !'imsu'.includes(flag) || flags.indexOf(flag) < i)
  if (unknown !== undefined)
    throw badInput('bad-pattern', `the flag ${quoted(unknown)} is not understood; i, m, s and u are`)
  const program = compileProgram(source, parseRegex(source, javaScript(flags)), javaScriptWord)
  return (text) => hasMatch(program, text)
}

const nativeMatches = (regex: RegExp, text: string): number[] => {
  const matches: number[] = []
  regex.lastIndex = 0
  for (let match = regex.exec(text); match; match = regex.exec(text)) matches.push(match.index, regex.lastIndex)
  return matches
}

export const textPattern =
  (wanted: string): Pattern =>
  (text) => {
    const matches: number[] = []
    if (!wanted) return matches
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length))
      matches.push(at, at + wanted.length)
    return matches
  }

/** Each character that passes the test is a match. */
export const characterPattern =
  (test: (char: string) => boolean): Pattern =>
  (text) => {
    const matches: number[] = []
    let at = 0
    for (const char of text) {
      if (test(char)) matches.push(at, at + char.length)
      at += char.length
    }
    return matches
  }

/** `{"String": ...}` or `{"Regex": ...}`. */
export const readPattern = (json: JsonPart): Pattern => {
  if (json.has('String')) return textPattern(json.at('String').text())
  if (!json.has('Regex')) return json.fail('should hold String or Regex')
  return withFile(json, () => regexPattern(json.at('Regex').text()))
}

const withFile = <T>(json: JsonPart, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    return json.fail(`is refused: ${cut((error as Error).message, 300)}`)
  }
}
