/** Every row is looked at before the first step: what tokenizer or template refuse, what is dropped, and what is odd. */
import type { ProgressEvent } from '../../runs/events.ts'
import type { Counts, ExampleStream } from '../../train/stream.ts'

type Surveyed = Pick<ExampleStream<never>, 'length' | 'survey' | 'found'>

/** Rows between two events of progress. */
const told = 256

/** Surveys the streams in their order. After an abort it ends early: nothing will be trained on. */
export async function* surveyed(
  streams: readonly (Surveyed | undefined)[],
  signal?: AbortSignal,
): AsyncGenerator<ProgressEvent, void> {
  const there = streams.filter((stream) => stream !== undefined)
  const total = there.reduce((n, { length }) => n + length, 0)
  let before = 0
  let last = 0
  for (const stream of there) {
    for await (const through of stream.survey()) {
      if (signal?.aborted) return
      const done = before + through
      if (total <= told || (done - last < told && done < total)) continue
      last = done
      yield { event: 'progress', phase: 'tokenize', done, total }
    }
    before += stream.length
  }
}

/** Rows that are not used: those that gave no row, and those whose row gave no example. */
export const droppedRows = (dropped: Counts, stream: Pick<ExampleStream<never>, 'found'>): Counts => {
  const all = { ...dropped }
  for (const [why, n] of Object.entries(stream.found().dropped)) all[why] = (all[why] ?? 0) + n
  return all
}
