/**
 * Who sends a request: the owner, with the token of this start, or an annotator, with the token of a link. A token comes in
 * the address of the first page, is moved into a cookie that scripts cannot read, and leaves the address.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { httpError } from '../http/errors.ts'
import { escapeText } from '../report/svg.ts'

/** Each role may do what those before it may: rate, decide between raters, everything. */
export const roles = ['annotate', 'adjudicate', 'own'] as const
export type Role = (typeof roles)[number]

/** `id` is 0 for the owner, else the annotator's in the label store. */
export type Person = { id: number; name: string; role: Role }

export type StudioEnv = { Variables: { person: Person } }

/** 256 bits, for the address of a page. */
export const newToken = (): string => randomBytes(32).toString('base64url')

/** What is stored of a token: nobody who reads the store can act as its holder. */
export const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex')

/** @returns the person whose token this is. Compares hashes in constant time. */
export type FindPerson = (token: string) => Person | undefined

export const sameHash = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a, 'hex'), Buffer.from(b, 'hex'))

/** Servers on several ports of one machine share their cookies, so the name holds the port. */
const cookieName = (port: number) => `attune-studio-${port}`

const portOf = (context: Context): number => Number(new URL(context.req.url).port || 80)

/**
 * For pages: moves `?token=` of the address into the cookie. The page that follows is not a redirect, since a browser that
 * comes from another site would not send the cookie along.
 */
export const takeToken =
  (find: FindPerson): MiddlewareHandler =>
  async (context, next) => {
    const token = context.req.query('token')
    if (token === undefined || context.req.method !== 'GET') return next()
    if (find(token) === undefined) return context.html(openingPage('This link is not valid any more', undefined), 401)
    setCookie(context, cookieName(portOf(context)), token, {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: 60 * 60 * 24 * 30,
    })
    const url = new URL(context.req.url)
    url.searchParams.delete('token')
    // An address that begins with two slashes would name another host
    return context.html(openingPage('Opening the studio', `/${url.pathname.replace(/^[/\\]+/, '')}${url.search}`))
  }

/** @param to where the page goes on */
const openingPage = (title: string, to: string | undefined) => {
  const refresh = to === undefined ? '' : `<meta http-equiv="refresh" content="0;url=${escapeText(to)}"/>`
  const advice = '. Ask for a new one, or start attune studio again and open the address that it prints.'
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"/><meta name="referrer" content="no-referrer"/><link rel="icon" href="data:,"/>${refresh}<title>${title}</title></head>
<body><p>${title}${to === undefined ? advice : '…'}</p></body></html>
`
}

/** For /api: status 401 without a valid token in the cookie or in `Authorization: Bearer`. */
export const identify =
  (find: FindPerson): MiddlewareHandler<StudioEnv> =>
  async (context, next) => {
    const bearer = /^Bearer ([\w-]+)$/.exec(context.req.header('authorization') ?? '')?.[1]
    const token = bearer ?? getCookie(context, cookieName(portOf(context)))
    const person = token === undefined ? undefined : find(token)
    if (!person) throw httpError(401, 'open the address that attune studio printed, or the link that you were given')
    context.set('person', person)
    await next()
  }

/** Status 403 for those who may not do this. */
export const requireRole =
  (role: Role): MiddlewareHandler<StudioEnv> =>
  async (context, next) => {
    if (roles.indexOf(context.get('person').role) < roles.indexOf(role))
      throw httpError(403, `this needs the role ${role}; you have ${context.get('person').role}`)
    await next()
  }
