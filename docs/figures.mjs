/** Shared by the scripts that write results into a page: runs and their logs, a Markdown table, and replacing the text between two marks. */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const bin = join(dirname(fileURLToPath(import.meta.url)), '..', 'bin', 'attune.js')

const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->']

/** What a command of attune printed. Tells when it began and ended, by the name of its --output. */
export const attune = async (...args) => {
  const name = `${args[0]} ${args.includes('--output') ? args[args.indexOf('--output') + 1] : ''}`
  console.error(`${new Date().toISOString()} ${name}`)
  const { stdout } = await promisify(execFile)(process.execPath, [bin, ...args.map(String)], { maxBuffer: 2 ** 28 })
  console.error(`${new Date().toISOString()} ${name}: done`)
  return stdout
}

/**
 * What the tasks return, in their order. As many run at a time as there are cores: give each one thread, with which a core does more than
 * its share with several. No result depends on it.
 */
export const sideBySide = async (tasks) => {
  const results = []
  let next = 0
  const worker = async () => {
    while (next < tasks.length) {
      const i = next++
      results[i] = await tasks[i]()
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return results
}

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
