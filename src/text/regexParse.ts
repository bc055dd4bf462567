/**
 * Parses a regular expression into a tree, in Oniguruma's syntax (that of tokenizer.json) or in JavaScript's with the
 * flag u. What cannot be matched without remembering captures (back references, \G, \R, \X) is refused.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Anchor, Dialect } from './regexDialect.ts'
import { wordClass } from './regexDialect.ts'

export type Node =
  | { type: 'set'; source: string; ignoreCase: boolean }
  | { type: 'sequence'; items: Node[] }
  | { type: 'choice'; items: Node[] }
  | { type: 'repeat'; item: Node; min: number; max: number; lazy: boolean }
  | { type: 'atomic'; item: Node }
  | { type: 'look'; item: Node; ahead: boolean; negate: boolean }
  | { type: 'anchor'; kind: Anchor }

const deepest = 100
const longest = 10_000

export const parseRegex = (pattern: string, dialect: Dialect): Node => {
  const fail = (problem: string): never => {
    throw badInput('bad-pattern', `the pattern ${quoted(pattern)} ${problem}`)
  }
  if (pattern.length > longest) fail(`has ${pattern.length} characters; at most ${longest} are read`)
  const chars = [...pattern]
  let at = 0
  let depth = 0
  let { ignoreCase, dotAll } = dialect

  const looking = (text: string) => chars.slice(at, at + [...text].length).join('') === text
  const take = (text: string): boolean => {
    const found = looking(text)
    if (found) at += [...text].length
    return found
  }
  const set = (source: string): Node => ({ type: 'set', source, ignoreCase })

  const choice = (): Node => {
    if (++depth > deepest) fail(`nests deeper than ${deepest}`)
    const outer = { ignoreCase, dotAll }
    const items = [sequence()]
    while (take('|')) items.push(sequence())
    ;({ ignoreCase, dotAll } = outer)
    depth--
    return items.length === 1 ? items[0] : { type: 'choice', items }
  }

  const sequence = (): Node => {
    const items: Node[] = []
    while (at < chars.length && chars[at] !== '|' && chars[at] !== ')') {
      const item = atom()
      if (item) items.push(quantified(item))
    }
    return { type: 'sequence', items }
  }

  const quantified = (item: Node, nested = 1): Node => {
    const bounds = quantifier()
    if (!bounds) return item
    if (nested > (dialect.stacksQuantifiers ? deepest : 1)) fail('repeats a repeat')
    const [min, max, braces] = bounds
    if (max < min) fail(`repeats from ${min} to ${max} times`)
    const lazy = take('?')
    const possessive = dialect.stacksQuantifiers && !lazy && !braces && take('+')
    const repeat: Node = { type: 'repeat', item, min, max, lazy }
    return quantified(possessive ? { type: 'atomic', item: repeat } : repeat, nested + 1)
  }

  const quantifier = (): [number, number, boolean] | undefined => {
    if (take('*')) return [0, Infinity, false]
    if (take('+')) return [1, Infinity, false]
    if (take('?')) return [0, 1, false]
    const braces = chars[at] === '{' && /^\{(\d*)(,?)(\d*)\}/.exec(chars.slice(at, at + 24).join(''))
    if (!braces || (!braces[1] && (!braces[3] || !dialect.stacksQuantifiers))) return undefined
    at += braces[0].length
    const min = Number(braces[1] || 0)
    return [min, braces[3] ? Number(braces[3]) : braces[2] ? Infinity : min, true]
  }

  /** Undefined for what matches nothing by itself: a flag group or a comment. */
  const atom = (): Node | undefined => {
    const char = chars[at++]
    if (char === '(') return group()
    if (char === '[') return set(bracket())
    if (char === '.') return set(dotAll ? '[^]' : dialect.dot)
    if (char === '^') return { type: 'anchor', kind: dialect.caret }
    if (char === '$') return { type: 'anchor', kind: dialect.dollar }
    if (char === '\\') return anchor(chars[at]) ?? set(escaped(false))
    if ('*+?'.includes(char)) fail(`has nothing before ${char} to repeat`)
    return set(literal(char))
  }

  const anchor = (char: string): Node | undefined => {
    const kind = Object.hasOwn(dialect.anchors, char ?? '') ? dialect.anchors[char] : undefined
    if (!kind) return undefined
    at++
    return { type: 'anchor', kind }
  }

  const group = (): Node | undefined => {
    if (!dialect.isJavaScript && take('?#')) {
      while (at < chars.length && chars[at] !== ')') at++
      return close(undefined)
    }
    if (take('?:')) return close(choice())
    if (!dialect.isJavaScript && take('?>')) return close({ type: 'atomic', item: choice() })
    if (take('?=')) return close({ type: 'look', item: choice(), ahead: true, negate: false })
    if (take('?!')) return close({ type: 'look', item: choice(), ahead: true, negate: true })
    if (take('?<=')) return close({ type: 'look', item: choice(), ahead: false, negate: false })
    if (take('?<!')) return close({ type: 'look', item: choice(), ahead: false, negate: true })
    const named = looking('?<') && /^\?<[\w$]+>/.exec(chars.slice(at, at + 64).join(''))
    if (named) at += named[0].length
    else if (take('?')) return dialect.isJavaScript ? fail('has a group that is not understood') : flags()
    return close(choice())
  }

  const flags = (): Node | undefined => {
    const found = /^([imx]*)(?:-([imx]*))?([:)])/.exec(chars.slice(at, at + 12).join(''))
    if (!found || `${found[1]}${found[2] ?? ''}`.includes('x'))
      return fail(`has a group (?${chars[at] ?? ''} that is not understood`)
    at += found[0].length
    const outer = { ignoreCase, dotAll }
    const on = (flag: string, before: boolean) =>
      found[1].includes(flag) ? true : found[2]?.includes(flag) ? false : before
    ignoreCase = on('i', ignoreCase)
    dotAll = on('m', dotAll)
    if (found[3] === ')') return undefined
    const inner = choice()
    ;({ ignoreCase, dotAll } = outer)
    return close(inner)
  }

  const close = <T extends Node | undefined>(node: T): T => {
    if (!take(')')) fail('has an open group')
    return node
  }

  /** After `[`: the class in the syntax of JavaScript's v flag, which nests and intersects as Oniguruma does. */
  const bracket = (): string => {
    if (++depth > deepest) fail(`nests deeper than ${deepest}`)
    const negate = take('^')
    const parts: string[][] = [[]]
    for (let first = !dialect.isJavaScript; first || chars[at] !== ']'; first = false) {
      if (at >= chars.length) fail('has an open class')
      if (!dialect.isJavaScript && take('&&')) parts.push([])
      else parts[parts.length - 1].push(member())
    }
    at++
    depth--
    const operands = parts.map((part) =>
      part.length === 1 && part[0].startsWith('[') ? part[0] : `[${part.join('')}]`,
    )
    return `[${negate ? '^' : ''}${parts.length === 1 ? parts[0].join('') : operands.join('&&')}]`
  }

  const member = (): string => {
    const posix = !dialect.isJavaScript && looking('[:') && /^\[:(\^?)(\w+):\]/.exec(chars.slice(at, at + 24).join(''))
    if (posix) {
      at += posix[0].length
      return property(posix[2], posix[1] === '^')
    }
    if (!dialect.isJavaScript && take('[')) return bracket()
    const from = single()
    const range = chars[at] === '-' && chars[at + 1] !== ']' && at + 1 < chars.length && from.startsWith('\\u')
    if (!range || (!dialect.isJavaScript && looking('-['))) return from
    const mark = at++
    const to = single()
    if (to.startsWith('\\u')) return `${from}-${to}`
    at = mark
    return from
  }

  const single = (): string => {
    const char = chars[at++]
    return char === '\\' ? escaped(true) : literal(char)
  }

  /** After a backslash, in or outside of a class. */
  const escaped = (inClass: boolean): string => {
    const char = chars[at++]
    const control = inClass && char === 'b' ? 8 : dialect.controls[char ?? '']
    if (control !== undefined) return literal(String.fromCharCode(control))
    if (char === 'x' || char === 'u') return codePoint(char)
    if (char === 'p' || char === 'P') return namedProperty(char === 'P')
    const shorthand = dialect.shorthands[char?.toLowerCase() ?? '']
    if (shorthand) return char === char.toLowerCase() ? shorthand : `[^${shorthand}]`
    if (char === '0') return literal('\0')
    if (char === undefined || /[A-Za-z0-9]/.test(char)) fail(`has \\${char ?? ''}, which is not understood`)
    return literal(char)
  }

  const codePoint = (kind: string): string => {
    const rest = chars.slice(at, at + 12).join('')
    const found = (
      kind === 'x' ? /^(?:\{([\da-f]{1,8})\}|([\da-f]{1,2}))/i : /^(?:\{([\da-f]{1,8})\}|([\da-f]{4}))/i
    ).exec(rest)
    const value = found ? Number.parseInt(found[1] ?? found[2], 16) : Infinity
    if (!found || value > 0x10ffff) return fail(`has a wrong \\${kind}`)
    at += found[0].length
    return literal(String.fromCodePoint(value))
  }

  const namedProperty = (negate: boolean): string => {
    const found = /^(?:\{(\^?)([\w= -]+)\}|(\w))/.exec(chars.slice(at, at + 64).join(''))
    if (!found) return fail('has a wrong \\p')
    at += found[0].length
    return property(found[2] ?? found[3], negate !== (found[1] === '^'))
  }

  const property = (name: string, negate: boolean): string => {
    const known = dialect.isJavaScript ? undefined : posixClasses[name.toLowerCase()]
    const source = known ?? [`\\p{${name}}`, `\\p{Script=${name}}`].find(compiles)
    return source === undefined ? fail(`has the unknown property ${name}`) : negate ? `[^${source}]` : source
  }

  const tree = choice()
  if (at < chars.length) fail('closes a group that was not opened')
  return tree
}

const literal = (char: string): string => `\\u{${char.codePointAt(0)!.toString(16)}}`

const compiles = (source: string): boolean => {
  try {
    return Boolean(new RegExp(source, 'v'))
  } catch {
    return false
  }
}

const posixClasses: Record<string, string> = {
  alpha: '\\p{Alphabetic}',
  alnum: '[\\p{Alphabetic}\\p{Nd}]',
  ascii: '[\\u{0}-\\u{7f}]',
  blank: '[\\p{Zs}\\u{9}]',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  lower: '\\p{Lowercase}',
  punct: '[\\p{P}\\p{S}]',
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  word: wordClass,
  xdigit: '[0-9A-Fa-f]',
}
