/**
 * From tokens to the syntax tree, with Jinja2's grammar and precedences: `~` binds tighter than `+`, `**` goes from
 * left to right, filters and tests bind tighter than any operator. Templates that load others are refused.
 */

import type { Token } from './lexer.ts'
import { tokenize } from './lexer.ts'
import type { CallArgs, Expr, Signature, Statement, Target } from './nodes.ts'
import { parseExpressions } from './parserExpressions.ts'
import { templateFault, truthy } from './values.ts'

/** A cursor over tokens, shared by statements and expressions. */
export type Cursor = {
  current(): Token
  next(): Token
  /** The token after the current one. */
  look(): Token
  is(type: Token['type'], value?: string): boolean
  skip(type: Token['type'], value?: string): boolean
  expect(type: Token['type'], value?: string): Token
  fail(problem: string): never
  /** Runs a parse, and says which of the names that catch a macro's further arguments were read in it. */
  catching<T>(parse: () => T): { parsed: T; reads: Set<string> }
  /** A name was read. */
  read(name: string): void
  /** Guards recursion of the parser. */
  nested<T>(parse: () => T): T
}

export type Expressions = {
  expression(conditional?: boolean): Expr
  /** One expression, or several with commas as a tuple; `end` is a name that may follow. */
  tuple(conditional: boolean, end?: string): Expr
  target(withField: boolean, end?: string): Target
  filters(of: Expr | undefined, inline: boolean): Expr | undefined
  args(): CallArgs
}

const deepest = 200
const catchers = ['varargs', 'kwargs', 'caller']

export const parseTemplate = (source: string): Statement[] => {
  const cursor = cursorOver(tokenize(source))
  const body = parseStatements(cursor, parseExpressions(cursor))
  return body([])
}

const cursorOver = (tokens: Token[]): Cursor => {
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

/** Parses statements up to a block that begins with one of `ends`, and stops on that name. */
const parseStatements = (cursor: Cursor, { expression, tuple, target, filters }: Expressions) => {
  const { current, next, is, skip, expect, fail } = cursor

  const body = (ends: string[]): Statement[] =>
    cursor.nested(() => {
      const statements: Statement[] = []
      while (!is('eof')) {
        if (is('data')) statements.push({ type: 'data', text: String(next().value) })
        else if (skip('begin', 'variable')) {
          statements.push({ type: 'print', items: [tuple(true)] })
          expect('end', 'variable')
        } else {
          expect('begin', 'block')
          if (is('name') && ends.includes(String(current().value))) return statements
          statements.push(statement())
          expect('end', 'block')
        }
      }
      return ends.length ? fail(`a block is not closed; expected ${ends.join(' or ')}`) : statements
    })

  /** The body of the block whose tag is being read, and its end name. */
  const block = (...ends: string[]): { body: Statement[]; end: string } => {
    skip('operator', ':')
    expect('end', 'block')
    const statements = body(ends)
    return { body: statements, end: String(next().value) }
  }

  const statement = (): Statement => {
    const tag = String(expect('name').value)
    const parse = Object.hasOwn(tags, tag) ? tags[tag] : undefined
    if (parse) return parse()
    if (['include', 'import', 'from', 'extends'].includes(tag))
      return fail(`${tag} is refused: a chat template may not load others`)
    return fail(`unknown tag ${tag}`)
  }

  const tags: Record<string, () => Statement> = {
    if: () => {
      const branches: { test: Expr; body: Statement[] }[] = []
      let end = 'elif'
      while (end === 'elif') {
        const test = tuple(false)
        const found = block('elif', 'else', 'endif')
        branches.push({ test, body: found.body })
        end = found.end
      }
      return { type: 'if', branches, otherwise: end === 'else' ? block('endif').body : [] }
    },
    for: () => {
      const over = { target: target(false, 'in'), in: expect('name', 'in') && tuple(false, 'recursive') }
      const test = skip('name', 'if') ? expression() : undefined
      const recursive = skip('name', 'recursive')
      const found = block('endfor', 'else')
      const otherwise = found.end === 'else' ? block('endfor').body : []
      return { type: 'for', target: over.target, over: over.in, test, recursive, body: found.body, otherwise }
    },
    set: () => {
      const to = target(true)
      if (skip('operator', '=')) return { type: 'set', target: to, value: tuple(true) }
      const filter = filters(undefined, false)
      return { type: 'setBlock', target: to, filter, body: block('endset').body }
    },
    with: () => {
      const pairs: [Target, Expr][] = []
      while (!is('end')) {
        if (pairs.length) expect('operator', ',')
        const to = target(false)
        expect('operator', '=')
        pairs.push([to, expression()])
      }
      return { type: 'with', pairs, body: block('endwith').body }
    },
    macro: () => {
      const name = String(expect('name').value)
      const parameters = signature()
      const { parsed, reads } = cursor.catching(() => block('endmacro'))
      return { type: 'macro', name, parameters, reads, body: parsed.body }
    },
    call: () => {
      const parameters = is('operator', '(') ? signature() : []
      const call = expression()
      if (call.type !== 'call') return fail('expected a call')
      const { parsed, reads } = cursor.catching(() => block('endcall'))
      return { type: 'callBlock', call, parameters, reads, body: parsed.body }
    },
    filter: () => ({ type: 'filterBlock', filter: filters(undefined, true)!, body: block('endfilter').body }),
    block: () => {
      expect('name')
      while (is('name', 'scoped') || is('name', 'required')) next()
      const statement: Statement = { type: 'scope', body: block('endblock').body }
      skip('name')
      return statement
    },
    autoescape: () => {
      const on = expression()
      if (on.type !== 'const') return fail('autoescape must be true or false')
      return { type: 'scope', body: block('endautoescape').body, escapes: truthy(on.value) }
    },
    generation: () => ({ type: 'generation', body: block('endgeneration').body }),
    print: () => {
      const items: Expr[] = []
      while (!is('end')) {
        if (items.length) expect('operator', ',')
        items.push(expression())
      }
      return { type: 'print', items }
    },
    break: () => ({ type: 'break' }),
    continue: () => ({ type: 'continue' }),
  }

  const signature = (): Signature['parameters'] => {
    const parameters: Signature['parameters'] = []
    expect('operator', '(')
    while (!is('operator', ')')) {
      if (parameters.length) expect('operator', ',')
      const name = String(expect('name').value)
      const fallback = skip('operator', '=') ? expression() : undefined
      if (!fallback && parameters.at(-1)?.fallback) fail('a parameter without a default follows one with a default')
      parameters.push({ name, fallback })
    }
    expect('operator', ')')
    return parameters
  }

  return body
}
