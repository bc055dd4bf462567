/**
 * What a failed request means: whether to ask again, and when. Servers say when in several ways: Retry-After in seconds
 * or as a date, retry-after-ms, and the x-ratelimit-reset-* headers, whose values are durations such as 6m0s.
 */
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'

export type Failure = {
  /** 'busy': later, however often. 'again': a few times. 'final': never. */
  kind: 'busy' | 'again' | 'final'
  code: 'endpoint' | 'endpoint-key' | 'endpoint-refused' | 'bad-answer'
  message: string
  /** Milliseconds that the server asks to wait. */
  after?: number
  /** Tries at most, where few tell enough. */
  tries?: number
  /** Nobody listens there. */
  unreachable?: boolean
}

export const failureOf = (error: unknown, timeout: number): Failure => {
  const isAborted = error instanceof APIUserAbortError || (error instanceof Error && error.name === 'AbortError')
  if (isAborted || error instanceof APIConnectionTimeoutError)
    return { kind: 'again', code: 'endpoint', message: `gave no answer within ${timeout / 1000} s` }
  if (error instanceof APIConnectionError) return unreachable(error)
  if (error instanceof APIError && error.status !== undefined) return refusal(error, error.status)
  if (error instanceof SyntaxError) {
    const why = error.message.startsWith('longer') ? error.message : 'not JSON'
    return { kind: 'again', code: 'bad-answer', message: `sent a malformed answer (${why})` }
  }
  // undici: the connection broke in the middle of the body
  if (error instanceof TypeError) return { kind: 'again', code: 'endpoint', message: 'broke off in the middle' }
  throw error
}

/** Codes of the innermost cause: ECONNREFUSED, ENOTFOUND, ... */
const causeCode = (error: unknown): string | undefined => {
  const { code, cause, errors } = error as { code?: string; cause?: unknown; errors?: unknown[] }
  const inner = cause ?? errors?.[0]
  return (inner instanceof Error ? causeCode(inner) : undefined) ?? code ?? undefined
}

const unreachable = (error: APIConnectionError): Failure => {
  const code = causeCode(error)
  const down = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EHOSTUNREACH'
  return {
    kind: 'again',
    code: 'endpoint',
    message: down ? `cannot be reached (${code}); is the server running?` : `broke off (${code ?? error.message})`,
    unreachable: down,
  }
}

const refusal = (error: APIError, status: number): Failure => {
  const said = sentence(error)
  const message = `answered ${status}${said}`
  if (status === 401 || status === 403) return { kind: 'final', code: 'endpoint-key', message }
  const after = waitOf(error.headers)
  // Money does not come back by waiting
  if (error.code === 'insufficient_quota') return { kind: 'final', code: 'endpoint', message }
  if (status === 429 || (status === 503 && after !== undefined))
    return { kind: 'busy', code: 'endpoint', message, after }
  const again = error.headers?.get('x-should-retry')
  if (again !== 'false' && (again === 'true' || status === 408 || status === 409 || status >= 500))
    return { kind: 'again', code: 'endpoint', message, after }
  return { kind: 'final', code: status >= 500 ? 'endpoint' : 'endpoint-refused', message }
}

/** The server's own words, at a length that fits a line. */
const sentence = ({ status, message }: APIError): string => {
  const text = message
    .replace(`${status} `, '')
    .replaceAll(/\s+/g, ' ')
    .replace(/^status code \(no body\)$/, '')
  return text ? ` (${text.length > 300 ? `${text.slice(0, 300)}…` : text})` : ''
}

/** Milliseconds to wait, from a response's headers. */
export const waitOf = (headers: Headers | undefined, now = Date.now()): number | undefined => {
  const ms = Number(headers?.get('retry-after-ms') ?? Number.NaN)
  if (ms >= 0) return ms
  const after = headers?.get('retry-after')
  if (after) {
    const found = Number.isNaN(Number(after)) ? Date.parse(after) - now : Number(after) * 1000
    if (!Number.isNaN(found)) return Math.max(0, found)
  }
  return resetOf(headers, now)
}

/** Milliseconds until a limit that is used up is lifted, by the x-ratelimit headers; undefined where none is. */
export const resetOf = (headers: Headers | undefined, now = Date.now()): number | undefined => {
  const waits = ['requests', 'tokens'].flatMap((what) => {
    const left = headers?.get(`x-ratelimit-remaining-${what}`)
    const wait = durationOf(headers?.get(`x-ratelimit-reset-${what}`) ?? '', now)
    return left != null && Number(left) <= 0 && wait !== undefined ? [wait] : []
  })
  return waits.length ? Math.max(...waits) : undefined
}

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** 6m0s, 1.5s, 20ms; plain seconds; a moment as seconds or milliseconds since 1970. */
const durationOf = (text: string, now: number): number | undefined => {
  const number = Number(text)
  if (text.trim() === '') return undefined
  if (number > 1e9) return Math.max(0, (number > 1e12 ? number : number * 1000) - now)
  if (number >= 0) return number * 1000
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * units[unit], 0)
}
