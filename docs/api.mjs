/**
 * Writes the API pages of the site from the types and docstrings of src/: `node docs/api.mjs [FOLDER]`, a part of `npm run docs`.
 * A page for `attune` and one for the main file of each folder that package.json exports, which also names what the folder's other
 * files export. The pages lie in docs/api/, which git ignores.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Application } from 'typedoc'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const importPath = (subpath) => `attune${subpath.slice(1)}`

/** What a program can import, in the order of package.json: `{ name: 'attune/tensor', file: '.../src/tensor/tensor.ts' }`. */
export const entries = Object.entries(exports)
  .filter(([subpath, path]) => path.endsWith('.js') && !subpath.includes('*'))
  .map(([subpath, path]) => ({
    name: importPath(subpath),
    file: join(root, path.replace(/^\.\/dist/, 'src').replace(/\.js$/, '.ts')),
  }))

/** What the comment at the beginning of a file says. */
const opening = (file) => {
  const [, doc = '', next] = /^\/\*\*([\s\S]*?)\*\/\n(\S*)/.exec(readFileSync(file, 'utf8')) ?? []
  return next === 'export' ? '' : doc.replace(/^[ \t]*\* ?/gm, '').trim()
}

const exportedNames = (file) =>
  [...readFileSync(file, 'utf8').matchAll(/^export (?:async )?(?:const|function\*?|class|type|interface) (\w+)/gm)].map(
    ([, name]) => name,
  )

/** The other files of the folder of an entry, a line each. */
const otherFiles = ({ name, file }) => {
  if (!exports[`.${name.slice('attune'.length)}/*`]) return ''
  const folder = dirname(file)
  const lines = readdirSync(folder)
    .filter((other) => /\.ts$/.test(other) && !/\.(test|d)\.ts$/.test(other) && join(folder, other) !== file)
    .map((other) => [other.slice(0, -3), exportedNames(join(folder, other))])
    .filter(([, names]) => names.length)
    .map(([path, names]) => `| \`${name}/${path}\` | ${names.map((each) => `\`${each}\``).join(', ')} |`)
  return ['\n## Other files\n', '| import | what it exports |', '| --- | --- |', ...lines, ''].join('\n')
}

/** A heading of a method that has no text before the next heading or table. */
const isBareMethod = (line, after) =>
  /^#{3,} (?!Constructor).*\(\)$/.test(line) && /^(#|\|)/.test(after.find((next) => next !== '') ?? '#')

/** What a page says nothing of: headings of exports and methods without a text below, and rows of tables without a description. */
export const undescribed = (page) => {
  const withoutCode = page.replace(/```[\s\S]*?```/g, '')
  const [, ...sections] = withoutCode.replace(/\n## Other files\n[\s\S]*/, '').split(/^## /m)
  return sections.flatMap((section) => {
    const [title, ...lines] = section.split('\n')
    const name = title.split(' ')[0]
    const first = lines.find((line) => line && line !== '***')
    const rows = lines.filter((line) => /^\| .* \| - \|$/.test(line)).map((line) => line.replace(/<[^>]*>/g, ''))
    const isBare = (line) => /^\| (Property|Name) \|/.test(line) && !line.includes('| Description |')
    const tables = name.endsWith('()') ? [] : lines.filter(isBare)
    return [
      ...(!first || /^(#|\|)/.test(first) ? [name] : []),
      ...rows.map((row) => `${name}: ${row}`),
      ...lines.flatMap((line, i) =>
        isBareMethod(line, lines.slice(i + 1)) ? [`${name}: ${line.replace(/^#+ /, '')}`] : [],
      ),
      ...tables.map(() => `${name}: no property has a description`),
    ]
  })
}

/** What is called first, then what it takes and gives. */
const kindSortOrder = ['Function', 'Variable', 'Interface', 'TypeAlias', 'Class', 'Enum']

const write = async (out) => {
  rmSync(out, { recursive: true, force: true })
  const app = await Application.bootstrapWithPlugins({
    ...{ name: 'API', entryPoints: entries.map(({ file }) => file), tsconfig: join(root, 'tsconfig.build.json') },
    ...{ plugin: ['typedoc-plugin-markdown'], router: 'module', entryFileName: 'index', readme: 'none' },
    ...{ alwaysCreateEntryPointModule: true, disableSources: true, excludeExternals: true, skipErrorChecking: true },
    ...{
      sort: ['kind', 'source-order'],
      kindSortOrder,
      logLevel: 'Error',
      hidePageHeader: true,
      hideBreadcrumbs: true,
      hideGroupHeadings: true,
    },
    ...{ pageTitleTemplates: { module: '{name}' }, outputs: [{ name: 'markdown', path: out }], sanitizeComments: true },
    // A property that is inherited is described like the others; where it comes from stands above the table
    ...{ tableColumnSettings: { hideInherited: true, hideOverrides: true } },
    ...{ parametersFormat: 'table', propertiesFormat: 'table', typeAliasPropertiesFormat: 'table' },
    ...{
      interfacePropertiesFormat: 'table',
      typeDeclarationFormat: 'table',
      useCodeBlocks: true,
      expandObjects: false,
    },
  })
  const project = await app.convert()
  if (!project) throw new Error('TypeDoc could not read src/')
  for (const module of project.children) {
    const isOf = ({ file }) => relative(join(root, 'src'), file).replaceAll('\\', '/') === `${module.name}.ts`
    module.name = entries.find(isOf).name
  }
  await app.generateOutputs(project)
  // docs/api.md is the list of the modules
  rmSync(join(out, 'index.md'))
  const missing = []
  for (const entry of entries) {
    const page = join(out, `${entry.name}.md`)
    const text = readFileSync(page, 'utf8')
      .replace(/^# .*\n/, (title) => `${title}\n${opening(entry.file)}\n`)
      // TypeDoc and VitePress number equal headings in different ways, so types have anchors of their own
      .replace(/^## (\w+)$/gm, '## $1 <a id="type-$1"></a>')
      // What a function takes apart has no name of its own
      .replaceAll('__namedParameters', 'options')
      // Each heading has a line above it already
      .replace(/^\*\*\*\n\n/gm, '')
      // A union of several lines begins with a bar
      .replace(/ \| \\\| `/g, ' | `')
      // A name of two parts may break into two lines
      .replace(/^\| `(\w+)(\.\w+\??)` \|/gm, '| `$1` `$2` |')
      .replace(/\[`(\w+)`\]\(([^)#\s]*)#\1(?:-\d+)?\)/gi, '[`$1`]($2#type-$1)')
    // The outline beside a page has its names alone, not the headings below each
    writeFileSync(page, `---\noutline: 2\n---\n\n${text}${otherFiles(entry)}`)
    missing.push(...undescribed(text).map((what) => `${entry.name}: ${what}`))
  }
  if (missing.length) throw new Error(`exports without a description:\n  ${missing.join('\n  ')}`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await write(process.argv[2] ?? join(root, 'docs', 'api'))
