/**
 * Writes docs/api.md: `npm run api`, or `node docs/api.mjs FILE` to write elsewhere.
 * The page has the exports of `attune` and of the main file of each subpath, with their docstrings, and the names that the other
 * files of each room export. It reads the declarations in dist/ and relies on the layout of the compiler: a docstring, then
 * `export ...` at the beginning of a line.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const declarationsFile = (path) => join(root, path.replace(/\.(js|ts)$/, '.d.ts'))
const read = (path) => readFileSync(declarationsFile(path), 'utf8')

const docText = (doc) =>
  doc
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^[ \t]*\* ?/gm, '')
    .trim()

/** The header of a file: a docstring at its beginning that belongs to no declaration. */
const opening = (text) => {
  const [, doc, after] = /^(\/\*\*[\s\S]*?\*\/)\n(\S*)/.exec(text) ?? []
  return doc && after !== 'export' ? docText(doc) : ''
}

/** A declaration without the fields of `z.ZodObject<{...}>` and without import paths. */
const short = (code) => {
  const text = code
    .replace(/^export declare /, 'export ')
    .replace(/import\("[^"]+"\)\./g, '')
    .replaceAll('Tensor<keyof Params>', 'Tensor')
  const start = text.indexOf('z.ZodObject<{')
  if (start < 0) return text
  let depth = 0
  for (let at = start; at < text.length; at++) {
    depth += text[at] === '{' ? 1 : text[at] === '}' ? -1 : 0
    if (depth === 0 && text[at] === '}')
      return short(`${text.slice(0, start)}z.ZodObject${text.slice(text.indexOf('>', at) + 1)}`)
  }
  return text
}

const declared =
  /^(?:(\/\*\*(?:(?!\*\/)[\s\S])*?\*\/)\n)?((?:export (?:declare )?(?:const|function|class|type)|type) (\w+)[\s\S]*?(?:;|^\}))$(?=\n[^\s}]|\n*$(?![\s\S]))/gm

const declarationsOf = (text) =>
  [...text.matchAll(declared)].map(([, doc, code, name]) => ({ name, doc: doc ? docText(doc) : '', code: short(code) }))

const shown = ({ doc, code }) => [doc, ['```ts', code, '```'].join('\n')].filter(Boolean).join('\n\n')

const exported = (text) => declarationsOf(text).filter(({ code }) => code.startsWith('export'))

/** The declarations that a file re-exports from another file, with the types of that file that they use. */
const reExported = (text, from) =>
  [...text.matchAll(/^export (?:type )?\{ ([^}]+) \} from '(.+)'/gm)].flatMap(([, names, path]) => {
    const all = declarationsOf(read(join(dirname(from), path)))
    const wanted = new Set(names.split(', '))
    for (const name of wanted)
      for (const other of all)
        if (new RegExp(`\\b${other.name}\\b`).test(all.find((each) => each.name === name)?.code ?? ''))
          wanted.add(other.name)
    return all.filter(({ name }) => wanted.has(name))
  })

const main = ([subpath, path]) => {
  const text = read(path)
  return [
    `## attune${subpath.slice(1)}`,
    opening(text),
    ...[...exported(text), ...reExported(text, path)].map(shown),
    others(subpath, path),
  ]
}

/** The other files of the room, one line each. */
const others = (subpath, path) => {
  if (!exports[`${subpath}/*`]) return ''
  const names = readdirSync(join(root, dirname(path))).filter(
    (name) => name.endsWith('.d.ts') && !basename(path).startsWith(name.slice(0, -5)),
  )
  const lines = names.sort().map((name) => {
    const file = name.slice(0, -'.d.ts'.length)
    const text = read(join(dirname(path), `${file}.ts`))
    const exportedNames = exported(text).map((each) => `\`${each.name}\``)
    return exportedNames.length ? `- \`attune${subpath.slice(1)}/${file}\`: ${exportedNames.join(', ')}` : ''
  })
  return ['Other files of this room, and what they export:', lines.filter(Boolean).join('\n')].join('\n\n')
}

const page = [
  '# API',
  'Made by `npm run api` from the docstrings; [library.md](library.md) is the guide. What `attune` itself exports keeps its shape; the rooms below may change between minor versions.',
  ...Object.entries(exports)
    .filter(([subpath, path]) => path.endsWith('.js') && !subpath.endsWith('*'))
    .flatMap(main),
]
writeFileSync(process.argv[2] ?? join(root, 'docs', 'api.md'), `${page.filter(Boolean).join('\n\n')}\n`)
