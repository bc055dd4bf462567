/** The built page, from dist/web: read once when the server starts, compressed once when a file is first asked for. */
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Context } from 'hono'
import { runFailure } from '../util/fault.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.png': 'image/png',
  '.json': 'application/json',
}

export type StaticFiles = {
  /** The file of an address; undefined where there is none. */
  respond(context: Context, path: string): Promise<Response> | undefined
  /** index.html, for every address of the page. @param nonce of its styles, as the content security policy names it */
  page(nonce: string): Response
}

const builtPage = fileURLToPath(new URL('../../dist/web', import.meta.url))

export const openStaticFiles = async (dir = builtPage): Promise<StaticFiles> => {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = new Map<string, Buffer>()
  for (const entry of entries)
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name)
      files.set(path.slice(dir.length).replaceAll('\\', '/'), await readFile(path))
    }
  if (!files.has('/index.html'))
    throw runFailure('no-page', 'the page has not been built; run npm run build', { file: dir })
  const page = files.get('/index.html')!.toString()
  const packed = new Map<string, Promise<Buffer>>()
  const send = async (context: Context, path: string) => {
    const type = types[extname(path)] ?? 'application/octet-stream'
    const headers: Record<string, string> = {
      'content-type': type,
      // Names of assets hold a hash of their content
      'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      vary: 'accept-encoding',
    }
    const content = files.get(path)!
    const encoding = /^(text|application\/json|image\/svg)/.test(type) && content.length > 1000 && accepted(context)
    if (!encoding) return new Response(new Uint8Array(content), { headers })
    const key = `${encoding} ${path}`
    const body = packed.get(key) ?? compress[encoding](content)
    packed.set(key, body)
    return new Response(new Uint8Array(await body), { headers: { ...headers, 'content-encoding': encoding } })
  }
  return {
    respond: (context, path) => (files.has(path) && path !== '/index.html' ? send(context, path) : undefined),
    page: (nonce) =>
      new Response(page.replace('__STYLE_NONCE__', nonce), {
        headers: { 'content-type': types['.html'], 'cache-control': 'no-store' },
      }),
  }
}

const accepted = (context: Context): 'br' | 'gzip' | undefined => {
  const header = context.req.header('accept-encoding') ?? ''
  return /\bbr\b/.test(header) ? 'br' : /\bgzip\b/.test(header) ? 'gzip' : undefined
}

const compress = {
  br: (content: Buffer) =>
    promisify(brotliCompress)(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }) as Promise<Buffer>,
  gzip: (content: Buffer) => promisify(gzip)(content) as Promise<Buffer>,
}
