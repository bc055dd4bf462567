/** Work that can be watched or awaited: its events one by one, or its result. */
import { badInput, runFailure } from '../util/fault.ts'

/**
 * Work that begins when it is iterated or awaited.
 *
 * ```ts
 * for await (const event of run) console.log(event)
 * const result = await run
 * ```
 *
 * It can be iterated once. Awaited without iteration it runs to its end; awaited after the iteration it gives the result of that.
 */
export type Run<Event, Result> = AsyncIterable<Event> & PromiseLike<Result>

/** @param start its events, and its result as the return value. It is called once, at the first use */
export const makeRun = <Event, Result>(start: () => AsyncGenerator<Event, Result>): Run<Event, Result> => {
  let begun = false
  let settle: { resolve(result: Result): void; reject(error: unknown): void }
  const result = new Promise<Result>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // Whoever iterates gets the error there
  result.catch(() => {})
  async function* events(): AsyncGenerator<Event, void> {
    if (begun) throw badInput('iterated', 'it can be iterated once, and not after it was awaited')
    begun = true
    try {
      settle.resolve(yield* start())
    } catch (error) {
      settle.reject(error)
      throw error
    } finally {
      // Does nothing where it has settled
      settle.reject(runFailure('left', 'the iteration was left before the end, so there is no result'))
    }
  }
  const drain = async () => {
    for await (const _ of events());
  }
  return {
    [Symbol.asyncIterator]: events,
    // biome-ignore lint/suspicious/noThenProperty: it is awaited
    then(onResult, onError) {
      if (!begun) drain().catch(() => {})
      return result.then(onResult, onError)
    },
  }
}
