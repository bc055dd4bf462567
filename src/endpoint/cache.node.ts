/**
 * Answers that were paid for, a file each, named by the hash of what was asked: found again by a later run, another
 * process, or after a kill. A file appears whole or not at all; a damaged one counts as none.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { openRecords } from '../store/content.node.ts'
import { cacheFolder } from '../util/cacheFolder.node.ts'
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
  const records = await openRecords(folder, answerSchema)
  const keyOf = ({ way, body, nth }: Question) => [url, way, body, nth]
  return {
    find: (question) => records.find(keyOf(question)),
    keep: (question, answer) => records.add(keyOf(question), answer),
  }
}
