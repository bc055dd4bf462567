/**
 * The studio's server as a Hono app: guards before everything, the built page, and under /api the routes of each part. All
 * data is behind a token; the page itself holds none.
 */
import { randomBytes } from 'node:crypto'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { asHttpError, httpError } from '../http/errors.ts'
import { refuseOtherOrigins } from '../http/guards.ts'
import { quoted } from '../util/quote.ts'
import type { Session } from './api.ts'
import type { Live } from './live.ts'
import { type FindPerson, identify, type StudioEnv, takeToken } from './session.ts'
import type { StaticFiles } from './staticFiles.node.ts'

export type AppOptions = {
  /** The folder that the studio works in. */
  root: string
  version: string
  /** Whether there is a part that shows workers. */
  workers: boolean
  /** Host headers that are answered, with their port: 127.0.0.1:8001. */
  hosts(): readonly string[]
  findPerson: FindPerson
  live: Live
  files: StaticFiles
  /** Routes of the parts, each under /api. */
  parts: readonly Hono<StudioEnv>[]
  /** Called with errors that are not the client's fault. */
  onError(error: unknown): void
}

export const makeStudioApp = ({
  root,
  version,
  workers,
  hosts,
  findPerson,
  live,
  files,
  parts,
  onError,
}: AppOptions) => {
  const session = { version, root, workers }
  const app = new Hono<StudioEnv>()
  app.use(headers)
  app.use(onlyHosts(hosts))
  app.use('/api/*', (context, next) => refuseOtherOrigins(origins(hosts()))(context, next))
  app.use('/api/*', identify(findPerson))
  app.get('/api/session', (context) => context.json({ person: context.get('person'), ...session } satisfies Session))
  app.get('/api/live', (context) => {
    const topics = context.req.queries('topic') ?? []
    if (context.get('person').role !== 'own' && topics.some((topic) => ofOwner.test(topic)))
      throw httpError(403, 'this needs the role own')
    return live.stream(context, (topic) =>
      topics.some((wanted) => (wanted.endsWith('/') ? topic.startsWith(wanted) : topic === wanted)),
    )
  })
  for (const part of parts) app.route('/api', part)
  app.all('/api/*', ({ req }) => {
    throw httpError(404, `there is no ${req.method} ${quoted(req.path)} here`)
  })
  app.use(takeToken(findPerson))
  app.get('*', async (context) => {
    const file = files.respond(context, context.req.path)
    if (file) return file
    if (/\.\w+$/.test(context.req.path)) throw httpError(404, `there is no file ${quoted(context.req.path)}`)
    const nonce = randomBytes(16).toString('base64url')
    const page = files.page(nonce)
    page.headers.set('content-security-policy', policyWith(`'nonce-${nonce}'`))
    return page
  })
  app.notFound(({ req }) => httpError(404, `there is no ${req.method} ${quoted(req.path)} here`).getResponse())
  app.onError((error) => {
    const answer = asHttpError(error)
    if (answer.status === 500) onError(error)
    return answer.getResponse()
  })
  return app
}

/** Topics that only the owner may listen to. */
const ofOwner = /^(runs?|jobs?|retests|play|workers)(\/|$)/

/** @param styles beside the page's own files: libraries add some with a nonce */
const policyWith = (styles: string) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' ${styles}`.trim(),
    "font-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "frame-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

const headers: MiddlewareHandler = async (context, next) => {
  await next()
  if (!context.res.headers.has('content-security-policy'))
    context.res.headers.set('content-security-policy', policyWith(''))
  context.res.headers.set('x-content-type-options', 'nosniff')
  context.res.headers.set('referrer-policy', 'no-referrer')
  context.res.headers.set('cross-origin-opener-policy', 'same-origin')
  context.res.headers.set('cross-origin-resource-policy', 'same-origin')
  if (context.req.path.startsWith('/api/')) context.res.headers.set('cache-control', 'no-store')
}

const origins = (hosts: readonly string[]) => hosts.flatMap((host) => [`http://${host}`, `https://${host}`])

/** Against DNS rebinding: a name that somebody points at this machine is not answered. */
const onlyHosts =
  (hosts: () => readonly string[]) =>
  async ({ req, env }: Context, next: () => Promise<void>) => {
    const rawHeaders: string[] = env?.incoming?.rawHeaders ?? []
    if (rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1)
      throw httpError(400, 'the request names more than one host')
    const host = req.header('host') ?? ''
    const stranger = [host, new URL(req.url).host].find((name) => !hosts().includes(name.toLowerCase()))
    if (stranger !== undefined) throw httpError(403, `answers only as ${hosts()[0]}, not as ${quoted(stranger)}`)
    await next()
  }
