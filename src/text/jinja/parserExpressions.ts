/**
 * Parses expressions, from loose to tight binding: a if b else c, or, and, not, comparisons, + -, ~, * / // %, **,
 * signs.
 */
import type { Cursor } from './cursor.ts'
import type { CallArgs, Expr, Target } from './nodes.ts'

/** What the parser of statements needs of the parser of expressions. */
export type Expressions = {
  expression(conditional?: boolean): Expr
  /** One expression, or several with commas as a tuple; `end` is a name that may follow. */
  tuple(conditional: boolean, end?: string): Expr
  target(withField: boolean, end?: string): Target
  filters(of: Expr | undefined, inline: boolean): Expr | undefined
  args(): CallArgs
}

const constants: Record<string, null | boolean> = {
  true: true,
  false: false,
  True: true,
  False: false,
  none: null,
  None: null,
}
const comparisons = ['==', '!=', '<', '<=', '>', '>=']
/** Names that end a test instead of being its argument. */
const testEnds = ['else', 'or', 'and']

export const parseExpressions = (cursor: Cursor): Expressions => {
  const { current, next, look, is, skip, expect, fail } = cursor
  const operator = (...values: string[]): string | undefined =>
    current().type === 'operator' && values.includes(String(current().value)) ? String(next().value) : undefined

  const expression = (conditional = true): Expr => cursor.nested(() => (conditional ? choice() : or()))

  const choice = (): Expr => {
    let value = or()
    while (skip('name', 'if')) {
      const test = or()
      value = { type: 'choice', test, yes: value, no: skip('name', 'else') ? expression() : undefined }
    }
    return value
  }

  const or = (): Expr => {
    let left = and()
    while (skip('name', 'or')) left = { type: 'or', left, right: and() }
    return left
  }

  const and = (): Expr => {
    let left = not()
    while (skip('name', 'and')) left = { type: 'and', left, right: not() }
    return left
  }

  const not = (): Expr => (skip('name', 'not') ? { type: 'not', of: cursor.nested(not) } : comparison())

  const comparison = (): Expr => {
    const first = sum()
    const rest: [string, Expr][] = []
    for (let found = comparator(); found; found = comparator()) rest.push([found, sum()])
    return rest.length ? { type: 'compare', first, rest } : first
  }

  const comparator = (): string | undefined => {
    if (skip('name', 'in')) return 'in'
    if (!is('name', 'not') || look().type !== 'name' || look().value !== 'in') return operator(...comparisons)
    next()
    next()
    return 'not in'
  }

  const chain = (operators: string[], tighter: () => Expr) => (): Expr => {
    let left = tighter()
    for (let found = operator(...operators); found; found = operator(...operators))
      left = { type: 'arithmetic', operator: found, left, right: tighter() }
    return left
  }

  const unary = (withFilters = true): Expr =>
    cursor.nested(() => {
      const sign = operator('-', '+')
      const value: Expr = sign ? { type: sign === '-' ? 'negative' : 'positive', of: unary(false) } : primary()
      const whole = postfix(value)
      return withFilters ? filtersAndTests(whole) : whole
    })

  const power = chain(['**'], unary)
  const product = chain(['*', '/', '//', '%'], power)
  const concat = (): Expr => {
    const items = [product()]
    while (operator('~')) items.push(product())
    return items.length === 1 ? items[0] : { type: 'concat', items }
  }
  const sum = chain(['+', '-'], concat)

  const primary = (): Expr => {
    const token = next()
    if (token.type === 'name') {
      const name = token.value
      cursor.read(name)
      return Object.hasOwn(constants, name) ? { type: 'const', value: constants[name] } : { type: 'name', name }
    }
    if (token.type === 'string') {
      let text = token.value
      while (is('string')) text += String(next().value)
      return { type: 'const', value: text }
    }
    if (token.type === 'integer') return { type: 'const', value: token.value }
    if (token.type === 'float') return { type: 'const', value: { kind: 'float', value: token.value } }
    if (token.value === '(') return parenthesized()
    if (token.value === '[') return { type: 'list', items: listed(']', expression) }
    if (token.value === '{') return { type: 'dict', entries: listed('}', entry) }
    return fail(`unexpected ${String(token.value) || 'end of template'}`)
  }

  const parenthesized = (): Expr => {
    const value: Expr = is('operator', ')') ? { type: 'tuple', items: [] } : tuple(true)
    expect('operator', ')')
    return value
  }

  const listed = <T>(close: string, parse: () => T): T[] => {
    const items: T[] = []
    while (!skip('operator', close)) {
      if (items.length) {
        expect('operator', ',')
        if (skip('operator', close)) break
      }
      items.push(parse())
    }
    return items
  }

  const entry = (): [Expr, Expr] => {
    const key = expression()
    expect('operator', ':')
    return [key, expression()]
  }

  const tuple = (conditional: boolean, end?: string): Expr => {
    const items: Expr[] = []
    let commas = false
    const ended = () => is('end') || is('operator', ')') || (end !== undefined && is('name', end))
    do {
      if (ended()) break
      items.push(expression(conditional))
    } while (skip('operator', ',') && (commas = true))
    if (!commas && items.length) return items[0]
    return commas ? { type: 'tuple', items } : fail('expected an expression')
  }

  const target = (withField: boolean, end?: string): Target => {
    const items: Target[] = []
    let commas = false
    const ended = () =>
      is('end') || is('operator', ')') || is('operator', '=') || (end !== undefined && is('name', end))
    do {
      if (ended()) break
      items.push(oneTarget(withField, end))
    } while (skip('operator', ',') && (commas = true))
    if (!commas && items.length) return items[0]
    return commas ? { type: 'tuple', items } : fail('expected a name')
  }

  const oneTarget = (withField: boolean, end?: string): Target => {
    if (skip('operator', '(')) {
      const inner = cursor.nested(() => target(withField, end))
      expect('operator', ')')
      return inner
    }
    const name = String(expect('name').value)
    if (Object.hasOwn(constants, name)) fail(`can't assign to ${name}`)
    return withField && skip('operator', '.')
      ? { type: 'field', name, field: String(expect('name').value) }
      : { type: 'name', name }
  }

  const postfix = (value: Expr): Expr => {
    for (let whole = value; ; ) {
      if (skip('operator', '.')) whole = member(whole)
      else if (skip('operator', '[')) whole = subscript(whole)
      else if (is('operator', '(')) whole = { type: 'call', callee: whole, args: args() }
      else return whole
    }
  }

  const member = (of: Expr): Expr => {
    const token = next()
    if (token.type === 'name') return { type: 'attribute', of, name: token.value }
    return token.type === 'integer'
      ? { type: 'item', of, key: { type: 'const', value: token.value } }
      : fail('expected a name or number')
  }

  const subscript = (of: Expr): Expr => {
    const bound = () => (is('operator', ':') || is('operator', ']') ? undefined : expression())
    const start = bound()
    if (!skip('operator', ':')) {
      const items = [start ?? fail('expected a subscript')]
      while (skip('operator', ',')) items.push(expression())
      expect('operator', ']')
      return { type: 'item', of, key: items.length === 1 ? items[0] : { type: 'tuple', items } }
    }
    const stop = bound()
    const step = skip('operator', ':') ? bound() : undefined
    expect('operator', ']')
    return { type: 'slice', of, start, stop, step }
  }

  const args = (): CallArgs => {
    const found: CallArgs = { list: [], named: [] }
    expect('operator', '(')
    for (let first = true; !skip('operator', ')'); first = false) {
      if (!first) {
        expect('operator', ',')
        if (skip('operator', ')')) break
      }
      if (operator('*')) found.restList = expression()
      else if (operator('**')) found.restNamed = expression()
      else if (is('name') && look().type === 'operator' && look().value === '=') {
        const name = String(next().value)
        next()
        found.named.push([name, expression()])
      } else {
        if (found.named.length || found.restList || found.restNamed) fail('invalid syntax for function call expression')
        found.list.push(expression())
      }
    }
    return found
  }

  const filtersAndTests = (value: Expr): Expr => {
    for (let whole = value; ; ) {
      if (is('operator', '|')) whole = filters(whole, false)!
      else if (skip('name', 'is')) whole = test(whole)
      else if (is('operator', '(')) whole = { type: 'call', callee: whole, args: args() }
      else return whole
    }
  }

  /** `inline`: the first filter's name comes without a bar, as in {% filter upper %}. */
  const filters = (of: Expr | undefined, inline: boolean): Expr | undefined => {
    let whole = of
    for (let bare = inline; bare || skip('operator', '|'); bare = false) {
      const name = dotted()
      whole = { type: 'filter', of: whole, name, args: is('operator', '(') ? args() : { list: [], named: [] } }
    }
    return whole
  }

  const dotted = (): string => {
    let name = String(expect('name').value)
    while (skip('operator', '.')) name += `.${String(expect('name').value)}`
    return name
  }

  const test = (of: Expr): Expr => {
    const negated = skip('name', 'not')
    const name = dotted()
    const whole: Expr = { type: 'test', of, name, args: testArgs() }
    return negated ? { type: 'not', of: whole } : whole
  }

  const testArgs = (): CallArgs => {
    if (is('operator', '(')) return args()
    const { type, value } = current()
    const starts =
      type === 'name'
        ? !testEnds.includes(value)
        : ['string', 'integer', 'float'].includes(type) || is('operator', '[') || is('operator', '{')
    if (!starts) return { list: [], named: [] }
    if (is('name', 'is')) fail('tests cannot be chained with is')
    return { list: [postfix(primary())], named: [] }
  }

  return { expression, tuple, target, filters, args }
}
