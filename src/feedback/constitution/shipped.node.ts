/** The constitution that comes with attune, and those of users' files. */
import { fileURLToPath } from 'node:url'
import { textFile } from '../../util/files.node.ts'
import { type Constitution, parseConstitution } from './constitution.ts'

/** In the package, beside dist/. */
const shippedFile = fileURLToPath(new URL('../../../prompts/constitution.yaml', import.meta.url))

/** The text of the constitution that comes with attune: a file to copy and change. */
export const shippedText = (): Promise<string> => textFile(shippedFile)

/** @param file by default the constitution of attune. Throws Faults of `textFile` and `parseConstitution`. */
export const readConstitution = async (file?: string): Promise<Constitution> => {
  const shipped = parseConstitution(await shippedText(), shippedFile)
  return file === undefined ? shipped : parseConstitution(await textFile(file), file, shipped.frames)
}
