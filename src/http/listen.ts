/**
 * Runs the app on a port, and closes it gracefully: responses under way get a few seconds, and nothing new is accepted. Every
 * wait has a limit: for headers, for a body, and for a client that does not read its response.
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
  /** Resolves when the last response has been sent or cut off, after five seconds at the latest. */
  close(): Promise<void>
}

export type Timeouts = {
  /** Until a whole request has arrived; its headers get a third of that. */
  requestSeconds?: number
  /** How long a client may read nothing of a response that waits for it. */
  readerSeconds?: number
  /** For responses that are under way when the server closes. */
  closingSeconds?: number
}

/** Connections at once; more are refused. */
const maxConnections = 4096

/** @param port 0 for any free port. Throws a Fault 'bad-flag' for an address that cannot be used. */
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
    const stallCheck = setInterval(
      () => dropStalled(clients, readerSeconds * 1000),
      Math.min(1000, readerSeconds * 250),
    )
    stallCheck.unref()
    server.on('close', () => clearInterval(stallCheck))
    const refuse = (error: NodeJS.ErrnoException) => {
      clearInterval(stallCheck)
      reject(unavailable(error, host, port))
    }
    server.on('error', refuse)
  })

const urlOf = ({ address, port }: AddressInfo) => `http://${address.includes(':') ? `[${address}]` : address}:${port}`

/** A connection: its request and response, how many bytes the client has read, and since when it has read no more. */
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

const dropStalled = (clients: ReadonlyMap<Socket, Client>, limit: number) => {
  for (const [socket, client] of clients) {
    const read = socket.bytesWritten - socket.writableLength
    if (socket.writableLength === 0 || read !== client.read) Object.assign(client, { read, since: Date.now() })
    else if (Date.now() - client.since > limit) socket.destroy()
  }
}

/** The whole request has arrived, and its response is not complete. */
const isBeingServed = ({ request, response }: Client) => request?.complete === true && !response?.writableFinished

const close = (server: Server, clients: ReadonlyMap<Socket, Client>, milliseconds: number) =>
  new Promise<void>((resolve) => {
    const until = Date.now() + milliseconds
    // Idle connections would be kept alive for a while; clients open some in advance, too
    const timer = setInterval(() => {
      for (const [socket, client] of clients) if (Date.now() > until || !isBeingServed(client)) socket.destroy()
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
