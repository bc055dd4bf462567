/** `attune create`: a first project in a new folder, with settings, rows, a reward function and a program, ready to run. */
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { shellWord } from '../../util/format.ts'
import { quoted } from '../../util/quote.ts'
import { version } from '../../util/version.node.ts'
import { command } from '../command.ts'
import { shortPath } from '../format.ts'

const schema = z.object({
  folder: z.string().min(1).meta({ value: 'DIR' }).describe('the folder to make'),
  model: z
    .string()
    .min(1)
    .default('HuggingFaceTB/SmolLM2-135M-Instruct')
    .meta({ value: 'MODEL' })
    .describe('the model that the project trains: a hub id or a folder'),
})

/** The package, with dist/ in it. */
const home = dirname(fileURLToPath(new URL('../../../package.json', import.meta.url)))
const template = join(home, 'template')

/** npm leaves a .gitignore out of packages. */
const nameOf = (file: string) => file.replace(/^gitignore$/, '.gitignore')

export default command({
  summary: 'Make a first project: settings, example rows, a reward function and a program that trains with it',
  example: 'create my-project',
  schema,
  operands: ['folder'],
  async run({ folder, model }, { out }) {
    await refuseUsed(folder)
    const isFolder = await isDirectory(model)
    const path = modelPath(model, isFolder)
    const values = {
      name: packageName(folder),
      model: path,
      fetched: fetchedText(path, isFolder),
      attune: await dependency(),
    }
    const files = (await readdir(template, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(template.length + 1))
    for (const file of files) {
      const path = join(folder, nameOf(file))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, filled(await readFile(join(template, file), 'utf8'), values))
    }
    if (out.json) return out.jsonLine({ folder, files: files.map(nameOf).sort() })
    const steps = [`cd ${shellWord(shortPath(folder))}`, 'npm install', 'npm run sft'].map((line) => `  ${line}`)
    await out.text([`${shortPath(folder)} is ready; README.md says what is in it. Next:`, ...steps].join('\n'))
  },
})

/** What the project depends on: this version of attune, or the clone of the repository that runs. */
const dependency = async (): Promise<string> => {
  const isClone = await stat(join(home, 'src')).then(
    () => true,
    () => false,
  )
  return isClone ? `file:${home.replaceAll('\\', '/')}` : `^${version()}`
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() ?? false

/** Where the first run has its model from. */
const fetchedText = (model: string, isFolder: boolean): string =>
  isFolder
    ? `The model is read from the folder ${model}.`
    : `The first run downloads the model, ${model}; later ones find it on this machine.`

/** A path that holds from everywhere, in letters that shells, YAML and TypeScript take as they are. */
const modelPath = (model: string, isFolder: boolean): string => {
  const path = isFolder ? resolve(model).replaceAll('\\', '/') : model
  if (/^[\w./@:+=,~ -]+$/.test(path)) return path
  throw badInput('bad-flag', `${quoted(path)} has signs that a script could not hold; move it to a plain path`, {
    flag: '--model',
  })
}

const refuseUsed = async (folder: string) => {
  const found = await readdir(folder).catch((error) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (found.length > 0) throw badInput('taken', 'is not empty; name a new folder', { file: folder })
}

/** The name of the folder, in the letters that npm allows. */
const packageName = (folder: string): string =>
  basename(resolve(folder))
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '') || 'my-project'

const filled = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => values[key])
