/** Opens the studio on a port: the label store, live events, the parts, and the server; closes them in the opposite order. */
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { isLoopback } from '../http/guards.ts'
import { listen } from '../http/listen.ts'
import { openDatabase } from '../store/database.node.ts'
import { badInput } from '../util/fault.ts'
import { makeStudioApp } from './app.ts'
import { jobRoutes } from './jobs/routes.ts'
import { labelRoutes } from './labels/routes.ts'
import { migrations } from './labels/schema.ts'
import { openLive } from './live.ts'
import { savePreference } from './play/preference.ts'
import { openPlayground } from './play/routes.ts'
import { reportRoutes } from './reports/routes.ts'
import { openRunsPart } from './runs/routes.ts'
import { newToken, type Person, sameHash, tokenHash } from './session.ts'
import { openStaticFiles } from './staticFiles.node.ts'
import { openWorkersPart, type WorkersSource } from './workers/routes.ts'

export type StudioOptions = {
  /** The folder to work in: its runs, its files of rows, its labels. */
  root: string
  /** The label store; by default labels.db in the folder. */
  store?: string
  host: string
  port: number
  /** Names under which other machines reach it, with their port where it is not the server's own. */
  names?: readonly string[]
  /** The owner's token; a new one by default. */
  token?: string
  /** Of the Redis whose workers it shows, and which trainings that it starts may use. Its owner closes it. */
  workers?: WorkersSource
  onError(error: unknown): void
}

export type Studio = {
  /** http://127.0.0.1:8001 */
  url: string
  /** The address that opens it as its owner. */
  ownerUrl: string
  /** Method and path of everything that it answers. */
  routes: readonly { method: string; path: string }[]
  close(): Promise<void>
}

/** Throws Faults 'no-file' for a folder that is not there, 'bad-file' for a label store, 'bad-flag' for the address. */
export const openStudio = async (options: StudioOptions): Promise<Studio> => {
  const { host, port, names = [], workers: source, onError } = options
  const root = await realpath(options.root).catch(() => {
    throw badInput('no-file', 'is not there; give a folder', { file: options.root })
  })
  const files = await openStaticFiles()
  const db = openDatabase(options.store ?? join(root, 'labels.db'), migrations)
  const live = openLive()
  const token = options.token ?? newToken()
  const owner: Person = { id: 0, name: 'owner', role: 'own' }
  const ownerHash = tokenHash(token)
  const labels = labelRoutes({ db, live, root, address: () => shownAddress })
  const playground = openPlayground({
    root,
    live,
    savePreference: (preference) => savePreference(labels.labels, preference),
  })
  const jobs = await jobRoutes(labels.labels, { root, workers: source, onError })
  const runs = openRunsPart(root, live, {
    async resume({ method, output }) {
      const { state } = await jobs.jobs.add({ kind: 'train', title: method, argv: ['runs', 'resume', output], output })
      return { waits: state === 'waiting' }
    },
    failureOf(name) {
      const last = jobs.jobs.list().find(({ run }) => run === name)
      return last?.state === 'failed' ? last.problem : undefined
    },
  })
  const workers = source && openWorkersPart(source, live)
  const findPerson = (given: string) => (sameHash(tokenHash(given), ownerHash) ? owner : labels.findPerson(given))
  let own: readonly string[] = []
  /** As others reach it, for the links of annotators. */
  let shownAddress = ''
  const app = makeStudioApp({
    root,
    version: await version(),
    workers: workers !== undefined,
    hosts: () => own,
    findPerson,
    live,
    files,
    parts: [
      ...[labels.routes, runs.routes, reportRoutes(root), playground.routes, jobs.routes],
      ...(workers ? [workers.routes] : []),
    ],
    onError,
  })
  try {
    const server = await listen(app as never, { host, port })
    own = hostNames(server.url, names)
    shownAddress = names.length ? `http://${own.at(-names.length)}` : server.url
    return {
      url: server.url,
      ownerUrl: `${server.url}/?token=${token}`,
      routes: app.routes.map(({ method, path }) => ({ method, path })),
      async close() {
        live.close()
        runs.close()
        workers?.close()
        await Promise.all([server.close(), playground.close()])
        await jobs.close()
        await labels.close()
        db.close()
      },
    }
  } catch (error) {
    live.close()
    runs.close()
    workers?.close()
    await playground.close()
    await jobs.close()
    await labels.close()
    db.close()
    throw error
  }
}

const version = async () =>
  String(JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version)

/** Host headers for an address: on this machine itself localhost too. */
const hostNames = (url: string, names: readonly string[]): string[] => {
  const { hostname, port, host } = new URL(url)
  const local = isLoopback(hostname) ? [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`] : []
  return [host, ...local, ...names.map((name) => (/:\d+$/.test(name) ? name : `${name}:${port}`))].map((name) =>
    name.toLowerCase(),
  )
}
