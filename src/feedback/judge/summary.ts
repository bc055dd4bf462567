/** Counts over judgements, added up one by one so that none needs to be kept. */
import type { Judgement } from './judge.ts'

export type JudgeSummary = {
  n: number
  errors: number
  /** By the code of the error. */
  errorsBy: Record<string, number>
  /** Rows without an error whose two orders agree. */
  consistent: number
  /** Rows without an error that were judged in two orders. */
  swapped: number
  /** Rows whose orders disagree because both prefer the first place, or the second. */
  firstPlace: number
  secondPlace: number
  verdicts: Record<'A' | 'B' | 'tie', number>
  grades: number
  gradeSum: number
  /** [10] grades by their whole part. */
  gradeCounts: number[]
  /** The first judgements, and the first of each error. */
  examples: Judgement[]
}

export const emptySummary = (): JudgeSummary => ({
  n: 0,
  errors: 0,
  errorsBy: {},
  consistent: 0,
  swapped: 0,
  firstPlace: 0,
  secondPlace: 0,
  verdicts: { A: 0, B: 0, tie: 0 },
  grades: 0,
  gradeSum: 0,
  gradeCounts: Array.from({ length: 10 }, () => 0),
  examples: [],
})

const maxExamples = 6

/** Changes the summary. @returns it */
export const addJudgement = (summary: JudgeSummary, judgement: Judgement): JudgeSummary => {
  const { verdict, verdicts, scores, error } = judgement
  summary.n++
  const isNew = error !== undefined && !summary.errorsBy[error]
  if (isNew || summary.examples.length < maxExamples) summary.examples.push(judgement)
  if (error !== undefined) {
    summary.errors++
    summary.errorsBy[error] = (summary.errorsBy[error] ?? 0) + 1
    return summary
  }
  if (verdict !== null && verdict !== 'error') summary.verdicts[verdict]++
  if (verdicts.length === 2) {
    const [first, second] = verdicts
    summary.swapped++
    summary.consistent += Number(first === second)
    summary.firstPlace += Number(first === 'A' && second === 'B')
    summary.secondPlace += Number(first === 'B' && second === 'A')
  }
  // Option mode has probabilities in the place of grades
  if (verdicts.length < 2)
    for (const grade of scores) {
      summary.grades++
      summary.gradeSum += grade
      summary.gradeCounts[Math.min(10, Math.max(1, Math.floor(grade))) - 1]++
    }
  return summary
}
