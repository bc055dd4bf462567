/**
 * Answers that were paid for, a file each, named by the hash of what was asked: found again by a later run, another
 * process, or after a kill. A file appears whole or not at all; a damaged one counts as none.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { badInput } from '../util/fault.ts'
import { diskFault, syncFolder, writeSynced } from '../util/files.node.ts'
import type { Answer, Question } from './remote.ts'

export type AnswerCache = {
  find(question: Question): Promise<Answer | undefined>
  /** Throws Faults 'disk'. */
  keep(question: Question, answer: Answer): Promise<void>
}

const answerSchema = z.object({
  text: z.string(),
  finishReason: z.string(),
  usage: z.object({ promptTokens: z.number(), completionTokens: z.number() }).optional(),
})

/**
 * @param url of the endpoint: another server's answers are others
 * Throws a Fault 'disk' where nothing can be kept, before anything is paid.
 */
export const openAnswerCache = async (url: string, folder = join(cacheFolder(), 'answers')): Promise<AnswerCache> => {
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw badInput('disk', `cannot be made (${error.code}); set ATTUNE_CACHE to a folder that can be written`, {
      file: folder,
    })
  })
  const pathOf = ({ way, body, nth }: Question) => {
    const name = createHash('sha256')
      .update(JSON.stringify([url, way, body, nth]))
      .digest('hex')
    return join(folder, name.slice(0, 2), `${name}.json`)
  }
  return {
    find: async (question) => {
      const text = await readFile(pathOf(question), 'utf8').catch(() => '')
      try {
        return answerSchema.parse(JSON.parse(text))
      } catch {
        return undefined
      }
    },
    keep: (question, answer) => write(pathOf(question), JSON.stringify(answer)),
  }
}

/** Two processes may write the same answer, so each has a temporary name of its own. */
const write = async (path: string, text: string) => {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeSynced(temporary, [new TextEncoder().encode(text)])
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw diskFault(error, path, text.length)
  }
}
