/** A hostile hub: servers on the loopback, each port an origin, whose responses a test may replace. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { resolveHubModel } from '../../src/checkpoint/hub.node.ts'

export type Asked = 'revision' | 'tree' | 'file'
export type Answer = (what: Asked, reply: ServerResponse, request: IncomingMessage) => void

export const commit = 'a'.repeat(40)
export const secret = 'hf_secret'
export const honestAnswers = {
  revision: { _id: '1', id: 'team/thing', sha: commit, lastModified: 0 } as unknown,
  tree: ['config.json', 'model.safetensors'].map((path) => ({
    type: 'file',
    path,
    size: 2,
    oid: '9e26dfeeb6e641a33dae4961196235bdb965b21b',
  })) as unknown,
}

const kindOf = (url: string): Asked =>
  url.includes('/revision/') ? 'revision' : url.includes('/tree/') ? 'tree' : 'file'

export const json = (reply: ServerResponse, value: unknown, headers: object = {}) =>
  reply.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))

export const file = (reply: ServerResponse, request: IncomingMessage) =>
  request.headers.range
    ? reply.writeHead(206, { etag: '"x"', 'content-range': 'bytes 0-0/2' }).end('{')
    : reply.writeHead(200, { etag: '"x"' }).end('{}')

export const honest: Answer = (what, reply, request) =>
  what === 'file' ? file(reply, request) : json(reply, honestAnswers[what])

/**
 * Starts a hub and a second origin that records the tokens it receives. The environment points to the hub, with a token and a
 * separate cache. `answer` makes the responses of the hub, `elsewhere` those of the second origin.
 */
export const openHostileHub = async () => {
  const servers: Server[] = []
  const listen = async (handle: (request: IncomingMessage, reply: ServerResponse) => void) => {
    const server = createServer(handle)
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const base = mkdtempSync(join(tmpdir(), 'attune-hostile-hub-'))
  const hub = {
    base,
    url: '',
    elsewhereUrl: '',
    answer: honest,
    elsewhere: honest,
    /** The paths requested from the second origin, each with the token that was sent. */
    leaked: [] as string[],
    close() {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
      vi.unstubAllEnvs()
      rmSync(base, { recursive: true })
    },
  }
  hub.elsewhereUrl = await listen((request, reply) => {
    hub.leaked.push(`${request.url} ${request.headers.authorization}`)
    hub.elsewhere(kindOf(request.url!), reply, request)
  })
  hub.url = await listen((request, reply) => hub.answer(kindOf(request.url!), reply, request))
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', base)
  vi.stubEnv('HF_TOKEN', secret)
  for (const name of ['HF_TOKEN_PATH', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined)
  return hub
}

export type HostileHub = Awaited<ReturnType<typeof openHostileHub>>

/** Fetches a model. @returns 'done', or the class and message of the error */
export const outcome = (): Promise<string> =>
  resolveHubModel('team/thing').then(
    () => 'done',
    (error) => `${error.name}: ${error.message}`,
  )
