/** The open models of the playground, four at most: children of this process, and servers whose address the owner typed. */
import { isUrl, splitUrl } from '../../endpoint/open.node.ts'
import { httpError } from '../../http/errors.ts'
import { quoted } from '../../util/quote.ts'
import { maxModels, type OpenModel } from './api.ts'
import { type ServedChild, serveModel, type Upstream } from './children.node.ts'
import { onlyModelAt } from './upstream.ts'

export type ModelHost = {
  list(): OpenModel[]
  /** Begins to open a model, where it is not open. Throws an HTTP error 400 for what is no model or address, 429 for a fifth. */
  open(model: string, keyEnv?: string): OpenModel
  /** Waits until it is open. Until `release` it is not closed for being idle. Throws HTTP errors with the reason. */
  use(model: string): Promise<{ upstream: Upstream; release(): void }>
  close(model: string): Promise<void>
  closeAll(): Promise<void>
}

type Entry = {
  shown: OpenModel
  child?: ServedChild
  ready: Promise<Upstream>
  users: number
  usedAt: number
}

export type HostOptions = {
  root: string
  onChange(): void
  /** Milliseconds without a question after which a model is closed. */
  idle?: number
}

export const openModelHost = ({ root, onChange, idle = 15 * 60_000 }: HostOptions): ModelHost => {
  const entries = new Map<string, Entry>()
  const isOpen = ({ shown }: Entry) => shown.state === 'loading' || shown.state === 'ready'
  let closed = false

  const change = (entry: Entry, to: Partial<OpenModel>) => {
    Object.assign(entry.shown, to)
    onChange()
  }

  const close = async (entry: Entry) => {
    const { child } = entry
    entry.child = undefined
    if (isOpen(entry)) change(entry, { state: 'closed', progress: undefined })
    await child?.close()
  }

  /** Of the models that nobody asks, the one that was asked longest ago gives its place. */
  const makeRoom = () => {
    const open = [...entries.values()].filter(isOpen)
    if (open.length < maxModels) return
    const [oldest] = open.filter(({ users }) => users === 0).sort((a, b) => a.usedAt - b.usedAt)
    if (!oldest) throw httpError(429, `${maxModels} models are answering, and no more can be open; stop or close one`)
    void close(oldest)
  }

  const openLocal = (model: string): Entry => {
    const shown: OpenModel = { model, kind: 'local', state: 'loading' }
    const entry: Entry = { shown, users: 0, usedAt: Date.now(), ready: Promise.reject(new Error('is not open')) }
    const child = serveModel(model, root, (progress) => change(entry, { progress }))
    entry.ready.catch(() => {})
    entry.child = child
    entry.ready = child.ready.then(
      (upstream) => {
        if (entry.child === child) change(entry, { state: 'ready', chat: upstream.chat, progress: undefined })
        return upstream
      },
      (error: Error) => {
        if (entry.child === child) change(entry, { state: 'failed', error: error.message, progress: undefined })
        throw httpError(400, error.message)
      },
    )
    void child.gone.then(() => {
      // It ended by itself
      if (entry.child === child && entry.shown.state === 'ready') change(entry, { state: 'closed' })
    })
    return entry
  }

  const openServer = (spec: string, keyEnv: string | undefined): Entry => {
    const { url, model } = addressOf(spec)
    const key = keyOf(keyEnv)
    const shown: OpenModel = { model: spec, kind: 'server', state: 'loading' }
    const entry: Entry = {
      shown,
      users: 0,
      usedAt: Date.now(),
      ready: Promise.resolve({ url, key, model: model ?? '' }),
    }
    if (model) {
      shown.state = 'ready'
      return entry
    }
    entry.ready = onlyModelAt(url, key).then(
      (name) => {
        change(entry, { state: 'ready' })
        return { url, key, model: name }
      },
      (error: Error) => {
        change(entry, { state: 'failed', error: error.message })
        throw httpError(400, error.message)
      },
    )
    return entry
  }

  const open = (model: string, keyEnv?: string): Entry => {
    if (closed) throw httpError(503, 'the studio is closing')
    const before = entries.get(model)
    if (before && isOpen(before)) return before
    makeRoom()
    const entry = isUrl(model) ? openServer(model, keyEnv) : openLocal(model)
    entry.ready.catch(() => {})
    entries.set(model, entry)
    onChange()
    return entry
  }

  const idleCheck = setInterval(
    () => {
      for (const entry of entries.values())
        if (isOpen(entry) && entry.users === 0 && Date.now() - entry.usedAt > idle) void close(entry)
    },
    Math.min(30_000, idle / 2),
  )
  idleCheck.unref()

  return {
    list: () => [...entries.values()].map(({ shown }) => ({ ...shown })),
    open: (model, keyEnv) => ({ ...open(model, keyEnv).shown }),
    async use(model) {
      const known = entries.get(model)
      // An address is typed by the owner, and opened by that; nothing that a page holds makes this process ask a server
      if (!known) throw httpError(404, `${quoted(model)} is not open; choose it again`, { code: 'not-open' })
      const entry = isOpen(known) ? known : known.shown.kind === 'local' ? open(model) : known
      if (!isOpen(entry)) throw httpError(404, `${quoted(model)} is closed; choose it again`, { code: 'not-open' })
      entry.users++
      const release = () => {
        entry.users--
        entry.usedAt = Date.now()
      }
      try {
        return { upstream: await entry.ready, release }
      } catch (error) {
        release()
        throw error
      }
    },
    async close(model) {
      const entry = entries.get(model)
      if (!entry) return
      await close(entry)
    },
    async closeAll() {
      closed = true
      clearInterval(idleCheck)
      await Promise.all([...entries.values()].map(close))
    },
  }
}

const addressOf = (spec: string): { url: string; model?: string } => {
  const { url: text, model } = splitUrl(spec)
  const url = URL.canParse(text) ? new URL(text) : undefined
  const bad = (why: string) => httpError(400, `the address ${why}`, { param: 'model' })
  if (!url || !/^https?:$/.test(url.protocol)) throw bad('must be one such as http://127.0.0.1:8000/v1')
  if (url.username || url.password) throw bad('holds a password; name an environment variable with the key instead')
  if (url.search) throw bad('must end with its path, such as /v1')
  return {
    url: url.origin + (url.pathname === '/' ? '/v1' : url.pathname.replace(/\/+$/, '')),
    model: model || undefined,
  }
}

const keyOf = (name: string | undefined): string | undefined => {
  if (!name) return undefined
  const key = process.env[name]
  if (!key) throw httpError(400, `there is no environment variable ${quoted(name)}`, { param: 'keyEnv' })
  return key
}
