/** A hub that means ill: where the token goes, and answers that are none. Servers on the loopback, each port an origin. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { resolveModel } from './hub.node.ts'

const commit = 'a'.repeat(40)
const secret = 'hf_secret'
const answers = {
  revision: { _id: '1', id: 'team/thing', sha: commit, lastModified: 0 } as unknown,
  tree: ['config.json', 'model.safetensors'].map((path) => ({
    type: 'file',
    path,
    size: 2,
    oid: '9e26dfeeb6e641a33dae4961196235bdb965b21b',
  })) as unknown,
}

let base = ''
let servers: Server[] = []
let elsewhere = ''
/** The paths that the other origin was asked for, with the token that came along. */
let leaked: string[] = []
let answer: (what: 'revision' | 'tree' | 'file', reply: ServerResponse, request: IncomingMessage) => void

const listen = async (handle: (request: IncomingMessage, reply: ServerResponse) => void) => {
  const server = createServer(handle)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const kindOf = (url: string) => (url.includes('/revision/') ? 'revision' : url.includes('/tree/') ? 'tree' : 'file')

const json = (reply: ServerResponse, value: unknown, headers: object = {}) =>
  reply.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))

const file = (reply: ServerResponse, request: IncomingMessage) =>
  request.headers.range
    ? reply.writeHead(206, { etag: '"x"', 'content-range': 'bytes 0-0/2' }).end('{')
    : reply.writeHead(200, { etag: '"x"' }).end('{}')

const honest: typeof answer = (what, reply, request) =>
  what === 'file' ? file(reply, request) : json(reply, answers[what])

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'attune-hostile-hub-'))
  ;[servers, leaked, answer] = [[], [], honest]
  elsewhere = await listen((request, reply) => {
    leaked.push(`${request.url} ${request.headers.authorization}`)
    honest(kindOf(request.url!), reply, request)
  })
  vi.stubEnv('HF_ENDPOINT', await listen((request, reply) => answer(kindOf(request.url!), reply, request)))
  vi.stubEnv('HF_HOME', base)
  vi.stubEnv('HF_TOKEN', secret)
  for (const name of ['HF_TOKEN_PATH', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined)
})

afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  vi.unstubAllEnvs()
  rmSync(base, { recursive: true })
})

const outcome = () =>
  resolveModel('team/thing').then(
    () => 'done',
    (error) => `${error.name}: ${error.message}`,
  )

describe('the token', () => {
  const statuses = [301, 302, 303, 307, 308]
  const cases = statuses.flatMap((status) => (['revision', 'tree', 'file'] as const).map((what) => ({ status, what })))

  it.each(cases)('stays at home where $what is redirected to another origin by $status', async ({ status, what }) => {
    answer = (asked, reply, request) =>
      asked === what
        ? reply.writeHead(status, { location: `${elsewhere}${request.url}`, 'x-cache': 'Hit from cloudfront' }).end()
        : honest(asked, reply, request)
    await outcome()
    expect(leaked.length).toBeGreaterThan(0)
    expect(leaked.join('\n')).not.toContain(secret)
  })

  it('stays at home where the other origin says that it is a cache of the hub', async () => {
    servers[0].removeAllListeners('request')
    servers[0].on('request', (request, reply) => {
      leaked.push(`${request.url} ${request.headers.authorization}`)
      reply.setHeader('x-cache', 'Hit from cloudfront')
      file(reply, request)
    })
    answer = (asked, reply, request) =>
      asked === 'file' ? reply.writeHead(302, { location: `${elsewhere}/stored` }).end() : honest(asked, reply, request)
    await outcome()
    expect(leaked.length).toBeGreaterThan(1)
    expect(leaked.join('\n')).not.toContain(secret)
  })

  it('stays at home where the next page of a list is on another origin', async () => {
    answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, answers.tree, { link: `<${elsewhere}/api/models/team/thing/tree/x>; rel="next"` })
        : honest(asked, reply, request)
    await outcome()
    expect(leaked).toEqual(['/api/models/team/thing/tree/x undefined'])
  })

  it.each(['hf_a\nhost: evil', 'hf_a b', 'hf_\u001b[31m', 'secret', 'hf_'])(
    'is refused and not shown where it cannot be one: %j',
    async (token) => {
      vi.stubEnv('HF_TOKEN', token)
      expect(await outcome()).toMatch(/^Fault: the token of HF_TOKEN/)
      expect(await outcome()).not.toContain(token.slice(3) || 'no token')
    },
  )
})

describe('HF_ENDPOINT', () => {
  it.each([
    'http://user:pass@127.0.0.1:1',
    'http://127.0.0.1:1\nx',
    'http://\u001b127.0.0.1',
    'file:///etc',
    'example',
    'http://a/?token=pass',
  ])('is refused and not shown where it is no address of a hub: %j', async (text) => {
    vi.stubEnv('HF_ENDPOINT', text)
    expect(await outcome()).toMatch(/^Fault: HF_ENDPOINT: must be the address/)
    expect(await outcome()).not.toContain(text)
  })
})

describe('answers that are not a hub’s', () => {
  const wrong = [null, 5, 'x', {}, [null], [5], [{}], [[]], [{ type: 'file', path: null, size: 1, oid: commit }]]

  it.each(wrong.map((value) => ({ value })))('as a list of files: $value', async ({ value }) => {
    answer = (asked, reply, request) => (asked === 'tree' ? json(reply, value) : honest(asked, reply, request))
    expect(await outcome()).toMatch(/^Fault: .*(is not a hub's|no weights)/)
  })

  it.each([null, 5, [], {}, { sha: 5 }, { sha: '../../x' }].map((value) => ({ value })))(
    'as a revision: $value',
    async ({ value }) => {
      answer = (asked, reply, request) => (asked === 'revision' ? json(reply, value) : honest(asked, reply, request))
      expect(await outcome()).toMatch(/^Fault: .*(is not a hub's|names no commit)/)
    },
  )

  it('as a list that never ends', async () => {
    let page = 0
    answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, [], { link: `<http://${request.headers.host}${request.url}&cursor=${page++}>; rel="next"` })
        : honest(asked, reply, request)
    expect(await outcome()).toMatch(/^Fault: .*does not end/)
    expect(page).toBeLessThanOrEqual(1000)
  })

  it('as an answer of the API without an end', async () => {
    answer = (asked, reply, request) => {
      if (asked !== 'tree') return honest(asked, reply, request)
      reply.writeHead(200, { 'content-type': 'application/json' })
      const fill = () => {
        while (!reply.destroyed && reply.write(Buffer.alloc(1 << 20, '['))) {}
        if (!reply.destroyed) reply.once('drain', fill)
      }
      fill()
    }
    expect(await outcome()).toMatch(/^Fault: .*longer than 64 MiB/)
  })

  it('as names that leave the cache, or that no folder takes', async () => {
    const names = ['../x.json', 'a\u0000.json', `${'n'.repeat(300)}.json`, 'a\u001b.json', 'C:\\x.json', '/etc/x.json']
    const entry = (path: string) => ({ ...(answers.tree as object[])[0], path })
    answer = (asked, reply, request) =>
      asked === 'tree'
        ? json(reply, [...names, 'config.json', 'model.safetensors'].map(entry))
        : honest(asked, reply, request)
    expect(await outcome()).toBe('done')
    expect(readdirSync(join(base, 'hub/models--team--thing/snapshots', commit)).sort()).toEqual([
      'config.json',
      'model.safetensors',
    ])
  })
})
