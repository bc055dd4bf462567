/**
 * Examples in the order of a run. Rows that give no example are skipped and counted, and batches are not made smaller
 * by them; so the position in the order is all that a resumed run needs to know.
 *
 * A survey makes every example before the first step, so that a row which tokenizer or template cannot read is
 * reported then, with its place in the file. The examples are kept, up to a limit of memory, so that they need not be
 * made again.
 */
import { atPlace, badInput, type Where } from '../util/fault.ts'

export type Counts = Record<string, number>

export type ExampleStream<E> = {
  /** Rows of one epoch. */
  readonly length: number
  /**
   * Makes the example of every row once; yields the number of rows done. Throws the Fault of the first row that has one,
   * with its place in the file, and 'empty-data' where no row gives an example.
   */
  survey(): AsyncGenerator<number, void>
  /** What the survey counted, by code: rows that gave no example, and peculiarities of rows that did. */
  found(): { dropped: Counts; odd: Counts }
  /** The next `count` examples from a position; fewer, or none, at the end of the last epoch. */
  take(position: number, count: number): Promise<{ examples: E[]; rows: number[]; position: number }>
}

export type StreamOptions<R, E extends object> = {
  length: number
  row(i: number): Promise<R>
  /** Where a row stands in its file. */
  where?(i: number): Where
  /** Row to visit at a position. */
  order(position: number): number
  epochs: number
  /** An example, or the code of why there is none. The stream adds the row's place to its Faults. */
  example(row: R, count: (what: string) => void): E | string
  truncated(example: E): boolean
  /** Characters of JSON that the survey may keep; 0 for examples that are not plain data or are cheap to make. */
  keeps?: number
}

/** A row's example, or the code of why it has none, and the codes of its peculiarities. */
type Made<E> = { example: E | string; odd: string[] }

/** About 50 million tokens. */
const keptText = 2 ** 28

/** Rows that are read together. */
const group = 64

export const exampleStream = <R, E extends object>(options: StreamOptions<R, E>): ExampleStream<E> => {
  const { length, keeps = keptText } = options
  const end = Math.ceil(length * options.epochs)
  const kept = new Map<number, string>()
  let room = keeps
  let found = { dropped: {} as Counts, odd: {} as Counts }
  const made = (row: R, i: number): Made<E> => {
    const odd = new Set<string>()
    const where = options.where?.(i) ?? { row: i }
    const example = atPlace(where, () => options.example(row, (what) => odd.add(what)))
    if (typeof example !== 'string' && options.truncated(example)) odd.add('truncated')
    return { example, odd: [...odd] }
  }
  const exampleOf = async (i: number): Promise<E | string> => {
    const text = kept.get(i)
    return text === undefined ? made(await options.row(i), i).example : JSON.parse(text)
  }
  const keep = (i: number, example: E | string) => {
    const text = room > 0 ? JSON.stringify(example) : ''
    room -= text.length
    if (room > 0) kept.set(i, text)
  }
  return {
    length,
    found: () => found,
    async *survey() {
      const counts = { dropped: {} as Counts, odd: {} as Counts }
      let usable = 0
      for (let from = 0; from < length; from += group) {
        const numbers = Array.from({ length: Math.min(group, length - from) }, (_, k) => from + k)
        const rows = await Promise.all(numbers.map((i) => options.row(i)))
        for (const [k, row] of rows.entries()) {
          const { example, odd } = made(row, from + k)
          for (const what of odd) add(counts.odd, what)
          if (typeof example === 'string') add(counts.dropped, example)
          else usable++
          keep(from + k, example)
        }
        yield Math.min(length, from + group)
      }
      found = counts
      if (usable === 0) throw noExamples({ ...counts.odd, ...counts.dropped })
    },
    async take(position, wanted) {
      const taken = { examples: [] as E[], rows: [] as number[], position }
      while (taken.examples.length < wanted && taken.position < end) {
        const row = options.order(taken.position++)
        const example = await exampleOf(row)
        if (typeof example === 'string') continue
        taken.examples.push(example)
        taken.rows.push(row)
      }
      return taken
    },
  }
}

const add = (counts: Counts, what: string) => {
  counts[what] = (counts[what] ?? 0) + 1
}

const lengthReasons = ['no-reply-left', 'no-target-left', 'truncated', 'prompt-too-long']

const noExamples = (counts: Counts) => {
  const reasons = Object.entries(counts).map(([why, n]) => `${why}: ${n}`)
  const longPrompts = 'prompt-too-long' in counts
  const cut = Object.keys(counts).some((why) => lengthReasons.includes(why))
  const advice = cut
    ? `raise ${longPrompts ? '--max-prompt-length or ' : ''}--max-length or look at the rows`
    : 'look at the rows; docs/data.md says what each word means'
  return badInput('empty-data', `no row is left (${reasons.join(', ')}); ${advice}`)
}
