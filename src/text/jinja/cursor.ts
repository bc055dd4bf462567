/** A cursor over a template's tokens, shared by the parsers of statements and of expressions. */
import type { Token } from './lexer.ts'
import { templateFault } from './values.ts'

export type Cursor = {
  current(): Token
  next(): Token
  /** The token after the current one. */
  look(): Token
  is(type: Token['type'], value?: string): boolean
  skip(type: Token['type'], value?: string): boolean
  expect(type: Token['type'], value?: string): Token
  fail(problem: string): never
  /**
   * Runs a parse, and says which of varargs, kwargs and caller were read in it: a macro that reads one takes further
   * arguments.
   */
  catching<T>(parse: () => T): { parsed: T; reads: Set<string> }
  /** Notes that a name was read. */
  read(name: string): void
  /** Runs a parse one level deeper; fails beyond the deepest level. */
  nested<T>(parse: () => T): T
}

const deepest = 200
const catchers = ['varargs', 'kwargs', 'caller']

export const cursorOver = (tokens: Token[]): Cursor => {
  let at = 0
  let depth = 0
  let reads = new Set<string>()
  const current = () => tokens[Math.min(at, tokens.length - 1)]
  const is = (type: Token['type'], value?: string) =>
    current().type === type && (value === undefined || current().value === value)
  const fail = (problem: string): never => {
    throw templateFault(`the chat template is wrong at line ${current().line}: ${problem}`)
  }
  const next = () => {
    const token = current()
    at++
    return token
  }
  const skip = (type: Token['type'], value?: string) => {
    const found = is(type, value)
    if (found) at++
    return found
  }
  return {
    current,
    next,
    look: () => tokens[Math.min(at + 1, tokens.length - 1)],
    is,
    skip,
    expect: (type, value) =>
      is(type, value) ? next() : fail(`expected ${value ?? type}, found ${String(current().value || current().type)}`),
    fail,
    catching: (parse) => {
      const outer = reads
      reads = new Set()
      const parsed = parse()
      const found = reads
      reads = new Set([...outer, ...found])
      return { parsed, reads: found }
    },
    read: (name) => {
      if (catchers.includes(name)) reads.add(name)
    },
    nested: (parse) => {
      if (++depth > deepest) fail(`it nests deeper than ${deepest}`)
      const result = parse()
      depth--
      return result
    },
  }
}
