/** Guards of a server that answers on this machine: which host names and which web pages may send it requests. */
import type { Context } from 'hono'
import { quoted } from '../util/quote.ts'
import { httpError } from './errors.ts'

/** Refuses requests that a browser sends for a web page of another origin, except for the origins that are allowed. */
export const refuseOtherOrigins =
  (allowed: readonly string[]) =>
  async ({ req }: Context, next: () => Promise<void>) => {
    const origin = req.header('origin')
    const site = req.header('sec-fetch-site') ?? 'none'
    const isForeign = origin === undefined ? /^(cross|same)-site$/.test(site) : !allowed.includes(origin)
    if (isForeign)
      throw httpError(
        403,
        `web pages${origin ? ` of ${quoted(origin)}` : ''} are not answered; --cors-origin allows one`,
      )
    await next()
  }

/** Whether a host name means this machine itself. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host)

export const loopbackOnly = async ({ req, env }: Context, next: () => Promise<void>) => {
  // Of several Host headers Node keeps the first; a request line may name a host too
  const rawHeaders: string[] = env?.incoming?.rawHeaders ?? []
  if (rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1)
    throw httpError(400, 'the request names more than one host')
  const host = (req.header('host') ?? '').replace(/:\d+$/, '')
  const stranger = [host, new URL(req.url).hostname].find((name) => !isLoopback(name))
  if (stranger !== undefined)
    throw httpError(403, `answers only as localhost, not as ${quoted(stranger)}; start it with a token for other names`)
  await next()
}
