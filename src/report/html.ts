/** HTML in template strings. Every value that is put in is escaped, unless it is itself the result of `html` or `raw`. */
import { escapeText } from './svg.ts'

export type Html = { readonly html: string }

/** Text that is HTML already. */
export const raw = (text: string): Html => ({ html: text })

type Value = string | number | Html | readonly Html[]

export const html = (parts: TemplateStringsArray, ...values: readonly Value[]): Html =>
  raw(parts.reduce((text, part, i) => text + escaped(values[i - 1]) + part))

const escaped = (value: Value): string => {
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value))
  return 'html' in value ? value.html : value.map((each) => each.html).join('\n')
}
