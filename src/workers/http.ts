/** The exchange over HTTP: the coordinator serves content and takes results, for whoever has the token of the run. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { asHttpError, httpError } from '../http/errors.ts'
import { listen } from '../http/listen.ts'
import { badInput, runFailure } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Content, Exchange, ExchangeClient } from './exchange.ts'
import { checked, isGone, writeChecked } from './fetching.ts'
import { unsealBytes } from './seal.ts'

/** Bytes of one result, at most: four times the largest gradient that is shared. */
const maxResultBytes = 2 ** 28

/**
 * @param host the address that workers reach this machine by
 * @param metrics what GET /metrics answers, for Prometheus
 */
export const serveExchange = async (
  { host, port = 0, token }: { host: string; port?: number; token: string },
  metrics: () => Promise<string>,
): Promise<Exchange> => {
  const content = new Map<string, Content>()
  const awaited = new Set<string>()
  const results = new Map<string, Uint8Array>()
  const bytes = { sent: 0, received: 0 }
  let heard = () => {}

  const app = new Hono()
  app.onError((error) => asHttpError(error).getResponse())
  // Counts of shards and workers, and no names of them
  app.get('/metrics', async (c) => c.text(await metrics()))
  app.use(bearerAuth({ token }))
  app.get('/content/:hash', async ({ req }) => {
    const found = content.get(req.param('hash'))
    if (!found) throw httpError(404, 'is no content of this run')
    if (found instanceof Uint8Array) {
      bytes.sent += found.length
      return new Response(found as Uint8Array<ArrayBuffer>)
    }
    const { size } = await stat(found.path)
    bytes.sent += size
    return new Response(Readable.toWeb(createReadStream(found.path)) as ReadableStream, {
      headers: { 'content-length': `${size}` },
    })
  })
  app.put('/results/:shard', async ({ req, body }) => {
    const shard = req.param('shard')
    if (!awaited.has(shard)) return body(null, 410)
    if (Number(req.header('content-length') ?? Number.POSITIVE_INFINITY) > maxResultBytes)
      throw httpError(413, 'is larger than any result')
    const sealed = new Uint8Array(await req.arrayBuffer())
    if (!unsealBytes(sealed)) throw httpError(400, 'arrived torn')
    bytes.received += sealed.length
    // The first one counts, and a second is the same
    if (awaited.has(shard) && !results.has(shard)) results.set(shard, sealed)
    heard()
    return body(null, 204)
  })
  const server = await listen(app, { host, port }, { requestSeconds: 600 }).catch((error) => {
    if (error.code !== 'bad-flag') throw error
    throw badInput('bad-flag', `${quoted(host)} is no address of this machine`, { flag: '--workers-host' })
  })

  return {
    address: server.url,
    lookEvery: 1000,
    bytes,
    async offer(hash, offered) {
      content.set(hash, offered)
    },
    async withdraw(hash) {
      content.delete(hash)
    },
    await(shards) {
      for (const shard of shards) awaited.add(shard)
    },
    async result(shard) {
      return results.get(shard)
    },
    async forget(shards) {
      for (const shard of shards) {
        awaited.delete(shard)
        results.delete(shard)
      }
    },
    onResult(listener) {
      heard = listener
    },
    close: () => server.close(),
  }
}

/** Milliseconds for which a worker waits for the next bytes of the coordinator, and bytes a second at which a result goes at least. */
const patience = 30_000
const slowest = 1e5

export const httpClient = (address: string, token: string): ExchangeClient => {
  const request = async (path: string, signal: AbortSignal, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${token}` }
    try {
      return await fetch(`${address}${path}`, { ...init, headers, signal })
    } catch (error) {
      throw unreachable(address, error)
    }
  }
  /** Gives the response with some content to `take`, as long as its bytes keep coming. */
  const withContent = async <T>(
    hash: string,
    take: (response: Response, onBytes: () => void) => Promise<T>,
  ): Promise<T> => {
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(new Error(`silent for ${patience / 1000} seconds`)), patience)
    try {
      const response = await request(`/content/${hash}`, silence.signal)
      if (response.status === 404) throw isGone(hash)
      if (!response.ok || !response.body)
        throw runFailure('exchange', `the coordinator refused to give ${hash} (${response.status})`)
      return await take(response, () => timer.refresh())
    } catch (error) {
      if (silence.signal.aborted) throw unreachable(address, silence.signal.reason)
      // The connection was cut in the middle
      throw error instanceof TypeError ? unreachable(address, error) : error
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    fetch: (hash, path) =>
      withContent(hash, ({ body }, onBytes) => writeChecked(Readable.fromWeb(body as never), hash, path, onBytes)),
    read: (hash) => withContent(hash, async (response) => checked(new Uint8Array(await response.arrayBuffer()), hash)),
    async send(shard, sealed) {
      const signal = AbortSignal.timeout(patience + Math.ceil((1000 * sealed.length) / slowest))
      const body = sealed as Uint8Array<ArrayBuffer>
      const response = await request(`/results/${shard}`, signal, { method: 'PUT', body })
      await response.body?.cancel()
      if (response.status === 410) return false
      if (!response.ok) throw runFailure('exchange', `the coordinator refused a result (${response.status})`)
      return true
    },
  }
}

const unreachable = (address: string, error: unknown) => {
  const { cause = error } = error as Error
  const { code, message } = cause as NodeJS.ErrnoException
  return runFailure('exchange', `the coordinator at ${address} does not answer (${code ?? message})`)
}
