/**
 * `fetch` for the hub. The token is sent only to the hub's own origin, since listings and redirects may name other
 * hosts. It waits for a busy server, gives up on a silent one, and limits the size of JSON answers.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { badInput, runFailure } from '../util/fault.ts'
import { limitedBody } from '../util/limitedBody.ts'

/** Bytes of the longest answer of the hub's API; a listing of a thousand files takes about 300 kB. */
const largestAnswer = 64 << 20
/** Milliseconds to wait for the next byte. */
const patience = 60_000

/** Checks HF_ENDPOINT. Throws a Fault 'bad-endpoint', which does not show its value. */
export const checkedEndpoint = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const sound = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash
  // URL silently drops line breaks and tabs
  if (!sound || /[^\x21-\x7e]/.test(text))
    throw badInput(
      'bad-endpoint',
      'must be the address of a hub, http(s)://HOST[:PORT][/PATH], without user name, password or query',
      { flag: 'HF_ENDPOINT' },
    )
  return text.replace(/\/+$/, '')
}

/** Checks a token. Throws a Fault 'bad-token', which does not show it. */
export const checkedToken = (text: string): string => {
  if (!/^hf_[\x21-\x7e]+$/.test(text))
    throw badInput(
      'bad-token',
      'the token of HF_TOKEN or `hf auth login` is not one line that begins with hf_; make one at huggingface.co/settings/tokens',
    )
  return text
}

/**
 * `fetch` for a hub at `hubUrl`. Refuses a whole file in answer to a byte range, since it would be appended to the part
 * that is there. (fetch itself drops the token where a redirect leaves the origin.)
 */
export const hubFetch = (hubUrl: string): typeof fetch => {
  const home = new URL(hubUrl).origin
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
    if (url.origin !== home) headers.delete('authorization')
    for (let attempt = 0; ; attempt++) {
      const reply = await patiently(url, { ...init, headers })
      const busy = reply.status === 429 || reply.status >= 500
      if (busy && attempt < 3) {
        await reply.body?.cancel()
        await sleep(250 * 2 ** attempt)
      } else if (reply.status === 200 && headers.has('range')) {
        await reply.body?.cancel()
        throw runFailure('hub', 'the server ignores byte ranges, so no download can be resumed', { file: url.href })
      } else return reply
    }
  }
}

/**
 * Gives up when nothing arrives for a minute (except for uploads, which are answered only at their end), and when an
 * answer of the API is longer than any that the hub gives.
 */
const patiently = async (url: URL, init: RequestInit): Promise<Response> => {
  const silence = new AbortController()
  const giveUp = () => silence.abort(runFailure('offline', `${url.host} is silent for ${patience / 1000} seconds`))
  let timer: NodeJS.Timeout | undefined
  const listen = () => {
    clearTimeout(timer)
    timer = init.body ? undefined : setTimeout(giveUp, patience).unref()
  }
  listen()
  try {
    const signal = init.signal ? AbortSignal.any([silence.signal, init.signal]) : silence.signal
    const reply = await fetch(url, { ...init, signal })
    listen()
    const limit = !reply.ok || url.pathname.includes('/api/') ? largestAnswer : Infinity
    return limitedBody(reply, limit, {
      heard: listen,
      ended: () => clearTimeout(timer),
      tooLong: () => runFailure('hub', `the answer of ${url.host} is longer than ${limit >> 20} MiB`),
    })
  } catch (error) {
    clearTimeout(timer)
    throw error
  }
}
