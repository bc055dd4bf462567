/** Who may do what in the studio: hosts, origins, tokens and roles over every route. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStudio, type Studio } from '../src/studio/openStudio.node.ts'

let root: string
let studio: Studio
const token = 'the-token-of-the-owner-0123456789'
const errors: unknown[] = []
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'attune-access-'))
  const workers = { url: 'redis://:secret@h', address: 'redis://h', read: async () => ({ workers: [], runs: [] }) }
  studio = await openStudio({
    root,
    host: '127.0.0.1',
    port: 0,
    token,
    workers,
    onError: (error) => errors.push(error),
  })
})
afterAll(async () => {
  await studio.close()
  rmSync(root, { recursive: true })
  expect(errors).toEqual([])
})

type Sent = { method: string; path: string; headers?: Record<string, string | string[]>; body?: string }
type Answer = { status: number; headers: Record<string, unknown>; body: string }

/** A request with any header, which fetch would not send. */
const send = ({ method, path, headers = {}, body }: Sent): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(studio.url)
    const sent = request({ hostname, port, method, path, headers, setHost: headers.host === undefined }, (response) => {
      const answered = (text: string) =>
        resolve({ status: response.statusCode!, headers: response.headers, body: text })
      // A stream of events has no end
      if (/event-stream/.test(response.headers['content-type'] ?? '')) {
        response.destroy()
        return answered('')
      }
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => answered(text))
    })
    sent.on('error', reject)
    sent.end(body)
  })

const own = () => new URL(studio.url).host
const port = () => new URL(studio.url).port

const api = () => {
  const routes = studio.routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/'))
  const unique = new Map(routes.map((route) => [`${route.method} ${route.path}`, route]))
  return [...unique.values()]
}
const addressOf = (path: string) => path.replace(/:[a-zA-Z]+(\{[^}]*\})?/g, '1').replace(/\*$/, 'x')
const asOwner = { authorization: `Bearer ${token}` }

describe('every route of the studio', () => {
  it('is refused to other hosts, whatever the token', async () => {
    const hosts = () => [
      'evil.example',
      `evil.example:${port()}`,
      `${own()}.evil.example`,
      `127.0.0.1.nip.io:${port()}`,
      '127.0.0.1:1',
      '',
      `${own()}@evil.example`,
      `[::ffff:127.0.0.1]:${port()}`,
    ]
    for (const host of hosts())
      for (const { method, path } of [...api(), { method: 'GET', path: '/' }]) {
        const { status } = await send({ method, path: addressOf(path), headers: { host, ...asOwner } })
        expect([400, 403], `${method} ${path} as ${host}`).toContain(status)
      }
  })

  it('is refused to pages of other origins, whatever the token', async () => {
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://127.0.0.1:${Number(port()) + 1}` },
      { origin: `http://${own()}.evil.example` },
      { origin: `http://${own()}`.toUpperCase().replace('HTTP', 'ftp') },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]
    for (const headers of foreign)
      for (const { method, path } of api()) {
        const { status } = await send({ method, path: addressOf(path), headers: { ...headers, ...asOwner } })
        expect(status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(403)
      }
  })

  it('is refused without the right token, wherever it is given', async () => {
    const wrong: { headers?: Record<string, string>; query?: string }[] = [
      {},
      { headers: { authorization: `Bearer ${token.slice(0, -1)}` } },
      { headers: { authorization: `Bearer ${token}x` } },
      { headers: { authorization: `Basic ${Buffer.from(`owner:${token}`).toString('base64')}` } },
      { headers: { authorization: `Bearer ${token} ${token}` } },
      { headers: { cookie: `attune-studio-1=${token}` } },
      { headers: { cookie: `attune-studio-${port()}=${token.toUpperCase()}` } },
      { query: `?token=${token}` },
      { headers: { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-user': 'owner' } },
    ]
    for (const { headers, query = '' } of wrong)
      for (const { method, path } of api()) {
        const { status, body } = await send({ method, path: addressOf(path) + query, headers })
        expect(status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(401)
        expect(body).not.toContain(root)
      }
  })

  it('is answered with the token, in a header or in the cookie', async () => {
    expect(api().length).toBeGreaterThan(1)
    for (const headers of [asOwner, { cookie: `attune-studio-${port()}=${token}` }] as Record<string, string>[]) {
      const { status, body } = await send({
        method: 'GET',
        path: '/api/session',
        headers: { ...headers, origin: studio.url },
      })
      expect(status).toBe(200)
      expect(JSON.parse(body)).toMatchObject({ person: { role: 'own' }, root, workers: true })
    }
  })

  it('is refused to annotators where it shows workers', async () => {
    const added = await send({
      ...{ method: 'POST', path: '/api/annotators' },
      headers: { ...asOwner, 'content-type': 'application/json' },
      body: JSON.stringify({ requestId: 'added-by-a-test', name: 'ann', role: 'annotate', projects: [] }),
    })
    const theirs = /token=([\w-]+)/.exec(added.body)![1]
    for (const path of ['/api/workers', '/api/live?topic=workers']) {
      const headers = { authorization: `Bearer ${theirs}` }
      expect((await send({ method: 'GET', path, headers })).status, path).toBe(403)
      expect((await send({ method: 'GET', path, headers: asOwner })).status, path).toBe(200)
    }
  })

  it('forbids the browser scripts, styles and requests that are not the page’s own', async () => {
    for (const path of ['/', '/runs', '/api/session', '/api/none', '/icon.svg', '/none.js']) {
      const { headers } = await send({ method: 'GET', path, headers: asOwner })
      const policy = String(headers['content-security-policy'])
      expect(policy, path).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toMatch(/unsafe|\*|https?:/)
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
  })
})

describe('the token of an address', () => {
  it('becomes a cookie that scripts cannot read, and leaves the address', async () => {
    const { status, headers, body } = await send({ method: 'GET', path: `/runs?x=1&token=${token}` })
    expect(status).toBe(200)
    const [cookie] = headers['set-cookie'] as string[]
    expect(cookie).toMatch(new RegExp(`^attune-studio-${port()}=${token};`))
    expect(cookie).toMatch(/HttpOnly/)
    expect(cookie).toMatch(/SameSite=Strict/)
    expect(body).toContain('url=/runs?x=1"')
    expect(body).not.toContain(token)
  })

  it('sends nobody elsewhere', async () => {
    for (const path of ['//evil.example/', '/\\evil.example', '/"><script>x</script>']) {
      const { body } = await send({ method: 'GET', path: `${path}?token=${token}` })
      expect(body).not.toMatch(/url=(\/\/|\/\\|https?:)/)
      expect(body).not.toContain('<script>')
    }
  })

  it('is refused when it is wrong', async () => {
    const { status, headers } = await send({ method: 'GET', path: '/?token=wrong' })
    expect(status).toBe(401)
    expect(headers['set-cookie']).toBeUndefined()
  })
})
