/** Shared by the scripts that write results into a page: the log of a run, a Markdown table, and replacing the text between two marks. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->']

/** The events of a run, in the order in which they were logged. */
export const eventsOf = (dir) =>
  readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

export const table = ([head, ...rows]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

/** Replaces the text between the marks of `page` by `figures`. */
export const fill = (page, figures) => {
  const text = readFileSync(page, 'utf8')
  const [before, after] = [text.slice(0, text.indexOf(begin) + begin.length), text.slice(text.indexOf(end))]
  writeFileSync(page, `${before}\n\n${figures}\n\n${after}`)
}
