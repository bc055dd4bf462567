/**
 * Votes on items, from the files that hold them: a label a row, several annotators' labels in a row, or rankings with
 * their annotator.
 */
import { z } from 'zod'
import { conform, type RecordLocation, rowFault } from '../../data/check.ts'
import { judgementReader } from '../winRate/judgements.ts'

type Columns = Record<string, unknown>

/** What one annotator said of one item, as the file writes it. */
export type LabelVote = { item: string; annotator: string; label: string }

export type LabelVotes = { votes: LabelVote[]; skipped: string[] }
type Read = (record: Columns, location: RecordLocation) => LabelVotes

const name = z.union([z.string(), z.number()]).transform(String)
const label = z.union([z.string(), z.number(), z.boolean()]).transform(String).nullish()

const one = (vote: Omit<LabelVote, 'label'>, label: string | null | undefined): LabelVotes =>
  label === null || label === undefined || label === ''
    ? { votes: [], skipped: ['no-label'] }
    : { votes: [{ ...vote, label }], skipped: [] }

const long = z.object({ item: name, annotator: name, label, rank: label })

/** {"item", "annotator", "label" or "rank"} */
const longRow: Read = (record, location) => {
  const { item, annotator, label, rank } = conform(long, record, location)
  if (!('label' in record || 'rank' in record))
    throw rowFault('missing-column', 'is missing; a vote has a label or a rank', location, 'label')
  return one({ item, annotator }, label ?? rank)
}

const numbered = /^annotator_?\d+$/i

/** {"annotator1": label, "annotator2": label, ...}, with the item's id under "item", "id" or "idx". */
const wideRow: Read = (record, location) => {
  const item = String(record.item ?? record.id ?? record.idx ?? location.row)
  const read = Object.keys(record)
    .filter((column) => numbered.test(column))
    .map((annotator) =>
      one({ item, annotator }, conform(z.object({ [annotator]: label }), record, location)[annotator] as string | null),
    )
  return { votes: read.flatMap(({ votes }) => votes), skipped: read.flatMap(({ skipped }) => skipped) }
}

/** A judgement of two answers: the item is the prompt with the two models, in one order whichever stood first. */
const judgementRow =
  (read: NonNullable<ReturnType<typeof judgementReader>>): Read =>
  (record, location) => {
    // What attune judge says at its end
    if (record.event !== undefined) return { votes: [], skipped: [] }
    const { item, a, b, preferred, turn, judge } = read(record, location)
    if (judge === undefined)
      throw rowFault('missing-column', 'is missing; agreement needs to know who judged', location, 'judge')
    if (preferred === undefined) return { votes: [], skipped: ['no-verdict'] }
    const [first, second] = a < b ? [a, b] : [b, a]
    const winner = preferred === 0.5 ? 'tie' : preferred < 0.5 === (a === first) ? 'first' : 'second'
    return one({ item: JSON.stringify([item, turn ?? null, first, second]), annotator: judge }, winner)
  }

/** The reader of a file of labels, by the columns of its first record; undefined where it holds something else. */
export const labelReader = (record: Columns): Read | undefined => {
  if ('item' in record && 'annotator' in record) return longRow
  return Object.keys(record).filter((column) => numbered.test(column)).length > 1 ? wideRow : undefined
}

/** The same for labels and judgements. */
export const labelVoteReader = (record: Columns): Read | undefined => {
  const labels = labelReader(record)
  if (labels) return labels
  const judgement = judgementReader(record)
  return judgement && judgementRow(judgement)
}
