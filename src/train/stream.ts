/**
 * Examples in the order of a run. Peculiar: rows that give no example are passed over and counted, never replaced by
 * shorter batches; so the position in the order is all that a resumed run needs to know.
 */
import { badInput } from '../util/fault.ts'

/** What the rows up to a position have shown. A checkpoint keeps it, so that no row is counted twice. */
export type Tally = {
  position: number
  /** Rows passed over and odd ones, by reason. */
  counts: Record<string, number>
}

export type ExampleStream<E> = {
  /** Rows of one epoch. */
  readonly length: number
  /** The next `count` examples from a position; fewer, or none, at the end of the last epoch. */
  take(position: number, count: number): Promise<{ examples: E[]; rows: number[]; position: number }>
  tally(): Tally
  /** Counts on from here. */
  restore(tally: Tally): void
}

export type StreamParts<R, E extends object> = {
  length: number
  row(i: number): Promise<R>
  /** Row to visit at a position. */
  order(position: number): number
  epochs: number
  /** An example, or the reason why there is none. */
  example(row: R, count: (what: string) => void): E | string
  truncated(example: E): boolean
}

export const exampleStream = <R, E extends object>(parts: StreamParts<R, E>): ExampleStream<E> => {
  const end = Math.ceil(parts.length * parts.epochs)
  let tally: Tally = { position: 0, counts: {} }
  const exampleAt = async (position: number) => {
    const reasons = new Set<string>()
    const row = parts.order(position)
    const example = parts.example(await parts.row(row), (what) => reasons.add(what))
    if (typeof example === 'string') reasons.add(example)
    else if (parts.truncated(example)) reasons.add('truncated')
    // The first epoch shows every row
    if (position >= tally.position && position < parts.length) tally = counted(tally, position, reasons)
    return { row, example }
  }
  return {
    length: parts.length,
    tally: () => tally,
    restore: (saved) => {
      tally = saved
    },
    async take(position, wanted) {
      const taken = { examples: [] as E[], rows: [] as number[], position }
      while (taken.examples.length < wanted && taken.position < end) {
        const { row, example } = await exampleAt(taken.position++)
        if (typeof example === 'string') continue
        taken.examples.push(example)
        taken.rows.push(row)
      }
      if (taken.examples.length === 0 && position === 0) throw noExamples(tally)
      return taken
    },
  }
}

const counted = ({ counts }: Tally, position: number, reasons: Iterable<string>): Tally => {
  const next = { ...counts }
  for (const reason of reasons) next[reason] = (next[reason] ?? 0) + 1
  return { position: position + 1, counts: next }
}

const lengthReasons = ['no-reply-left', 'no-target-left', 'truncated', 'prompt-too-long']

const noExamples = ({ counts }: Tally) => {
  const reasons = Object.entries(counts).map(([why, n]) => `${why}: ${n}`)
  const longPrompts = 'prompt-too-long' in counts
  const cut = Object.keys(counts).some((why) => lengthReasons.includes(why))
  const advice = cut
    ? `raise ${longPrompts ? '--max-prompt-length or ' : ''}--max-length or look at the rows`
    : 'look at the rows; docs/data.md says what each word means'
  return badInput('empty-data', `no row is left (${reasons.join(', ')}); ${advice}`)
}
