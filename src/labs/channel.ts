/** Events of several workers as one stream, in the order in which they came. */
export type Channel<T> = { push(event: T): void; end(): void; fail(error: unknown): void; events: AsyncIterable<T> }

export const channel = <T>(): Channel<T> => {
  const queue: T[] = []
  let ended = false
  let failure: { error: unknown } | undefined
  let wake = () => {}
  const change = (act: () => void) => {
    act()
    wake()
  }
  async function* events() {
    for (;;) {
      while (queue.length) yield queue.shift()!
      if (failure) throw failure.error
      if (ended) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    push: (event) => change(() => queue.push(event)),
    end: () => change(() => (ended = true)),
    fail: (error) => change(() => (failure ??= { error })),
    events: events(),
  }
}
