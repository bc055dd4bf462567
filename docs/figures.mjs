/** What the scripts that fill a page share: a table in Markdown, and a page's part between its two marks. */
import { readFileSync, writeFileSync } from 'node:fs'

const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->']

export const table = ([head, ...rows]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

/** Puts `figures` between the marks of `page`. */
export const fill = (page, figures) => {
  const text = readFileSync(page, 'utf8')
  const [before, after] = [text.slice(0, text.indexOf(begin) + begin.length), text.slice(text.indexOf(end))]
  writeFileSync(page, `${before}\n\n${figures}\n\n${after}`)
}
