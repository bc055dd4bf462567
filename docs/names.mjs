/**
 * Writes docs/names.md: `npm run api`, or `node docs/names.mjs FILE` to write elsewhere.
 * The page says of every argument in names.json what it is in attune. The answers are those of the hints of the command line
 * (src/cli/otherNames.ts, read from dist/). names.json lists the arguments as the classes of the other programs declare them,
 * each class with the commands that it corresponds to.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { entryFor, otherName } from '../dist/cli/otherNames.js'
import { methodKeys, methods } from '../dist/recipes/methods.js'
import { fieldsOf } from '../dist/recipes/settings/fields.js'

const here = dirname(fileURLToPath(import.meta.url))
const programs = JSON.parse(readFileSync(join(here, 'names.json'), 'utf8'))

const flagsOf = async (command) => {
  const key = methodKeys.find((each) => methods[each].name === command)
  return fieldsOf(await methods[key].schema()).map(({ flag }) => flag)
}

/** The last column but one, and the last. */
const answer = (name, flags) => {
  const { flag, note = '' } = otherName(name, flags)
  const [, kind, why] = /^(not \w+(?: in training)?): (.*)/.exec(note) ?? []
  if (kind) return [kind, why]
  return [flag === `--${name.replaceAll('_', '-')}` ? 'same' : `\`${flag}\``, note]
}

/** Names that have one answer because of their common beginning stand in one row. */
const rowsOf = (names, flags) => {
  const rows = new Map()
  for (const name of names) {
    const entry = entryFor(name) ?? name
    const shown = entry.endsWith('*') ? entry.replaceAll('-', '_') : name
    rows.set(shown, [`\`${shown}\``, ...answer(name, flags)])
  }
  return [...rows.values()]
}

const table = async (title, { commands, names }) => {
  const flags = (await Promise.all(commands.map(flagsOf))).flat()
  const rows = rowsOf(names, flags)
  if (rows.length === 0) return []
  const command = commands.map((name) => `\`attune ${name}\``).join(', ')
  const lines = [['name', 'in attune', 'note'], ['---', '---', '---'], ...rows].map(
    (cells) => `| ${cells.join(' | ')} |`,
  )
  return [`### ${title}\n\nFlags of ${command}.\n\n${lines.join('\n')}`]
}

const sections = []
for (const [program, classes] of Object.entries(programs)) {
  sections.push(`## ${program}`)
  for (const [title, listed] of Object.entries(classes)) sections.push(...(await table(title, listed)))
}

const page = [
  '# Names of other programs',
  `For those who come from TRL or LLaMA-Factory: what each of their arguments is called in attune. Made by \`npm run api\`.

The command line knows these names too. \`attune dpo --per_device_train_batch_size 4\` ends with \`here it is --batch-size\`, and a
settings file of another program that is given to \`--config\` is answered with a line for each of its names.

- **same**: the same name, as a flag with dashes (\`--weight-decay\`), in a settings file and in a program as it is there or in camelCase.
- **a flag**: the flag that means the same.
- **not needed**: attune does this by itself, or has nothing that could be set.
- **not there**: attune cannot do it.

To take the defaults of TRL as well as its names, add \`--like trl\` (in a program: \`like: 'trl'\`).`,
  ...sections,
]
writeFileSync(process.argv[2] ?? join(here, 'names.md'), `${page.join('\n\n')}\n`)
