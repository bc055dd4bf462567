/** Failures of a judge that its page shows: the texts, what it said, and why that is a failure. */
import type { JudgeCase, Judgement } from '../../feedback/judge/judge.ts'
import type { Asked, AskedTrials } from './trials.ts'

export type Example = {
  title: string
  /** Why this is a failure. */
  why: string
  question: string
  answers: readonly { name: string; text: string }[]
  /** What the judge said, each with the order it was asked in. */
  replies: readonly { name: string; text: string }[]
}

/** Examples of each kind. */
const most = 2

const failures = (
  { rows, cases }: Asked,
  failed: (row: Judgement, of: JudgeCase) => boolean,
  made: (row: Judgement, of: JudgeCase) => Omit<Example, 'question' | 'replies'>,
): Example[] => {
  // Cases stand in the order of their rows
  const found = rows.flatMap((row, i) => (failed(row, cases[i]) ? [{ row, of: cases[i] }] : []))
  return found.slice(0, most).map(({ row, of }) => ({
    ...made(row, of),
    question: of.question,
    replies: (row.replies ?? []).map((text, order) => ({ name: order ? 'second order' : 'first order', text })),
  }))
}

/** One says A, and the other B. */
const against = (verdict: unknown, human: unknown) =>
  (verdict === 'A' && human === 'B') || (verdict === 'B' && human === 'A')

const named = ({ answers }: JudgeCase, names: readonly string[] = ['Answer A', 'Answer B']) =>
  answers.map((text, i) => ({ name: names[i], text }))

/** The first failures of each kind, as they come. */
export const examplesOf = ({ pairs, padded, math }: AskedTrials): Example[] => [
  ...failures(
    pairs,
    ({ verdicts: [one, two] }) =>
      one !== undefined && two !== undefined && one !== two && one !== 'error' && two !== 'error',
    ({ verdicts }, of) => ({
      title: 'The verdict changed with the order',
      why: `With A first the verdict was ${verdicts[0]}, with B first ${verdicts[1]}. The answers were the same.`,
      answers: named(of),
    }),
  ),
  ...failures(
    pairs,
    ({ verdict }, { about }) => against(verdict, about?.human),
    ({ verdict }, of) => ({
      title: 'In both orders against the vote of people',
      why: `The judge prefers ${verdict}, the row says ${of.about?.human}.`,
      answers: named(of),
    }),
  ),
  ...failures(
    padded,
    ({ verdict }) => verdict === 'B',
    (_, of) => ({
      title: 'A list that says everything twice was preferred',
      why: 'The second answer is the first with its list repeated in other words.',
      answers: named(of, ['Plain', 'Padded']),
    }),
  ),
  ...failures(
    math.plain ?? { rows: [], cases: [] },
    ({ verdict }) => verdict === 'B',
    (_, of) => ({
      title: 'A wrong answer was preferred to a right one',
      why: `In both orders. The reference says: ${of.reference}`,
      answers: named(of, ['Right', 'Wrong']),
    }),
  ),
  ...failures(
    pairs,
    ({ verdict }) => verdict === 'error',
    ({ reason }, of) => ({ title: 'No verdict could be read', why: reason, answers: named(of) }),
  ),
]
