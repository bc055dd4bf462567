/**
 * Works on many items, some at once, and yields results as they come. After a failure nothing new begins, but work under way
 * is finished and its results are yielded before the failure is thrown, since they may have cost money.
 */

/**
 * @param limit results under way or waiting to be taken, at most; an item is drawn only when there is room for its result
 * @param onFailure called as soon as the first item fails
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
