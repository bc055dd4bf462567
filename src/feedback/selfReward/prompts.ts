/** The prompts of self-rewarding: text files with places for what is put into them. attune's own lie in prompts/selfreward. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { badInput } from '../../util/fault.ts'

const folder = new URL('../../../prompts/selfreward/', import.meta.url)

/** The places that each prompt must have. */
const places = { judge: ['prompt', 'response'], instruct: ['tasks'] } as const

/** @param file of the user; by default attune's own. Throws Faults 'no-file', and 'bad-prompt' where it lacks a place. */
export const loadPrompt = async (name: keyof typeof places, file?: string): Promise<string> => {
  const path = file ?? fileURLToPath(new URL(`${name}.md`, folder))
  const text = await readFile(path, 'utf8').catch((error) => {
    throw badInput('no-file', `cannot be read (${error.code})`, { file: path })
  })
  const missing = places[name].find((place) => !text.includes(`{${place}}`))
  if (missing === undefined) return text
  throw badInput('bad-prompt', `has no {${missing}}, where that text is put`, { file: path })
}

/** Puts texts in the places of a prompt. Places inside of the texts themselves stay as they are. */
export const filled = (template: string, texts: Readonly<Record<string, string>>): string =>
  template.replace(/\{(\w+)\}/g, (place, name: string) => texts[name] ?? place)
