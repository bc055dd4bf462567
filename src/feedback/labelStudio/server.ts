/**
 * Requests to a Label Studio server: with the token that its user gave, with limits on time and size, and again after a while where
 * the server is busy. The token goes to the given address only.
 */
import { badInput, Fault, runFailure } from '../../util/fault.ts'
import { parseJson } from '../../util/json.ts'
import { limitedBody } from '../../util/limitedBody.ts'
import { cut } from '../../util/quote.ts'

export type Server = {
  /** Without a slash at its end. */
  url: string
  get(path: string): Promise<unknown>
  /** Sent again only where the server says that it did nothing; see `isUnclear`. */
  post(path: string, body: unknown): Promise<unknown>
}

export type ServerOptions = {
  url: string
  /** A legacy access token, or a personal access token (a JWT). */
  token: string
  /** Milliseconds before the second try; each later one waits twice as long. */
  firstWait?: number
  signal?: AbortSignal
}

const tries = 6
const longestWait = 60_000
/** Milliseconds for one request; the server checks a batch of tasks within it. */
const timeLimit = 180_000
const maxBytes = 128 * 2 ** 20

/** A request of which nobody knows whether the server did it: the connection broke, or the server failed. */
export const isUnclear = (error: unknown): boolean => error instanceof Fault && error.code === 'server-unclear'

/** @throws Fault 'bad-flag' for an address that is none. Requests throw 'server-refused' (exit code 2) and 'server' (1). */
export const openServer = ({ url: given, token, firstWait = 500, signal }: ServerOptions): Server => {
  const url = addressOf(given)
  const personal = /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)
  let access: { token: string; until: number } | undefined

  const send = (method: string, path: string, body: unknown, authorization?: string) => {
    const limit = AbortSignal.timeout(timeLimit)
    return fetch(`${url}${path}`, {
      method,
      // Never to another address, since the token goes along
      redirect: 'manual',
      headers: {
        accept: 'application/json',
        ...(authorization && { authorization }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([limit, signal]) : limit,
    })
  }

  /** A personal token buys access for some minutes. */
  const authorization = async (): Promise<string> => {
    if (!personal) return `Token ${token}`
    if (!access || Date.now() > access.until) {
      const answer = await request('POST', '/api/token/refresh/', { refresh: token }, { again: true, open: true })
      const bought = (answer as { access?: unknown } | null)?.access
      if (typeof bought !== 'string') throw runFailure('server', `${url} gave no access for the token`)
      access = { token: bought, until: Date.now() + 120_000 }
    }
    return `Bearer ${access.token}`
  }

  /** @param again the request changes nothing, so that it may be sent twice; open: without the token */
  const request = async (
    method: string,
    path: string,
    body: unknown,
    { again, open = false }: { again: boolean; open?: boolean },
  ): Promise<unknown> => {
    for (let attempt = 1, renewed = false; ; attempt++) {
      const sent = open ? undefined : await authorization()
      let response: Response
      let text: string
      try {
        const answer = await send(method, path, body, sent)
        response = limitedBody(answer, maxBytes, {
          tooLong: () => runFailure('server', `${url} answered with more than ${maxBytes} bytes`),
        })
        text = await response.text()
      } catch (error) {
        signal?.throwIfAborted()
        if (error instanceof Fault) throw error
        const reason = reasonOf(error)
        // Nobody listened, so nothing was done
        const safe = again || /ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.test(reason)
        if (!safe || attempt >= tries)
          throw runFailure(
            safe ? 'server' : 'server-unclear',
            `${url} does not answer (${reason}); is it running, and is the address right?`,
          )
        await pause(attempt)
        continue
      }
      const { status } = response
      if (status >= 200 && status < 300)
        return text === ''
          ? null
          : parseJson(text, () => runFailure('server', `${url}${path} answered with what is no JSON`))
      if (status === 401 && personal && !open && !renewed) {
        renewed = true
        access = undefined
        continue
      }
      const busy = status === 429 || status === 503
      if (attempt < tries && (busy || (again && status >= 500))) {
        await pause(attempt, response.headers.get('retry-after'))
        continue
      }
      throw refusal({
        url,
        method,
        path,
        status,
        text,
        location: response.headers.get('location'),
        unclear: status >= 500 && !again && !busy,
      })
    }
  }

  const pause = async (attempt: number, retryAfter?: string | null) => {
    const asked = Number(retryAfter) * 1000
    const wait = Math.min(longestWait, Math.max(firstWait * 2 ** (attempt - 1), Number.isFinite(asked) ? asked : 0))
    await new Promise((resolve) => setTimeout(resolve, wait))
    signal?.throwIfAborted()
  }

  return {
    url,
    get: (path) => request('GET', path, undefined, { again: true }),
    post: (path, body) => request('POST', path, body, { again: false }),
  }
}

const addressOf = (given: string): string => {
  let url: URL | undefined
  try {
    url = new URL(given)
  } catch {}
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw badInput('bad-flag', 'must be the address of a Label Studio server, such as http://localhost:8080', {
      flag: '--server',
    })
  return url.href.replace(/\/+$/, '')
}

const reasonOf = (error: unknown): string => {
  const { name, message, cause } = error as Error & { cause?: NodeJS.ErrnoException }
  return name === 'TimeoutError' ? 'no answer in time' : (cause?.code ?? cause?.message ?? message)
}

type Refused = {
  url: string
  method: string
  path: string
  status: number
  text: string
  location: string | null
  unclear: boolean
}

const refusal = ({ url, method, path, status, text, location, unclear }: Refused): Fault => {
  const said = detailOf(text)
  if (status === 401 || status === 403)
    return badInput(
      'server-refused',
      `${url} does not accept the token${said && ` (${said})`}; copy one from Account & Settings there; legacy tokens may be turned off, personal access tokens work`,
    )
  if (status >= 300 && status < 400)
    return badInput('server-refused', `${url} sends on to ${location ?? 'another address'}; give that address`)
  const what = `${url} answered ${method} ${path.split('?')[0]} with status ${status}${said && `: ${said}`}`
  if (unclear) return runFailure('server-unclear', what)
  return status >= 500 || status === 429
    ? runFailure('server', what)
    : badInput('server-refused', what, {}, [`status ${status}`])
}

/** Whether the server said that there is no such thing. */
export const isMissing = (error: unknown): boolean => error instanceof Fault && error.details.includes('status 404')

/** What Django REST says of an error, in one line. */
const detailOf = (text: string): string => {
  try {
    const body = JSON.parse(text)
    const errors = Object.values(body.validation_errors ?? {})
      .flat()
      .join('; ')
    return cut(String(errors || body.detail || ''), 400)
  } catch {
    return ''
  }
}
