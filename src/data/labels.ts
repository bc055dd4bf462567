/** What the readers of labelling tools' exports give: one row for each vote, in the order of the file, and what was skipped. */
import { isIssue } from './issue.ts'
import { readMessages } from './messages.ts'
import type { Answers, Id, Ranking, Text, Unpaired } from './rows.ts'

export type Skipped = { task: Id; annotation?: Id; annotator?: Id; reason: string }

/** An answer to a question that compares nothing: the label of a text. */
export type ItemLabel = { item: Id; annotator: Id; label: string; question: string }

export type Votes = {
  rows: (Ranking | Unpaired)[]
  skipped: Skipped[]
  /** What models said, for annotators to start from; no votes. */
  predicted: (Ranking | Unpaired)[]
  labels: ItemLabel[]
  /** The task without any vote, where its responses are known. */
  open?: Ranking
}

/** A ranking that is still to be made. */
export const openTask = (id: Id | undefined, prompt: Text, responses: Text[]): { open?: Ranking } =>
  responses.length
    ? {
        open: {
          kind: 'ranking',
          prompt,
          responses,
          ranks: responses.map(() => null),
          ...(id !== undefined && { vote: { task: id } }),
        },
      }
    : {}

/** The turns that a prompt was written from for people to read, where the export kept them beside it. */
export const promptOf = (text: string, messages: unknown): Text => {
  const read = Array.isArray(messages) && messages.length ? readMessages(messages) : undefined
  return read && !isIssue(read) ? read : text
}

/** Other answers of the same person, where there are any. */
export const withAnswers = (answers: Answers): { answers?: Answers } => (Object.keys(answers).length ? { answers } : {})

/** Ranks by marks, 1 for the highest; equal marks tie, and what has no mark has no rank. */
export const ranksByMarks = (marks: readonly (number | null)[]): (number | null)[] =>
  marks.map((mark) =>
    mark === null ? null : 1 + marks.filter((other) => other !== null && other > mark + 1e-9).length,
  )
