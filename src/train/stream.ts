/**
 * Examples in the order in which a run trains on them. A row that gives no example is skipped, and the next one fills its
 * place in the batch; so a resumed run needs to know its position in the order and nothing else.
 *
 * A survey makes every example before the first step. So a row that the tokenizer or the chat template cannot read is
 * reported before training, with its place in the file. The survey keeps examples up to a limit of memory, so that they need
 * not be made again.
 */
import { dropReasons } from '../data/dropReasons.ts'
import { atPlace, badInput, type Where } from '../util/fault.ts'

/** Numbers of rows by code. */
export type Counts = Record<string, number>

export type ExampleStream<E> = {
  /** Rows of one epoch. */
  readonly length: number
  /**
   * Makes the example of every row once and yields the number of rows done. Throws the Fault of the first row that cannot be
   * read, with its place in the file, and a Fault 'empty-data' if no row gives an example.
   */
  survey(): AsyncGenerator<number, void>
  /** What the survey counted: rows that gave no example, by the reason, and odd rows, such as those cut to the length limits. */
  found(): { dropped: Counts; odd: Counts }
  /**
   * The next `count` examples from a position in the order, the rows that they come from, and the position after them. Fewer,
   * or none, at the end of the last epoch.
   */
  take(position: number, count: number): Promise<{ examples: E[]; rows: number[]; position: number }>
}

export type StreamOptions<R, E extends object> = {
  length: number
  row(i: number): Promise<R>
  /** Where a row stands in its file, for Faults; by default its index. */
  where?(i: number): Where
  /** The row at a position in the order, which runs through all epochs. */
  order(position: number): number
  epochs: number
  /**
   * A row's example, or a code for why it gives none. It calls `count` with a code for each thing that is odd about the row.
   * The stream adds the row's place to its Faults.
   */
  example(row: R, count: (code: string) => void): E | string
  truncated(example: E): boolean
  /** Is shown each row of the survey with what was made of it. */
  surveyed?(row: R, made: Made<E>): void
  /** Characters of JSON that the survey may keep; 0 for examples that are not plain data or are cheap to make. */
  keptCharacters?: number
}

/** A row's example or the code for why it gives none, the codes of what is odd about the row, and where it stands. */
type Made<E> = { example: E | string; odd: string[]; where: Where }

/** About 50 million tokens. */
const defaultKeptCharacters = 2 ** 28

/** How many rows the survey reads at once. */
const readTogether = 64

export const exampleStream = <R, E extends object>(options: StreamOptions<R, E>): ExampleStream<E> => {
  const { length, keptCharacters = defaultKeptCharacters } = options
  const end = Math.ceil(length * options.epochs)
  /** Examples as JSON, by row. */
  const kept = new Map<number, string>()
  let room = keptCharacters
  let found = { dropped: {} as Counts, odd: {} as Counts }
  const makeExample = (row: R, i: number): Made<E> => {
    const odd = new Set<string>()
    const where = options.where?.(i) ?? { row: i }
    const example = atPlace(where, () => options.example(row, (code) => odd.add(code)))
    if (typeof example !== 'string' && options.truncated(example)) odd.add('truncated')
    return { example, odd: [...odd], where }
  }
  const exampleOf = async (i: number): Promise<E | string> => {
    const text = kept.get(i)
    return text === undefined ? makeExample(await options.row(i), i).example : JSON.parse(text)
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
      for (let from = 0; from < length; from += readTogether) {
        const through = Math.min(length, from + readTogether)
        const indices = Array.from({ length: through - from }, (_, k) => from + k)
        const rows = await Promise.all(indices.map((i) => options.row(i)))
        for (const [k, row] of rows.entries()) {
          const made = makeExample(row, from + k)
          const { example, odd } = made
          options.surveyed?.(row, made)
          for (const code of odd) increment(counts.odd, code)
          if (typeof example === 'string') increment(counts.dropped, example)
          else usable++
          keep(from + k, example)
        }
        yield through
      }
      found = counts
      if (usable === 0) throw noExamples({ ...counts.odd, ...counts.dropped })
    },
    async take(start, count) {
      const examples: E[] = []
      const rows: number[] = []
      let position = start
      while (examples.length < count && position < end) {
        const row = options.order(position++)
        const example = await exampleOf(row)
        if (typeof example === 'string') continue
        examples.push(example)
        rows.push(row)
      }
      return { examples, rows, position }
    },
  }
}

const increment = (counts: Counts, code: string) => {
  counts[code] = (counts[code] ?? 0) + 1
}

/** Codes of rows for which a length limit was too low. */
const lengthCodes = ['no-reply-left', 'no-target-left', 'truncated', 'prompt-too-long']

const noExamples = (counts: Counts) => {
  const reasons = Object.entries(counts).map(([code, n]) => `${code}: ${n}`)
  const longPrompts = 'prompt-too-long' in counts
  const tooShort = lengthCodes.some((code) => code in counts)
  const meanings = Object.keys(counts).flatMap((code) => (code in dropReasons ? [`${code}: ${dropReasons[code]}`] : []))
  const advice = tooShort
    ? `raise ${longPrompts ? '--max-prompt-length or ' : ''}--max-length or look at the rows`
    : ['look at the rows', ...meanings].join('; ')
  return badInput('empty-data', `no row is left (${reasons.join(', ')}); ${advice}`)
}
