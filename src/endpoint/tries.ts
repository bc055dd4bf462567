/**
 * Asking until there is an answer. Peculiar: a server that says it is busy holds back all requests to it, not only the
 * one that was turned away, and being turned away is no failure as long as others are served.
 */
import { type Failure, resetOf } from './failure.ts'

/** What the requests to one server share. */
export type Gate = {
  /** No request begins before; milliseconds as Date.now() gives them. */
  until: number
  /** When an answer came last, 0 while none has. */
  served: number
}

export const openGate = (): Gate => ({ until: 0, served: 0 })

/** Waiting for a busy server ends after this long without any answer. Milliseconds. */
const patience = 600_000
const [firstPause, longestPause] = [500, 30_000]
/** Tries of a server that never answered and does not listen. */
const triesWhenDown = 3

export type Patience = {
  /** Tries after the first. */
  retries: number
  signal?: AbortSignal
  isEnding(): boolean
  /** Before each further try; milliseconds. */
  onRetry(failure: Failure, wait: number): void
}

/** @returns the answer, or the failure that ended the tries */
export const persist = async <T>(
  gate: Gate,
  attempt: () => Promise<T | Failure>,
  isFailure: (made: T | Failure) => made is Failure,
  { retries, signal, isEnding, onRetry }: Patience,
): Promise<T | Failure> => {
  const begun = Date.now()
  for (let failed = 0; ; ) {
    await opening(gate, signal)
    const made = await attempt()
    if (!isFailure(made)) {
      gate.served = Date.now()
      return made
    }
    if (made.kind !== 'busy') failed++
    const tries = Math.min(retries + 1, made.unreachable && !gate.served ? triesWhenDown : (made.tries ?? retries + 1))
    const wait = pauseFor(made, failed)
    const isHopeless = made.kind === 'busy' && Date.now() + wait - Math.max(begun, gate.served) > patience
    if (made.kind === 'final' || failed >= tries || isEnding() || isHopeless) return made
    if (made.kind === 'busy') gate.until = Math.max(gate.until, Date.now() + wait)
    onRetry(made, wait)
    if (made.kind !== 'busy') await sleep(wait, signal)
  }
}

/** Twice as long each time, and up to half of it by chance, so that many do not come back together. */
const pauseFor = ({ after }: Failure, failed: number): number =>
  after ?? Math.min(longestPause, firstPause * 2 ** Math.max(0, failed - 1)) * (0.5 + Math.random() / 2)

/** Waits until the gate opens; a little longer each, for not all are let in at once. */
const opening = async (gate: Gate, signal?: AbortSignal) => {
  for (let wait = gate.until - Date.now(); wait > 0; wait = gate.until - Date.now())
    await sleep(wait + Math.random() * Math.min(wait, 1000), signal)
  signal?.throwIfAborted()
}

/** Where a server says that its limit is used up, the next request waits for the reset. */
export const heed = (gate: Gate, headers: Headers) => {
  const wait = resetOf(headers)
  if (wait !== undefined) gate.until = Math.max(gate.until, Date.now() + Math.min(wait, patience))
}

/** Rejects with the signal's reason. */
const sleep = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
