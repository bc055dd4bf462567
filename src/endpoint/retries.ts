/**
 * When a request to a server is sent again: which failures are worth a retry, how long to wait, and rate limits.
 *
 * A rate-limited server holds back all requests to it, not only the one it refused, and a refusal of that kind is no
 * failure as long as other requests are served. Servers say how long to wait in several ways: Retry-After in seconds or
 * as a date, retry-after-ms, and the x-ratelimit-reset-* headers, whose values are durations such as 6m0s.
 */
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'

export type Failure = {
  /** 'rate-limited': is retried however often. 'transient': a limited number of times. 'permanent': never. */
  kind: 'rate-limited' | 'transient' | 'permanent'
  code: 'endpoint' | 'endpoint-key' | 'endpoint-refused' | 'bad-answer'
  message: string
  /** Milliseconds that the server asks to wait. */
  retryAfter?: number
  /** At most so many attempts, where fewer than usual are enough. */
  maxAttempts?: number
  /** No server listens there. */
  isDown?: boolean
}

export const isFailure = <T extends object>(result: T | Failure): result is Failure => 'kind' in result

/** What the requests to one server share. */
export type RateLimit = {
  /** No request begins before; milliseconds as Date.now() gives them. */
  until: number
  /** When a response came last, 0 while none has. */
  lastServed: number
}

export const makeRateLimit = (): RateLimit => ({ until: 0, lastServed: 0 })

/** A rate-limited server is given up after so many milliseconds without any response. */
const maxRateLimited = 600_000
const [firstPause, longestPause] = [500, 30_000]
/** Attempts at a server that never responded and does not listen. */
const maxAttemptsWhenDown = 3

export type RetryOptions = {
  /** Attempts after the first. */
  retries: number
  signal?: AbortSignal
  /** Whether the work is ending because another request failed for good: then nothing is retried. */
  isEnding(): boolean
  /** Called before each further attempt; `wait` in milliseconds. */
  onRetry(failure: Failure, wait: number): void
}

/** @returns the result, or the failure of the last attempt */
export const withRetries = async <T extends object>(
  rateLimit: RateLimit,
  attempt: () => Promise<T | Failure>,
  { retries, signal, isEnding, onRetry }: RetryOptions,
): Promise<T | Failure> => {
  const started = Date.now()
  for (let failed = 0; ; ) {
    await waitForRateLimit(rateLimit, signal)
    const result = await attempt()
    if (!isFailure(result)) {
      rateLimit.lastServed = Date.now()
      return result
    }
    const isRateLimited = result.kind === 'rate-limited'
    if (!isRateLimited) failed++
    const neverServed = result.isDown && !rateLimit.lastServed
    const attempts = Math.min(
      retries + 1,
      neverServed ? maxAttemptsWhenDown : (result.maxAttempts ?? Number.POSITIVE_INFINITY),
    )
    const wait = pauseFor(result, failed)
    const sinceServed = Date.now() + wait - Math.max(started, rateLimit.lastServed)
    const isHopeless = isRateLimited && sinceServed > maxRateLimited
    if (result.kind === 'permanent' || failed >= attempts || isEnding() || isHopeless) return result
    if (isRateLimited) rateLimit.until = Math.max(rateLimit.until, Date.now() + wait)
    onRetry(result, wait)
    if (!isRateLimited) await sleep(wait, signal)
  }
}

/** What the server asks for, else twice as long each time, up to half of it at random so that many do not come back together. */
const pauseFor = ({ retryAfter }: Failure, failed: number): number =>
  retryAfter ?? Math.min(longestPause, firstPause * 2 ** Math.max(0, failed - 1)) * (0.5 + Math.random() / 2)

/** Each request waits a little longer by chance, so that they do not all begin at once. */
const waitForRateLimit = async (rateLimit: RateLimit, signal?: AbortSignal) => {
  for (let wait = rateLimit.until - Date.now(); wait > 0; wait = rateLimit.until - Date.now())
    await sleep(wait + Math.random() * Math.min(wait, 1000), signal)
  signal?.throwIfAborted()
}

