/**
 * A scheduler that lets workers decode: requests that are submitted together are shared out, since a completion does not depend on
 * what is decoded beside it. Where nobody takes them, the process's own scheduler does.
 */
import type { Completion } from './completions.ts'
import type { GenerationRequest, Scheduler } from './scheduler.ts'
import type { Piece } from './sequence.ts'
import { completeAll, optionsKey, type ShareSampling } from './sharedSampling.ts'

type Waiting = {
  request: GenerationRequest
  resolve(pieces: AsyncIterable<Piece>): void
  reject(error: unknown): void
}

export const sharedScheduler = (own: Scheduler, share: ShareSampling): Scheduler => {
  let waiting: Waiting[] = []
  const local = (requests: readonly GenerationRequest[]) => completeAll(own, requests)

  /** Everything that was submitted in this turn of the event loop. */
  const submitAll = async () => {
    const together = waiting
    waiting = []
    const begun = new Set<Waiting>()
    try {
      for (const group of sameOptions(together)) {
        const shared = await share(
          group.map(({ request }) => request),
          local,
        )
        for (const [i, each] of group.entries()) {
          begun.add(each)
          each.resolve(shared ? pieces(shared[i]) : own.submit(each.request))
        }
      }
    } catch (error) {
      for (const each of together) if (!begun.has(each)) each.reject(error)
    }
  }

  return {
    submit(request) {
      const whole = new Promise<AsyncIterable<Piece>>((resolve, reject) => {
        if (waiting.length === 0) setImmediate(submitAll)
        waiting.push({ request, resolve, reject })
      })
      return later(whole)
    },
    close: () => own.close(),
  }
}

async function* pieces(all: readonly Completion[]): AsyncGenerator<Piece> {
  yield* all
}

async function* later(whole: Promise<AsyncIterable<Piece>>): AsyncGenerator<Piece> {
  yield* await whole
}

/** Requests may differ in the room that their prompts leave; most have all options alike. */
const sameOptions = (waiting: readonly Waiting[]): Waiting[][] => {
  const groups = new Map<string, Waiting[]>()
  for (const each of waiting) {
    const key = optionsKey(each.request.options)
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  return [...groups.values()]
}
