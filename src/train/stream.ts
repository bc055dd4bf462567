/**
 * Examples in the order of a run. Peculiar: rows that give no example are passed over and counted, never replaced by
 * shorter batches; so the position in the order is all that a resumed run needs to know.
 */
import { badInput } from '../util/fault.ts'

export type ExampleStream<E> = {
  /** Rows of one epoch. */
  readonly length: number
  /** The next `count` examples from a position; fewer, or none, at the end of the last epoch. */
  take(position: number, count: number): Promise<{ examples: E[]; rows: number[]; position: number }>
  /** Rows passed over and odd ones, by reason, each row counted once. */
  readonly counts: Map<string, number>
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
  const counts = new Map<string, number>()
  const counted = new Set<number>()
  const end = Math.ceil(parts.length * parts.epochs)
  const count = (row: number, what: string) => {
    if (!counted.has(row)) counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  const exampleOf = async (row: number) => {
    const example = parts.example(await parts.row(row), (what) => count(row, what))
    if (typeof example === 'string') count(row, example)
    else if (parts.truncated(example)) count(row, 'truncated')
    counted.add(row)
    return example
  }
  return {
    length: parts.length,
    counts,
    async take(position, wanted) {
      const taken = { examples: [] as E[], rows: [] as number[], position }
      while (taken.examples.length < wanted && taken.position < end) {
        const row = parts.order(taken.position++)
        const example = await exampleOf(row)
        if (typeof example === 'string') continue
        taken.examples.push(example)
        taken.rows.push(row)
      }
      if (taken.examples.length === 0 && position === 0) throw noExamples(counts)
      return taken
    },
  }
}

const noExamples = (counts: ReadonlyMap<string, number>) => {
  const reasons = [...counts].map(([why, n]) => `${why}: ${n}`).join(', ')
  return badInput('empty-data', `no row is left (${reasons}); raise --max-length or look at the rows`)
}