/** Where a response's headers say that the limit is used up, the next request waits for its reset. */
export const noteRateLimit = (rateLimit: RateLimit, headers: Headers) => {
  const wait = untilReset(headers)
  if (wait !== undefined) rateLimit.until = Math.max(rateLimit.until, Date.now() + Math.min(wait, maxRateLimited))
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

// What an error means

/** @param timeout in milliseconds, for the message. Throws what is not a failure of the request. */
export const failureOf = (error: unknown, timeout: number): Failure => {
  const isAborted = error instanceof APIUserAbortError || (error instanceof Error && error.name === 'AbortError')
  if (isAborted || error instanceof APIConnectionTimeoutError)
    return { kind: 'transient', code: 'endpoint', message: `gave no answer within ${timeout / 1000} s` }
  if (error instanceof APIConnectionError) return connectionFailure(error)
  if (error instanceof APIError && error.status !== undefined) return statusFailure(error, error.status)
  if (error instanceof SyntaxError) {
    const why = error.message.startsWith('longer') ? error.message : 'not JSON'
    return { kind: 'transient', code: 'bad-answer', message: `sent a malformed answer (${why})` }
  }
  // undici: the connection broke in the middle of the body
  if (error instanceof TypeError) return { kind: 'transient', code: 'endpoint', message: 'broke off in the middle' }
  throw error
}

/** The code of the innermost cause: ECONNREFUSED, ENOTFOUND, ... */
const causeCode = (error: unknown): string | undefined => {
  const { code, cause, errors } = error as { code?: string; cause?: unknown; errors?: unknown[] }
  const inner = cause ?? errors?.[0]
  return (inner instanceof Error ? causeCode(inner) : undefined) ?? code ?? undefined
}

const connectionFailure = (error: APIConnectionError): Failure => {
  const code = causeCode(error)
  const isDown = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EHOSTUNREACH'
  return {
    kind: 'transient',
    code: 'endpoint',
    message: isDown ? `cannot be reached (${code}); is the server running?` : `broke off (${code ?? error.message})`,
    isDown,
  }
}

const statusFailure = (error: APIError, status: number): Failure => {
  const message = `answered ${status}${serverMessage(error)}`
  if (status === 401 || status === 403) return { kind: 'permanent', code: 'endpoint-key', message }
  const retryAfter = retryAfterOf(error.headers)
  // A quota of money is not restored by waiting
  if (error.code === 'insufficient_quota') return { kind: 'permanent', code: 'endpoint', message }
  if (status === 429 || (status === 503 && retryAfter !== undefined))
    return { kind: 'rate-limited', code: 'endpoint', message, retryAfter }
  const shouldRetry = error.headers?.get('x-should-retry')
  if (shouldRetry !== 'false' && (shouldRetry === 'true' || status === 408 || status === 409 || status >= 500))
    return { kind: 'transient', code: 'endpoint', message, retryAfter }
  return { kind: 'permanent', code: status >= 500 ? 'endpoint' : 'endpoint-refused', message }
}

/** The server's own message in parentheses, at a length that fits a line. */
const serverMessage = ({ status, message }: APIError): string => {
  const text = message
    .replace(`${status} `, '')
    .replaceAll(/\s+/g, ' ')
    .replace(/^status code \(no body\)$/, '')
  return text ? ` (${text.length > 300 ? `${text.slice(0, 300)}…` : text})` : ''
}

// How long to wait, by a response's headers

/** Milliseconds that the server asks to wait; undefined where it does not say. */
const retryAfterOf = (headers: Headers | undefined, now = Date.now()): number | undefined => {
  const ms = Number(headers?.get('retry-after-ms') ?? Number.NaN)
  if (ms >= 0) return ms
  const after = headers?.get('retry-after')
  if (after) {
    const wait = Number.isNaN(Number(after)) ? Date.parse(after) - now : Number(after) * 1000
    if (!Number.isNaN(wait)) return Math.max(0, wait)
  }
  return untilReset(headers, now)
}

/** Milliseconds until a limit that is used up is reset, by the x-ratelimit headers; undefined where none is. */
const untilReset = (headers: Headers | undefined, now = Date.now()): number | undefined => {
  const waits = ['requests', 'tokens'].flatMap((what) => {
    const remaining = headers?.get(`x-ratelimit-remaining-${what}`)
    const wait = durationOf(headers?.get(`x-ratelimit-reset-${what}`) ?? '', now)
    return remaining != null && Number(remaining) <= 0 && wait !== undefined ? [wait] : []
  })
  return waits.length ? Math.max(...waits) : undefined
}

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of 6m0s, 1.5s, 20ms; of plain seconds; until a moment as seconds or milliseconds since 1970. */
const durationOf = (text: string, now: number): number | undefined => {
  const number = Number(text)
  if (text.trim() === '') return undefined
  if (number > 1e9) return Math.max(0, (number > 1e12 ? number : number * 1000) - now)
  if (number >= 0) return number * 1000
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * units[unit], 0)
}
