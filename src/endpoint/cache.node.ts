/**
 * Answers that were paid for, a file each, named by the hash of what was asked: found again by a later run, another
 * process, or after a kill. A file appears whole or not at all; a damaged one counts as none.
 */
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, writeWhole } from '../util/files.node.ts'
import { readSealed, sealedFile } from '../util/sealed.node.ts'
import type { Answer, Question } from './completions.ts'

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
  await makeFolders(folder).catch((error) => {
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
    find: async (question) => answerSchema.safeParse(await readSealed(pathOf(question))).data,
    async keep(question, answer) {
      const path = pathOf(question)
      await makeFolders(dirname(path)).catch((error) => {
        throw diskFault(error, path)
      })
      await writeWhole(path, sealedFile(path, answer))
    },
  }
}
