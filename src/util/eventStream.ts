/** Events of work that a loop waits for, given out while it waits. */

export type EventStream<T> = {
  push(event: T): void
  /** Runs a generator to its end, its events going through this channel. */
  drain<R>(work: AsyncGenerator<T, R>): Promise<R>
  /** The loop's events with this channel's among them. */
  beside<R>(loop: AsyncGenerator<T, R>): AsyncGenerator<T, R>
  /** Waits for what the loop was doing when its reader left. */
  settled(): Promise<void>
}

export const makeEventStream = <T>(): EventStream<T> => {
  const queue: T[] = []
  let wake = () => {}
  let working: Promise<unknown> = Promise.resolve()
  const push = (event: T) => {
    queue.push(event)
    wake()
  }
  return {
    push,
    async drain(work) {
      for (;;) {
        const { done, value } = await work.next()
        if (done) return value
        push(value)
      }
    },
    async *beside(loop) {
      for (;;) {
        let over = false
        const next = loop.next().finally(() => {
          over = true
          wake()
        })
        // Its failure is thrown below, where it is waited for
        working = next.catch(() => {})
        while (!over) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve
          })
          if (queue.length === 0 && !over) await woken
          yield* queue.splice(0)
        }
        yield* queue.splice(0)
        const { done, value } = await next
        if (done) return value
        yield value
      }
    },
    settled: async () => void (await working),
  }
}
