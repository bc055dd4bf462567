/** A server on the loopback that takes uploads as the hub does: weights over LFS, other files in the commit. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type HubServer = Awaited<ReturnType<typeof startHub>>
type Repo = { visibility?: string; files: Map<string, Buffer>; commits: string[] }

const bodyOf = async (request: IncomingMessage) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export const startHub = async (token = 'hf_secret') => {
  const state = {
    url: '',
    repos: new Map<string, Repo>(),
    role: 'write',
    /** The size of a part in bytes, if files are uploaded in parts. */
    partSize: undefined as number | undefined,
    /** Responds with the status that this function returns, if any. */
    refuse: (_: string): number | undefined => undefined,
    seen: [] as { what: string; length?: string; authorization?: string }[],
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
  /** Uploaded files by their SHA-256. */
  const blobs = new Map<string, Buffer>()
  const parts = new Map<string, Buffer>()

  const lfs = (name: string, objects: { oid: string; size: number }[]) => ({
    transfer: 'basic',
    objects: objects.map(({ oid, size }) => {
      if (blobs.has(oid)) return { oid, size }
      const count = Math.ceil(size / (state.partSize ?? size))
      const places = Array.from({ length: count }, (_, i) => [
        `${i + 1}`.padStart(5, '0'),
        `${state.url}/put/${oid}/${i}`,
      ])
      const header = { chunk_size: String(state.partSize), ...Object.fromEntries(places) }
      const upload = state.partSize
        ? { href: `${state.url}/join/${oid}/${count}`, header }
        : { href: `${state.url}/put/${oid}` }
      return { oid, size, actions: { upload } }
    }),
    name,
  })

  const commit = (repo: Repo, lines: string) => {
    for (const { key, value } of lines.split('\n').map((line) => JSON.parse(line))) {
      if (key === 'header') repo.commits.push(value.summary)
      if (key === 'file') repo.files.set(value.path, Buffer.from(value.content, 'base64'))
      if (key === 'lfsFile') repo.files.set(value.path, blobs.get(value.oid)!)
    }
  }

  const answer = (what: string, body: Buffer): [status: number, value: object] => {
    const [, name = ''] = /(?:\/api\/models\/|\/)(\w+\/[\w-]+)(?:\?|\/|\.git|$)/.exec(what) ?? []
    const repo = state.repos.get(name)
    const json = () => JSON.parse(body.toString())
    if (what.includes('/whoami'))
      return [200, { type: 'user', name: 'me', auth: { accessToken: { role: state.role } } }]
    if (what === 'POST /api/repos/create') {
      const { organization, name: own, visibility } = json()
      state.repos.set(`${organization}/${own}`, { visibility, files: new Map(), commits: [] })
      return [200, { url: `${state.url}/${organization}/${own}`, id: `${organization}/${own}` }]
    }
    const [, oid, part] = /\/put\/(\w+)(?:\/(\d+))?$/.exec(what) ?? []
    if (oid && part) parts.set(`${oid}/${part}`, body)
    else if (oid) blobs.set(createHash('sha256').update(body).digest('hex'), body)
    const [, whole, count] = /\/join\/(\w+)\/(\d+)$/.exec(what) ?? []
    if (whole) blobs.set(whole, Buffer.concat(Array.from({ length: +count }, (_, i) => parts.get(`${whole}/${i}`)!)))
    if (oid || whole) return [200, {}]
    if (!repo) return [404, { error: 'Repository not found' }]
    if (what.includes('/preupload/')) {
      const uploadMode = (path: string) => (path.endsWith('.safetensors') ? 'lfs' : 'regular')
      return [
        200,
        { files: json().files.map(({ path }: { path: string }) => ({ path, uploadMode: uploadMode(path) })) },
      ]
    }
    if (what.includes('/info/lfs/')) return [200, lfs(name, json().objects)]
    if (what.includes('/commit/')) commit(repo, body.toString())
    return [200, { commitOid: 'a'.repeat(40), commitUrl: state.url }]
  }

  const server = createServer(async (request: IncomingMessage, reply: ServerResponse) => {
    const what = `${request.method} ${request.url}`
    const { authorization } = request.headers
    state.seen.push({ what, length: request.headers['content-length'], authorization })
    const body = await bodyOf(request).catch(() => undefined)
    if (!body) return
    const open = /\/(put|join)\//.test(what) || authorization === `Bearer ${token}`
    const refused = open ? state.refuse(what) : 401
    const [status, value] = refused ? [refused, { error: 'refused by the test' }] : answer(what, body)
    reply.writeHead(status, { 'content-type': 'application/json', etag: '"x"' }).end(JSON.stringify(value))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
}
