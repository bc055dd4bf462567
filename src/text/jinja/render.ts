/**
 * Jinja2 templates as transformers renders them: sandboxed, immutable, with loop controls and {% generation %}. This
 * engine exists because a template comes from strangers and must run within a budget, and because @huggingface/jinja
 * prints and reads values differently from Jinja2 (test/parity/jinjaLibrary.test.ts shows where).
 */
import type { Limits } from './budget.ts'
import { budgetOf, defaultLimits } from './budget.ts'
import { checkNames } from './checkNames.ts'
import type { Rendering } from './execute.ts'
import { execute } from './execute.ts'
import { filterNames } from './filters.ts'
import { fieldOf } from './fromData.ts'
import { globals } from './globals.ts'
import type { Statement } from './nodes.ts'
import { parseTemplate } from './parser.ts'
import { templateFault } from './values.ts'

export type RenderOptions = {
  now?: () => Date
  limits?: Limits
  /** Whether texts of the data are marked, see marks.ts; then so is the result. */
  marked?: boolean
}

export type Rendered = {
  readonly text: string
  /** [start, end) in UTF-16 units, one for each {% generation %} block. */
  readonly spans: readonly (readonly [number, number])[]
}

const longest = 2 ** 20

/** Parses once; throws a Fault (code `template`) with the line of what is wrong. */
export const compileTemplate = (source: string): readonly Statement[] => {
  if (source.length > longest)
    throw templateFault(`the chat template has ${source.length} characters; at most ${longest} are read`)
  return bounded(() => {
    const statements = parseTemplate(source)
    checkNames(statements)
    return statements
  })
}

/**
 * Renders with plain data. Throws a Fault (code `template`), whose message is the template's own for raise_exception.
 */
export const renderTemplate = (
  template: readonly Statement[],
  data: Readonly<Record<string, unknown>>,
  options: RenderOptions = {},
): Rendered => {
  const budget = budgetOf(options.limits ?? defaultLimits, options.marked)
  const context: Rendering = { budget, filterNames, page: { parts: [], length: 0 }, spans: [] }
  const names = new Map(
    Object.entries(data)
      .filter(([, value]) => value !== undefined)
      .map(([name]) => [name, fieldOf(data, name)]),
  )
  const outer = { names: globals(options.now ?? (() => new Date()), budget) }
  bounded(() => execute(template, { names, outer }, context.page, context))
  budget.spendText(context.page.length)
  return { text: context.page.parts.join(''), spans: context.spans }
}

/** The depth limits come first; should the stack end before them, that is a fault too. */
const bounded = <T>(run: () => T): T => {
  try {
    return run()
  } catch (error) {
    if (error instanceof RangeError) throw templateFault('the chat template nests too deep or makes too long a text')
    throw error
  }
}
