/** The lab's folder. Peculiar: it may replace what a former lab wrote, never anything else. */
import { mkdir, readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { badInput } from '../../util/fault.ts'
import { diskFault } from '../../util/files.node.ts'

export const resultsFile = 'cartpole.json'

/** @returns its path. Throws Fault 'taken' for a file, or a folder that holds anything else. */
export const claimFolder = async (output: string): Promise<string> => {
  const root = resolve(output)
  try {
    await mkdir(root, { recursive: true })
    const names = await readdir(root)
    if (names.length && !names.includes(resultsFile))
      throw badInput('taken', `holds ${names[0]} and is no lab of this kind; choose another --output`, { file: root })
  } catch (error) {
    if (['EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw badInput('taken', 'is a file; choose another --output', { file: root })
    throw diskFault(error, root)
  }
  return root
}
