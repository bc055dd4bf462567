/** Marks of single answers, as MT-bench's single judgements hold them, and their means by turn and by category. */
import { z } from 'zod'
import { conform, type RecordLocation } from '../../data/check.ts'
import { clusteredError } from '../../statistics/clusters.ts'
import { mean } from '../../statistics/summary.ts'

export type Mark = {
  /** The question. */
  item: string
  model: string
  /** Undefined where the judge's answer had none. */
  score?: number
  turn: number
  category?: string
}

type Columns = Record<string, unknown>

const id = z.union([z.string(), z.number()]).transform(String)

const single = z.object({
  question_id: id,
  model: z.string().min(1),
  score: z.number(),
  turn: z.number().int().positive().default(1),
  category: z.string().nullish(),
})

export const isMark = (record: Columns): boolean => 'score' in record && 'model' in record && 'question_id' in record

/** FastChat writes -1 where it found no mark. */
export const readMark = (record: Columns, location: RecordLocation): Mark => {
  const { question_id, score, category, ...row } = conform(single, record, location)
  return { ...row, item: question_id, ...(score >= 0 && { score }), ...(category && { category }) }
}

const grade = z.object({
  id,
  generator_1: z.string().min(1).default('A'),
  scores: z.tuple([z.number()]),
  turn: z.number().int().positive().default(1),
  category: z.string().nullish(),
})

/** A row of `attune judge` about one answer: a grade, and no verdict. */
export const isGrade = (record: Columns): boolean => record.verdict === null

export const readGrade = (record: Columns, location: RecordLocation): Mark => {
  const { id, generator_1, scores, turn, category } = conform(grade, record, location)
  return { item: id, model: generator_1, score: scores[0], turn, ...(category && { category }) }
}

export type MeanMarks = {
  average: number
  /** By turn, `turn_1` and so on. */
  [turn: `turn_${number}`]: number
}

export type ModelMarks = MeanMarks & {
  model: string
  /** Of the average; questions are resampled, not turns. */
  standard_error: number
  n: number
  /** Answers without a mark, which count nowhere. */
  unparsed: number
  categories?: Record<string, MeanMarks & { n: number }>
}

const meansOf = (marks: readonly Required<Pick<Mark, 'score' | 'turn'>>[]): MeanMarks => {
  const turns = [...new Set(marks.map(({ turn }) => turn))].sort((a, b) => a - b)
  const scores = (of: typeof marks) => mean(of.map(({ score }) => score))
  return {
    average: scores(marks),
    ...Object.fromEntries(turns.map((turn) => [`turn_${turn}`, scores(marks.filter((mark) => mark.turn === turn))])),
  }
}

/** Each model's marks, the best first. The average is over all marks of all turns, as FastChat has it. */
export const modelMarks = (marks: readonly Mark[]): ModelMarks[] => {
  const models = [...new Set(marks.map(({ model }) => model))]
  const all = models.map((model): ModelMarks => {
    const own = marks.filter((mark) => mark.model === model)
    const parsed = own.filter((mark): mark is Mark & { score: number } => mark.score !== undefined)
    const categories = [...new Set(parsed.flatMap(({ category }) => category ?? []))].sort()
    const of = (category: string) => parsed.filter((mark) => mark.category === category)
    return {
      model,
      ...meansOf(parsed),
      standard_error: clusteredError(
        parsed.map(({ score }) => score),
        parsed.map(({ item }) => item),
      ),
      n: parsed.length,
      unparsed: own.length - parsed.length,
      ...(categories.length && {
        categories: Object.fromEntries(categories.map((name) => [name, { ...meansOf(of(name)), n: of(name).length }])),
      }),
    }
  })
  return all.sort((x, y) => y.average - x.average)
}
