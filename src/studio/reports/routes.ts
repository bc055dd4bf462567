/** The routes of reports, as api.ts lists them; all are for the owner only. */
import { readFile, stat } from 'node:fs/promises'
import { Hono } from 'hono'
import { httpError } from '../../http/errors.ts'
import { quoted } from '../../util/quote.ts'
import { insideRoot } from '../insideRoot.node.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import { reportsBelow } from './find.node.ts'
import { numbersOf } from './numbers.ts'

const mostBytes = 64 * 2 ** 20

/**
 * A file below the folder may come from anywhere, so a browser gives it an origin of its own, runs none of its scripts, and
 * loads nothing for it.
 */
const sandboxed = [
  'sandbox',
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join('; ')

/** @param root the studio's folder, a real path */
export const reportRoutes = (root: string): Hono<StudioEnv> => {
  const routes = new Hono<StudioEnv>()
  for (const path of ['/reports', '/reports/*']) routes.use(path, requireRole('own'))

  const read = async (path: string | undefined, name: RegExp): Promise<Buffer> => {
    const real = await insideRoot(root, path ?? '')
    const info = await stat(real)
    if (!name.test(real) || !info.isFile()) throw httpError(404, `${quoted(path)} is no report`)
    if (info.size > mostBytes) throw httpError(413, `${quoted(path)} is too large to be shown`)
    return readFile(real)
  }

  routes.get('/reports', async (context) => context.json(await reportsBelow(root)))

  routes.get('/reports/page', async (context) => {
    const page = await read(context.req.query('path'), /\.html$/i)
    return new Response(new Uint8Array(page), {
      headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': sandboxed },
    })
  })

  routes.get('/reports/numbers', async (context) => {
    const path = context.req.query('path')
    const text = (await read(path, /(?:findings|cartpole|demo|sweep|critique|preferences)\.json$/)).toString()
    try {
      return context.json(numbersOf(JSON.parse(text)))
    } catch {
      throw httpError(400, `${quoted(path)} is not JSON`)
    }
  })
  return routes
}
