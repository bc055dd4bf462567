/**
 * Work on many items, some at once, results as they come. Peculiar: after a failure nothing new begins, but what is
 * under way ends and is handed over before the failure is thrown, for it may have cost something.
 */

/**
 * @param limit results that are under way or wait to be taken, at most; items are drawn no earlier
 * @param onFailure told at once of the first failure
 */
export async function* inParallel<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
  onFailure: () => void = () => {},
): AsyncGenerator<R> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const ready: { value: R; taken: () => void }[] = []
  const failures: unknown[] = []
  let [working, left] = [limit, false]
  let wake = () => {}
  const deliver = (value: R) =>
    new Promise<void>((taken) => {
      ready.push({ value, taken })
      wake()
    })
  const draw = async () => {
    while (!left && failures.length === 0) {
      const next = await iterator.next()
      if (next.done) return
      await deliver(await work(next.value))
    }
  }
  const worker = () =>
    draw()
      .catch((error) => {
        if (failures.push(error) === 1) onFailure()
      })
      .finally(() => {
        working--
        wake()
      })
  try {
    for (let i = 0; i < limit; i++) worker()
    while (working > 0 || ready.length) {
      const next = ready.shift()
      if (next) {
        yield next.value
        next.taken()
      } else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
    if (failures.length) throw failures[0]
  } finally {
    left = true
    await iterator.return?.()
  }
}
