/** The syntax tree of a template. */
import type { Value } from './values.ts'

export type CallArgs = { list: Expr[]; named: [string, Expr][]; restList?: Expr; restNamed?: Expr }

export type Expr =
  | { type: 'const'; value: Value }
  | { type: 'name'; name: string }
  | { type: 'tuple'; items: Expr[] }
  | { type: 'list'; items: Expr[] }
  | { type: 'dict'; entries: [Expr, Expr][] }
  | { type: 'attribute'; of: Expr; name: string }
  | { type: 'item'; of: Expr; key: Expr }
  | { type: 'slice'; of: Expr; start?: Expr; stop?: Expr; step?: Expr }
  | { type: 'call'; callee: Expr; args: CallArgs }
  /** Without `of` the filter takes the block's text, in {% filter %} and {% set x | f %}. */
  | { type: 'filter'; of?: Expr; name: string; args: CallArgs }
  | { type: 'test'; of: Expr; name: string; args: CallArgs }
  | { type: 'not'; of: Expr }
  | { type: 'negative'; of: Expr }
  | { type: 'positive'; of: Expr }
  | { type: 'and'; left: Expr; right: Expr }
  | { type: 'or'; left: Expr; right: Expr }
  | { type: 'arithmetic'; operator: string; left: Expr; right: Expr }
  | { type: 'concat'; items: Expr[] }
  | { type: 'compare'; first: Expr; rest: [operator: string, Expr][] }
  | { type: 'choice'; test: Expr; yes: Expr; no?: Expr }

export type Target =
  | { type: 'name'; name: string }
  | { type: 'field'; name: string; field: string }
  | { type: 'tuple'; items: Target[] }

export type Signature = {
  parameters: { name: string; fallback?: Expr }[]
  /** Which of varargs, kwargs and caller the body reads; only those take further arguments. */
  reads: ReadonlySet<string>
}

export type Statement =
  | { type: 'data'; text: string }
  | { type: 'print'; items: Expr[] }
  | { type: 'if'; branches: { test: Expr; body: Statement[] }[]; otherwise: Statement[] }
  | {
      type: 'for'
      target: Target
      over: Expr
      test?: Expr
      recursive: boolean
      body: Statement[]
      otherwise: Statement[]
    }
  | { type: 'set'; target: Target; value: Expr }
  | { type: 'setBlock'; target: Target; filter?: Expr; body: Statement[] }
  | { type: 'with'; pairs: [Target, Expr][]; body: Statement[] }
  | ({ type: 'macro'; name: string; body: Statement[] } & Signature)
  | ({ type: 'callBlock'; call: Expr & { type: 'call' }; body: Statement[] } & Signature)
  | { type: 'filterBlock'; filter: Expr; body: Statement[] }
  /** `escapes` is set by {% autoescape %}. */
  | { type: 'scope'; body: Statement[]; escapes?: boolean }
  | { type: 'generation'; body: Statement[] }
  | { type: 'break' }
  | { type: 'continue' }
