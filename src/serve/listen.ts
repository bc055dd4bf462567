/** The app on a port, and its end: what is under way may finish, and nothing new begins. */
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { serve } from '@hono/node-server'
import type { Hono } from 'hono'
import { badInput } from '../util/fault.ts'

export type Listening = {
  /** http://127.0.0.1:8000 */
  url: string
  /** Resolves when the last answer has been given. */
  close(): Promise<void>
}

/** @param port 0 takes a free one   Throws a Fault 'bad-flag' for an address that cannot be had. */
export const listen = (app: Hono, { host, port }: { host: string; port: number }): Promise<Listening> =>
  new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, (address) => {
      server.off('error', refuse)
      resolve({ url: urlOf(address), close: () => close(server, silent) })
    }) as Server
    const silent = silentOf(server)
    const refuse = (error: NodeJS.ErrnoException) => reject(unavailable(error, host, port))
    server.on('error', refuse)
  })

const urlOf = ({ address, port }: AddressInfo) => `http://${address.includes(':') ? `[${address}]` : address}:${port}`

/** Connections on which nothing was asked yet; clients open some ahead, and to Node they are not idle. */
const silentOf = (server: Server): ReadonlySet<Socket> => {
  const silent = new Set<Socket>()
  server.on('connection', (socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  server.on('request', ({ socket }) => silent.delete(socket))
  return silent
}

const close = (server: Server, silent: ReadonlySet<Socket>) =>
  new Promise<void>((resolve) => {
    // A connection is idle again after its last answer, and would be kept for a while
    const timer = setInterval(() => {
      server.closeIdleConnections()
      for (const socket of silent) socket.destroy()
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
    return badInput('bad-flag', `${JSON.stringify(host)} is no address of this machine`, { flag: '--host' })
  return error
}
