/** MT-bench's files to cases: questions of two turns, answers of one model or two, reference answers of some questions. */
import { z } from 'zod'
import type { RawRecord } from '../../data/check.ts'
import { openRecords } from '../../data/input.node.ts'
import { badInput } from '../../util/fault.ts'
import type { JudgeCase } from './judge.ts'

const id = z.union([z.number(), z.string()])
const questionSchema = z.object({
  question_id: id,
  category: z.string().optional(),
  turns: z.array(z.string()).min(1),
  reference: z.array(z.string()).optional(),
})
const answerSchema = z.object({
  question_id: id,
  model_id: z.string(),
  choices: z.array(z.object({ turns: z.array(z.string()) })).min(1),
})
type Answer = z.infer<typeof answerSchema>

async function* records(file: string): AsyncGenerator<RawRecord> {
  for await (const batch of (await openRecords(file)).batches) yield* batch
}

export const isMtBenchAnswer = async (file: string): Promise<boolean> => {
  for await (const { value } of records(file)) return answerSchema.safeParse(value).success
  return false
}

async function* parsed<T>(file: string, schema: z.ZodType<T>, what: string): AsyncGenerator<T> {
  for await (const { value, row, line } of records(file)) {
    const read = schema.safeParse(value)
    if (!read.success) {
      const [{ path, message }] = read.error.issues
      throw badInput('bad-row', `is no ${what} of MT-bench (${path.join('.')}: ${message})`, { file, row, line })
    }
    yield read.data
  }
}

type MtBenchSettings = { questions?: string; references?: string }

/**
 * A case for each question and turn, in the order of the answers. The second turn is judged with the first before it, each
 * model's own. A question without an answer of the second model stays, with its trouble.
 */
export async function* mtBenchCases(
  files: readonly string[],
  others: readonly string[] | undefined,
  { questions: questionFile, references: referenceFile }: MtBenchSettings,
): AsyncGenerator<JudgeCase> {
  if (questionFile === undefined)
    throw badInput('bad-flag', `${files[0]} holds answers of MT-bench; give the file of its questions`, {
      flag: '--questions',
    })
  const questions = new Map<string | number, z.infer<typeof questionSchema>>()
  for await (const each of parsed(questionFile, questionSchema, 'question')) questions.set(each.question_id, each)
  const references = new Map<string | number, string[]>()
  if (referenceFile !== undefined)
    for await (const { question_id, choices } of parsed(referenceFile, answerSchema, 'reference answer'))
      references.set(question_id, choices[0].turns)
  const second = new Map<string | number, Answer>()
  for (const file of others ?? [])
    for await (const each of parsed(file, answerSchema, 'answer')) second.set(each.question_id, each)
  for (const file of files)
    for await (const answer of parsed(file, answerSchema, 'answer')) {
      const question = questions.get(answer.question_id)
      if (!question)
        throw badInput('bad-row', `answers question ${answer.question_id}, which ${questionFile} does not hold`, {
          file,
        })
      const reference = references.get(answer.question_id) ?? question.reference
      const other = second.get(answer.question_id)
      for (let turn = 0; turn < question.turns.length; turn++)
        yield turnCase(question, turn, [answer, ...(others ? [other] : [])], reference)
    }
}

const turnCase = (
  { question_id, category, turns }: z.infer<typeof questionSchema>,
  turn: number,
  answers: readonly (Answer | undefined)[],
  reference: readonly string[] | undefined,
): JudgeCase => {
  const texts = answers.map((answer) => upTo(answer?.choices[0].turns ?? [], turn, 'Reply to message'))
  const missing = texts.indexOf(undefined)
  const [first, second] = answers.map((answer) => answer?.model_id)
  return {
    id: question_id,
    question: upTo(turns, turn, 'Message')!,
    answers: texts.filter((text) => text !== undefined),
    reference: reference && upTo(reference, turn, 'Reply to message'),
    about: {
      turn: turn + 1,
      ...(category !== undefined && { category }),
      generator_1: first,
      ...(second !== undefined && { generator_2: second }),
    },
    ...(missing >= 0 && {
      trouble: {
        code: missing ? 'no-second-answer' : 'no-answer',
        message: `question ${question_id} has no answer for turn ${turn + 1}`,
      },
    }),
  }
}

/** The texts of the turns so far, each under its number where there are several. Undefined where a turn is missing. */
const upTo = (turns: readonly string[], turn: number, heading: string): string | undefined => {
  const shown = turns.slice(0, turn + 1)
  if (shown.length <= turn || !shown[turn].trim()) return undefined
  return turn === 0 ? shown[0] : shown.map((text, i) => `${heading} ${i + 1}:\n${text}`).join('\n\n')
}
