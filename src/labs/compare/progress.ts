/** Progress of a whole comparison: each kind of work counted over all models, with what is left of the other kinds. */
import type { ProgressEvent } from '../../runs/events.ts'

/** One kind of work, over all models. */
type Work = { total: number; done: number }

export type CompareProgress = ProgressEvent & {
  /** The model whose answers are made, read or judged. */
  of: string
  /** The kind of work; `done` and `total` count its completions over all models. */
  work: string
  /** Other kinds of which something is left, and how many completions. */
  rest: { work: string; left: number }[]
}

export type Progress = {
  /**
   * The events of one model's part of a kind of work, counted over all models; afterwards the part counts as done, also where
   * it was found on the disk. @returns what the generator returns
   */
  part<R>(work: string, of: string, events: AsyncGenerator<ProgressEvent, R>): AsyncGenerator<CompareProgress, R>
}

/** @param totals completions of each kind of work, in its order   @param part completions of one model */
export const makeProgress = (totals: Readonly<Record<string, number>>, part: number): Progress => {
  const all = new Map(Object.entries(totals).map(([name, total]): [string, Work] => [name, { total, done: 0 }]))
  return {
    async *part(name, of, events) {
      const work = all.get(name)!
      for (;;) {
        const { done: isOver, value } = await events.next()
        if (isOver) {
          work.done += part
          return value
        }
        const rest = [...all].flatMap(([other, { total, done }]) =>
          other === name || done === total ? [] : [{ work: other, left: total - done }],
        )
        yield { ...value, of, work: name, done: work.done + value.done, total: work.total, from: work.done, rest }
      }
    },
  }
}
