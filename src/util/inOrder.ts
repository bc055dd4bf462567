/** Results of work that ends in any order, brought into the order of its items, with a bound on how many wait. */

/** Items that are let through only while fewer than `limit` of them are unfinished. */
export type Gate<T> = {
  items: AsyncIterableIterator<T>
  /** One of the items is finished. */
  leave(): void
  /** No further item comes through. */
  close(): void
}

export const makeGate = <T>(items: Iterable<T> | AsyncIterable<T>, limit: number): Gate<T> => {
  let inside = 0
  let closed = false
  let wake = () => {}
  const pass = async function* () {
    for await (const item of items) {
      while (!closed && inside >= limit)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      if (closed) return
      inside++
      yield item
    }
  }
  return {
    items: pass(),
    leave() {
      inside--
      wake()
    },
    close() {
      closed = true
      wake()
    },
  }
}

/**
 * Each result waits for those before it.
 * @param placeOf the places 0, 1, 2, ... of the results
 * @param onLeaving called when the reader leaves before the end, before the work is told to end
 */
export async function* inOrder<T>(
  ended: AsyncIterable<T>,
  placeOf: (result: T) => number,
  onLeaving: () => void = () => {},
): AsyncGenerator<T> {
  const waiting = new Map<number, T>()
  let next = 0
  for await (const result of ended) {
    waiting.set(placeOf(result), result)
    for (let ready = waiting.get(next); ready; ready = waiting.get(next)) {
      waiting.delete(next++)
      let taken = false
      try {
        yield ready
        taken = true
      } finally {
        if (!taken) onLeaving()
      }
    }
  }
}
