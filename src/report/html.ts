/** HTML in template strings. Peculiar: whatever is put in is escaped, unless it is HTML that was made here. */
import { escapeText } from './svg.ts'

export type Html = { readonly html: string }

export const raw = (text: string): Html => ({ html: text })

type Value = string | number | Html | readonly Html[]

export const html = (parts: TemplateStringsArray, ...values: readonly Value[]): Html =>
  raw(parts.reduce((text, part, i) => text + written(values[i - 1]) + part))

const written = (value: Value): string => {
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value))
  return 'html' in value ? value.html : value.map((each) => each.html).join('\n')
}
