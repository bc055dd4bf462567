/**
 * The app on a port, and its end: what is under way may finish within a few seconds, and nothing new begins. Peculiar:
 * nobody is waited for without end: not for headers or a body that do not come, not for a reader that does not read.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { serve } from '@hono/node-server'
import type { Hono } from 'hono'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'

export type RunningServer = {
  /** http://127.0.0.1:8000 */
  url: string
  /** Resolves when the last answer has been given, or cut off: after five seconds at the latest. */
  close(): Promise<void>
}

export type Timeouts = {
  /** For the whole of a request to come; its headers get a third of it. */
  requestSeconds?: number
  /** For a reader that takes nothing of what waits for him. */
  readerSeconds?: number
  /** For answers that are under way when the server ends. */
  closingSeconds?: number
}

/** Connections at once; more are not taken. */
const maxConnections = 4096

/** @param port 0 takes a free one   Throws a Fault 'bad-flag' for an address that cannot be had. */
export const listen = (
  app: Hono,
  { host, port }: { host: string; port: number },
  { requestSeconds = 60, readerSeconds = 60, closingSeconds = 3 }: Timeouts = {},
): Promise<RunningServer> =>
  new Promise((resolve, reject) => {
    const serverOptions = {
      requestTimeout: requestSeconds * 1000,
      headersTimeout: (requestSeconds * 1000) / 3,
      connectionsCheckingInterval: Math.min(5000, requestSeconds * 250),
    }
    const server = serve({ fetch: app.fetch, hostname: host, port, serverOptions }, (address) => {
      server.off('error', refuse)
      resolve({ url: urlOf(address), close: () => close(server, clients, closingSeconds * 1000) })
    }) as Server
    server.maxConnections = maxConnections
    const clients = clientsOf(server)
    const watch = setInterval(() => dropStalled(clients, readerSeconds * 1000), Math.min(1000, readerSeconds * 250))
    watch.unref()
    server.on('close', () => clearInterval(watch))
    const refuse = (error: NodeJS.ErrnoException) => {
      clearInterval(watch)
      reject(unavailable(error, host, port))
    }
    server.on('error', refuse)
  })

const urlOf = ({ address, port }: AddressInfo) => `http://${address.includes(':') ? `[${address}]` : address}:${port}`

/** What a connection asks for and how far it has read. */
type Client = { request?: IncomingMessage; response?: ServerResponse; read: number; since: number }

const clientsOf = (server: Server): ReadonlyMap<Socket, Client> => {
  const clients = new Map<Socket, Client>()
  server.on('connection', (socket) => {
    clients.set(socket, { read: 0, since: Date.now() })
    socket.once('close', () => clients.delete(socket))
  })
  server.on('request', (request, response) => Object.assign(clients.get(request.socket) ?? {}, { request, response }))
  return clients
}

const dropStalled = (clients: ReadonlyMap<Socket, Client>, patience: number) => {
  for (const [socket, client] of clients) {
    const read = socket.bytesWritten - socket.writableLength
    if (socket.writableLength === 0 || read !== client.read) Object.assign(client, { read, since: Date.now() })
    else if (Date.now() - client.since > patience) socket.destroy()
  }
}

/** An answer may still come of it: the whole request is there, and its answer is not. */
const isAnswered = ({ request, response }: Client) => request?.complete === true && !response?.writableFinished

const close = (server: Server, clients: ReadonlyMap<Socket, Client>, patience: number) =>
  new Promise<void>((resolve) => {
    const until = Date.now() + patience
    // A connection is idle again after its last answer, and would be kept for a while; clients open some ahead, too
    const timer = setInterval(() => {
      for (const [socket, client] of clients) if (Date.now() > until || !isAnswered(client)) socket.destroy()
    }, 50)
    server.close(() => {
      clearInterval(timer)
      resolve()
    })
  })

const unavailable = (error: NodeJS.ErrnoException, host: string, port: number): unknown => {
  if (error.code === 'EADDRINUSE')
    return badInput('bad-flag', `${port} is taken; choose another, or 0`, { flag: '--port' })
  if (error.code === 'EACCES')
    return badInput('bad-flag', `${port} is not permitted; take one above 1023`, { flag: '--port' })
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return badInput('bad-flag', `${quoted(host)} is no address of this machine`, { flag: '--host' })
  return error
}
