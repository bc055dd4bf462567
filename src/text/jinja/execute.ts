/**
 * Executes statements of a template. `for` and blocks open scopes, `if` does not. A name that a turn of a loop sets is
 * gone in the next turn; templates use a namespace to keep it. The text inside {% generation %} is recorded as spans of
 * the result.
 */
import type { Budget, Context } from './budget.ts'
import type { Scope } from './evaluate.ts'
import { blockText, evaluate, innerScope, lookUp } from './evaluate.ts'
import { loopVariable } from './loop.ts'
import { escapedText } from './markup.ts'
import type { Signature, Statement, Target } from './nodes.ts'
import { itemsOf } from './operations.ts'
import { str } from './print.ts'
import type { Args, PyFunction, Value } from './values.ts'
import { dict, fail, func, is, markup, missing, truthy, tuple } from './values.ts'

/**
 * Text that is being written: the page, which is the result, or the text of a macro or block that is not on the page
 * yet.
 */
export type Output = { parts: string[]; length: number }

export type Rendering = Context & {
  readonly page: Output
  /** [start, end) in UTF-16 units of the page, one for each {% generation %} that was executed. */
  readonly spans: [number, number][]
}

type Signal = 'break' | 'continue' | undefined

const write = (out: Output, text: string, { budget }: Context) => {
  out.parts.push(text)
  out.length += text.length
  budget.checkLength(out.length)
}

export const execute = (statements: readonly Statement[], scope: Scope, out: Output, context: Rendering): Signal => {
  for (const statement of statements) {
    context.budget.spend(1)
    const signal = context.budget.deeper(() => executeOne(statement, scope, out, context))
    if (signal) return signal
  }
  return undefined
}

const capture = (statements: readonly Statement[], scope: Scope, context: Rendering): string => {
  const out: Output = { parts: [], length: 0 }
  execute(statements, scope, out, context)
  context.budget.spendText(out.length)
  return out.parts.join('')
}

/** The text of a macro or block as a value. */
const asValue = (text: string, { escapes }: Context): Value => (escapes ? markup(text) : text)

const printed = (value: Value, { budget, escapes }: Context): string =>
  escapes ? escapedText(value, budget) : str(value, budget)

const executeOne = (statement: Statement, scope: Scope, out: Output, context: Rendering): Signal => {
  if (statement.type === 'break' || statement.type === 'continue') return statement.type
  if (statement.type === 'if') {
    const branch = statement.branches.find(({ test }) => truthy(evaluate(test, scope, context)))
    return execute(branch?.body ?? statement.otherwise, scope, out, context)
  }
  if (statement.type === 'with') {
    const inner = innerScope(scope)
    for (const [target, value] of statement.pairs)
      assign(target, evaluate(value, scope, context), inner, context.budget)
    return execute(statement.body, inner, out, context)
  }
  if (statement.type === 'scope')
    return execute(statement.body, innerScope(scope), out, {
      ...context,
      escapes: statement.escapes ?? context.escapes,
    })
  if (statement.type === 'data') write(out, statement.text, context)
  else if (statement.type === 'print') {
    for (const item of statement.items) write(out, printed(evaluate(item, scope, context), context), context)
  } else if (statement.type === 'set')
    assign(statement.target, evaluate(statement.value, scope, context), scope, context.budget)
  else if (statement.type === 'setBlock') {
    const text = asValue(capture(statement.body, innerScope(scope), context), context)
    const value = statement.filter ? filtered(statement.filter, text, scope, context) : text
    assign(statement.target, value, scope, context.budget)
  } else if (statement.type === 'filterBlock') {
    const text = asValue(capture(statement.body, innerScope(scope), context), context)
    write(out, printed(filtered(statement.filter, text, scope, context), context), context)
  } else if (statement.type === 'macro')
    scope.names.set(statement.name, macro(statement.name, statement, statement.body, scope, context))
  else if (statement.type === 'callBlock') write(out, printed(callBlock(statement, scope, context), context), context)
  else if (statement.type === 'generation') generation(statement.body, scope, out, context)
  else loop(statement, itemsOf(evaluate(statement.over, scope, context), context.budget), scope, out, context, 0)
  return undefined
}

const filtered = (filter: Parameters<typeof evaluate>[0], text: Value, scope: Scope, context: Rendering): Value =>
  evaluate(filter, { names: new Map([[blockText, text]]), outer: scope }, context)

const generation = (body: readonly Statement[], scope: Scope, out: Output, context: Rendering) => {
  const text = capture(body, innerScope(scope), context)
  context.spans.push([context.page.length, context.page.length + text.length])
  write(out, text, context)
}

