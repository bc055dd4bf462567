/**
 * `npm run api` also makes the list of files in docs/architecture.md: each file of src/ with the first sentence of its header.
 * `node docs/files.mjs FILE` writes the page with the list elsewhere.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const page = join(root, 'docs', 'architecture.md')

/** The first sentence of the docstring that a file opens with. An abbreviation such as "et al." or "eq." ends none. */
const firstSentence = (text) => {
  const [, doc = ''] = /^\/\*\*([\s\S]*?)\*\//.exec(text) ?? []
  const plain = doc
    .replace(/^\s*\* ?/gm, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return (/^.*?(?<!\bal|\beq|\bi\.e|\be\.g|\bNo)[.?!](?=\s|$)/.exec(plain)?.[0] ?? plain).replace(/\.$/, '')
}

const files = readdirSync(join(root, 'src'), { recursive: true })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$|\.d\.ts$/.test(path))
  .sort()

const rooms = Map.groupBy
  ? Map.groupBy(files, (path) => dirname(path))
  : files.reduce((map, path) => map.set(dirname(path), [...(map.get(dirname(path)) ?? []), path]), new Map())

const list = [...rooms]
  .map(([room, paths]) => {
    const lines = paths.map((path) => {
      const name = path.slice(room === '.' ? 0 : room.length + 1)
      return `- \`${name}\` ${firstSentence(readFileSync(join(root, 'src', path), 'utf8'))}`
    })
    return `### ${room === '.' ? 'src' : room}\n\n${lines.join('\n')}\n`
  })
  .join('\n')

const [begin, end] = ['<!-- files -->', '<!-- /files -->']
const text = readFileSync(page, 'utf8')
const [before, after] = [text.slice(0, text.indexOf(begin)), text.slice(text.indexOf(end))]
writeFileSync(process.argv[2] ?? page, `${before}${begin}\n\n${list}\n${after}`)
