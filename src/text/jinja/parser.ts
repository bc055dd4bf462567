/**
 * Parses a template into a syntax tree, with Jinja2's grammar and precedences: `~` binds tighter than `+`, `**` goes
 * from left to right, filters and tests bind tighter than any operator. Tags that load other templates are refused.
 */

import { type Cursor, cursorOver } from './cursor.ts'
import { tokenize } from './lexer.ts'
import type { Expr, Signature, Statement, Target } from './nodes.ts'
import { type Expressions, parseExpressions } from './parserExpressions.ts'
import { truthy } from './values.ts'

export const parseTemplate = (source: string): Statement[] => {
  const cursor = cursorOver(tokenize(source))
  const body = parseStatements(cursor, parseExpressions(cursor))
  return body([])
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
