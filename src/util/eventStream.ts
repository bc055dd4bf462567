/** An asynchronous stream of events: any code pushes, one reader takes them in order. Plus helpers for generators of events. */

export type EventStream<T> = {
  push(event: T): void
  /** No more events come. The reader gets what is queued, then the end. */
  end(): void
  /** No more events come. The reader gets what is queued, then this error. */
  fail(error: unknown): void
  /** The pushed events, until `end` or `fail`. */
  read(): AsyncGenerator<T, void>
  /** Runs a generator to its end and pushes its events. @returns what the generator returns */
  drain<R>(work: AsyncGenerator<T, R>): Promise<R>
  /**
   * The events of a generator together with those that are pushed while it computes its next event. The generator is asked
   * for an event only when the reader asks for one. @returns what the generator returns
   */
  merge<R>(loop: AsyncGenerator<T, R>): AsyncGenerator<T, R>
  /** Waits for the event that the generator given to `merge` is still computing after the reader has left. */
  settled(): Promise<void>
}

/**
 * @example
 * const stream = makeEventStream<string>()
 * worker.on('message', stream.push)
 * worker.on('exit', stream.end)
 * for await (const message of stream.read()) console.log(message)
 */
export const makeEventStream = <T>(): EventStream<T> => {
  const queue: T[] = []
  let ended: { error?: unknown } | undefined
  let wake = () => {}
  let computing: Promise<unknown> = Promise.resolve()
  const woken = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  const push = (event: T) => {
    queue.push(event)
    wake()
  }
  const close = (how: { error?: unknown }) => {
    ended ??= how
    wake()
  }
  return {
    push,
    end: () => close({}),
    fail: (error) => close({ error }),
    async *read() {
      for (;;) {
        while (queue.length) yield queue.shift()!
        if (ended && 'error' in ended) throw ended.error
        if (ended) return
        await woken()
      }
    },
    async drain(work) {
      for (;;) {
        const { done, value } = await work.next()
        if (done) return value
        push(value)
      }
    },
    async *merge(loop) {
      for (;;) {
        let arrived = false
        const next = loop.next().finally(() => {
          arrived = true
          wake()
        })
        // A failure is thrown below, where `next` is awaited
        computing = next.catch(() => {})
        for (;;) {
          while (queue.length) yield queue.shift()!
          if (arrived) break
          await woken()
        }
        const { done, value } = await next
        if (done) return value
        yield value
      }
    },
    settled: async () => void (await computing),
  }
}

/** The events of a generator, each with the fields of a tag added in front. @returns what the generator returns */
export async function* tagged<E extends object, const Tag extends object, R>(
  tag: Tag,
  events: AsyncGenerator<E, R>,
): AsyncGenerator<Tag & E, R> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    yield { ...tag, ...value }
  }
}

/** Runs a generator to its end and drops its events. @returns what the generator returns */
export const returnValueOf = async <R>(events: AsyncGenerator<unknown, R>): Promise<R> => {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
  }
}