const assign = (target: Target, value: Value, scope: Scope, budget: Budget): void => {
  if (target.type === 'name') scope.names.set(target.name, value)
  else if (target.type === 'tuple') {
    const items = itemsOf(value, budget)
    if (items.length !== target.items.length)
      fail(
        `${items.length < target.items.length ? 'not enough' : 'too many'} values to unpack (expected ${target.items.length})`,
      )
    target.items.forEach((item, i) => {
      assign(item, items[i], scope, budget)
    })
  } else {
    const holder = lookUp(scope, target.name)
    if (is(holder, 'object') && holder.set) holder.set(target.field, value)
    else fail('cannot assign attribute on non-namespace object')
  }
}

type For = Statement & { type: 'for' }

const loop = (
  statement: For,
  all: readonly Value[],
  scope: Scope,
  out: Output,
  context: Rendering,
  depth: number,
): void => {
  const items = all.filter((item) => {
    context.budget.spend(1)
    if (!statement.test) return true
    const inner = innerScope(scope)
    assign(statement.target, item, inner, context.budget)
    return truthy(evaluate(statement.test, inner, context))
  })
  const recurse = ({ list, named }: Args): Value => {
    if (list.length !== 1 || named.size) return fail('loop() takes the items of the inner loop')
    const nested: Output = { parts: [], length: 0 }
    context.budget.deeper(() => loop(statement, itemsOf(list[0], context.budget), scope, nested, context, depth + 1))
    context.budget.spendText(nested.length)
    return nested.parts.join('')
  }
  const { variable, turn } = loopVariable(items, depth, context.budget, statement.recursive ? recurse : undefined)
  // as in Jinja2, `else` also runs where {% continue %} or {% break %} ended every turn
  let wentThrough = false
  for (const [i, item] of items.entries()) {
    turn(i)
    const inner = innerScope(scope)
    inner.names.set('loop', variable)
    assign(statement.target, item, inner, context.budget)
    const signal = execute(statement.body, inner, out, context)
    wentThrough ||= signal === undefined
    if (signal === 'break') break
  }
  if (!wentThrough) execute(statement.otherwise, innerScope(scope), out, context)
}

const macro = (
  name: string,
  signature: Signature,
  body: readonly Statement[],
  scope: Scope,
  context: Rendering,
): PyFunction => ({
  ...func(name, (args) =>
    context.budget.deeper(() => {
      const inner = innerScope(scope)
      bindMacro(name, signature, args, inner, context)
      return asValue(capture(body, inner, context), context)
    }),
  ),
  shown: `<Macro '${name}'>`,
})

/**
 * Binds arguments by position, then by name, then by default; further ones only where the body reads varargs or kwargs.
 */
const bindMacro = (name: string, { parameters, reads }: Signature, args: Args, inner: Scope, context: Rendering) => {
  const rest = new Map(args.named)
  parameters.forEach(({ name: parameter, fallback }, i) => {
    const given = i < args.list.length ? args.list[i] : rest.get(parameter)
    if (i >= args.list.length) rest.delete(parameter)
    const unset = () =>
      fallback ? evaluate(fallback, inner, context) : missing(`parameter '${parameter}' was not provided`)
    inner.names.set(parameter, given === undefined ? unset() : given)
  })
  if (reads.has('caller') && !parameters.some((parameter) => parameter.name === 'caller')) {
    const caller = rest.get('caller')
    inner.names.set('caller', caller === undefined || caller === null ? missing('No caller defined') : caller)
    rest.delete('caller')
  }
  if (reads.has('kwargs')) inner.names.set('kwargs', dict(rest))
  else if (rest.size) fail(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`)
  if (reads.has('varargs')) inner.names.set('varargs', tuple(args.list.slice(parameters.length)))
  else if (args.list.length > parameters.length)
    fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`)
}

const callBlock = (statement: Statement & { type: 'callBlock' }, scope: Scope, context: Rendering): Value => {
  const caller: PyFunction = {
    ...macro('caller', statement, statement.body, scope, context),
    shown: '<Macro anonymous>',
  }
  const outer: Scope = { names: new Map([[blockCaller, caller as Value]]), outer: scope }
  const { callee, args } = statement.call
  const withCaller = {
    ...args,
    named: [...args.named, ['caller', { type: 'name', name: blockCaller }]] as typeof args.named,
  }
  return evaluate({ type: 'call', callee, args: withCaller }, outer, context)
}

const blockCaller = ' caller'
