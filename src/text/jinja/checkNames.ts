/**
 * Refuses filters and tests that do not exist before anything is rendered, as Jinja2 does when it compiles a template.
 * As in Jinja2, those directly inside a condition are not checked: they fail only when they are reached.
 */
import { filterNames } from './filters.ts'
import type { Expr, Statement } from './nodes.ts'
import { testNames } from './tests.ts'
import { fail } from './values.ts'

type Node = Statement | Expr | { readonly [field: string]: unknown } | readonly unknown[]

/** Statements with a frame of their own: a condition around them does not count for their bodies. */
const frames = ['for', 'setBlock', 'with', 'macro', 'callBlock', 'filterBlock', 'scope', 'generation']
/** Fields of such a statement that are evaluated outside its frame. */
const outside = ['over', 'pairs', 'call']

export const checkNames = (body: readonly Statement[]): void => check(body, false)

const check = (node: unknown, soft: boolean): void => {
  if (Array.isArray(node)) for (const inner of node) check(inner, soft)
  else if (typeof node === 'object' && node !== null && !(node instanceof Set)) checkNode(node as Node, soft)
}

const checkNode = (node: Node, soft: boolean): void => {
  const { type, name } = node as { type?: unknown; name?: unknown }
  if (!soft && type === 'filter' && !filterNames.has(name)) fail(`No filter named '${name}'.`)
  if (!soft && type === 'test' && !testNames.has(name)) fail(`No test named '${name}'.`)
  if (type === 'const') return
  const under = type === 'if' || type === 'choice' ? true : soft
  const inFrame = typeof type === 'string' && frames.includes(type)
  for (const [field, inner] of Object.entries(node)) check(inner, inFrame && !outside.includes(field) ? false : under)
}
