/**
 * Tests against local servers that answer as the few endpoints of the hub do, with the weights on a second one as its
 * CDN.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { resolveDataset, resolveHubModel } from './hub.node.ts'

const COMMIT = 'a'.repeat(40)
const WEIGHTS = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251))
const digest = (algorithm: string, ...parts: (string | Buffer)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest('hex')

let base = ''
let servers: Server[] = []
/** What the servers were asked, and how they are to misbehave. */
let seen: { url: string; range?: string; authorization?: string }[] = []
let repo: Record<string, Buffer> = {}
let cutAfter: number | undefined
let secret: string | undefined
let busy = 0
let hashOf = (data: Buffer) => digest('sha256', data)

const model = () => ({
  'config.json': Buffer.from('{}'),
  'tokenizer.json': Buffer.from('{"a":1}'),
  'model.safetensors': WEIGHTS,
})

const listen = async (answer: (request: IncomingMessage, reply: ServerResponse) => void): Promise<string> => {
  const server = createServer((request, reply) => {
    seen.push({ url: request.url!, range: request.headers.range, authorization: request.headers.authorization })
    answer(request, reply)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const send = (request: IncomingMessage, reply: ServerResponse, data: Buffer) => {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
  const part = from === undefined ? data : data.subarray(Number(from), Number(to) + 1)
  const headers = { etag: '"x"', 'content-length': part.length }
  if (from !== undefined) Object.assign(headers, { 'content-range': `bytes ${from}-${to}/${data.length}` })
  reply.writeHead(from === undefined ? 200 : 206, headers)
  if (cutAfter === undefined || part.length <= cutAfter) return reply.end(part)
  reply.write(part.subarray(0, cutAfter), () => setTimeout(() => reply.destroy(), 20))
  cutAfter = undefined
}

const hub = (cdn: string) => (request: IncomingMessage, reply: ServerResponse) => {
  const url = new URL(request.url!, 'http://hub')
  const json = (status: number, value: unknown) =>
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  if (busy-- > 0) return json(503, { error: 'busy' })
  if (secret && request.headers.authorization !== `Bearer ${secret}`)
    return json(401, { error: 'Invalid username or password.' })
  if (!url.pathname.includes('team/thing')) return json(404, { error: 'Repository not found' })
  if (url.pathname.includes('/revision/'))
    return json(200, { _id: '1', id: 'team/thing', sha: COMMIT, lastModified: 0 })
  if (url.pathname.includes('/tree/')) return json(200, Object.entries(repo).map(listing))
  const path = decodeURIComponent(url.pathname.split(`/resolve/${COMMIT}/`)[1])
  if (path.endsWith('.safetensors')) return reply.writeHead(302, { location: `${cdn}/${path}` }).end()
  return send(request, reply, repo[path])
}

const listing = ([path, data]: [string, Buffer]) => {
  const oid = digest('sha1', `blob ${data.length}\0`, data)
  const lfs = { oid: hashOf(data), size: data.length, pointerSize: 130 }
  return { type: 'file', path, size: data.length, oid, ...(path.endsWith('.safetensors') ? { lfs } : {}) }
}

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'attune-hub-'))
  ;[servers, seen, repo, cutAfter, secret, busy] = [[], [], model(), undefined, undefined, 0]
  hashOf = (data) => digest('sha256', data)
  const cdn = await listen((request, reply) => send(request, reply, repo[request.url!.slice(1)]))
  vi.stubEnv('HF_ENDPOINT', await listen(hub(cdn)))
  vi.stubEnv('HF_HOME', base)
  for (const name of ['HF_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined)
})

const close = () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
}

afterEach(() => {
  close()
  vi.unstubAllEnvs()
  rmSync(base, { recursive: true })
})

const blobs = () => readdirSync(join(base, 'hub/models--team--thing/blobs'))

describe('resolveHubModel', () => {
  it('fetches a model once, with progress, into the layout that huggingface_hub reads', async () => {
    repo = {
      ...repo,
      'pytorch_model.bin': Buffer.from('x'),
      'onnx/model.onnx': Buffer.from('x'),
      'empty.txt': Buffer.of(),
    }
    const progress: number[] = []
    const dir = await resolveHubModel('team/thing', { onProgress: ({ bytes, total }) => progress.push(bytes / total) })
    expect(dir).toBe(join(base, 'hub/models--team--thing/snapshots', COMMIT))
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'empty.txt', 'model.safetensors', 'tokenizer.json'])
    expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(WEIGHTS)
    expect(blobs()).toContain(digest('sha256', WEIGHTS))
    expect(readFileSync(join(base, 'hub/models--team--thing/refs/main'), 'utf8')).toBe(COMMIT)
    expect(progress.at(-1)).toBe(1)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    const before = seen.length
    expect(await resolveHubModel('team/thing')).toBe(dir)
    expect(seen.slice(before).every(({ url }) => url.startsWith('/api/'))).toBe(true)
  })

  it('resumes a download whose connection broke', async () => {
    cutAfter = 200_000
    const dir = await resolveHubModel('team/thing')
    expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(WEIGHTS)
    const ranges = seen
      .filter(({ url, range }) => url === '/model.safetensors' && range !== 'bytes=0-0')
      .map(({ range }) => range)
    expect(ranges).toHaveLength(2)
    expect(ranges[0]).toBeUndefined()
    expect(Number(/^bytes=(\d+)-299999$/.exec(ranges[1]!)![1])).toBeGreaterThan(0)
  })

  it('resumes the download of a stopped process, and starts over where its bytes are wrong', async () => {
    const partial = join(base, 'hub/models--team--thing/blobs', `${digest('sha256', WEIGHTS)}.incomplete`)
    mkdirSync(join(partial, '..'), { recursive: true })
    writeFileSync(partial, WEIGHTS.subarray(0, 1000))
    const dir = await resolveHubModel('team/thing')
    expect(seen.map(({ range }) => range)).toContain('bytes=1000-299999')
    rmSync(join(base, 'hub'), { recursive: true })
    mkdirSync(join(partial, '..'), { recursive: true })
    writeFileSync(partial, Buffer.alloc(1000))
    expect(readFileSync(join(await resolveHubModel('team/thing'), 'model.safetensors'))).toEqual(WEIGHTS)
    expect(existsSync(join(dir, 'model.safetensors'))).toBe(true)
  })

  it('does not write through a link in the place of the download', async () => {
    const partial = join(base, 'hub/models--team--thing/blobs', `${digest('sha256', WEIGHTS)}.incomplete`)
    const other = join(base, 'mine.txt')
    mkdirSync(join(partial, '..'), { recursive: true })
    for (const make of [symlinkSync, linkSync]) {
      writeFileSync(other, 'mine')
      make(other, partial)
      const dir = await resolveHubModel('team/thing')
      expect(readFileSync(other, 'utf8')).toBe('mine')
      expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(WEIGHTS)
      rmSync(join(base, 'hub/models--team--thing/snapshots'), { recursive: true })
      for (const blob of blobs()) rmSync(join(partial, '..', blob))
    }
  })

  it('keeps no file without the listed hash', async () => {
    hashOf = () => 'b'.repeat(64)
    await expect(resolveHubModel('team/thing')).rejects.toMatchObject({ code: 'hub', exitCode: 1 })
    expect(blobs().filter((name) => name.startsWith('b'))).toEqual([])
  })

  it('waits for a busy hub', async () => {
    busy = 1
    expect(existsSync(await resolveHubModel('team/thing'))).toBe(true)
  })

  it('uses the cache when the hub cannot be reached', async () => {
    const dir = await resolveHubModel('team/thing')
    close()
    expect(await resolveHubModel('team/thing')).toBe(dir)
    // The name and the place once each
    await expect(resolveHubModel('team/other')).rejects.toThrow(
      /^team\/other: is no folder here and, as a hub id, not in the cache \S+, and the hub at \S+ cannot be reached \(\w+\)$/,
    )
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect(await resolveHubModel(`team/thing@${COMMIT}`)).toBe(dir)
    await expect(resolveHubModel('team/other')).rejects.toThrow(
      /^team\/other: is no folder here and, as a hub id, not in the cache .* HF_HUB_OFFLINE is set/,
    )
  })

  it('names the parts that an interrupted download did not fetch', async () => {
    const dir = join(base, 'hub/models--team--thing/snapshots', COMMIT)
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'model-00001-of-00002.safetensors'), '')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(resolveHubModel(`team/thing@${COMMIT}`)).rejects.toThrow('only 1 of 2 parts')
  })

  it('sends the token only to the hub and never shows it', async () => {
    secret = 'hf_secret'
    const refused = await resolveHubModel('team/thing').catch((error) => error)
    expect(refused).toMatchObject({ code: 'hub-access', exitCode: 2 })
    expect(refused.message).toContain('set HF_TOKEN')
    writeFileSync(join(base, 'token'), 'hf_secret\n')
    await resolveHubModel('team/thing')
    const toCdn = seen.filter(({ url }) => url === '/model.safetensors')
    expect(toCdn.length).toBeGreaterThan(0)
    expect(toCdn.every(({ authorization }) => authorization === undefined)).toBe(true)
    vi.stubEnv('HF_TOKEN', 'hf_wrong')
    const wrong = await resolveHubModel('team/thing').catch((error) => error)
    expect(JSON.stringify([wrong.message, wrong.where, wrong.stack])).not.toContain('hf_wrong')
    vi.stubEnv('HF_TOKEN', 'sk-nonsense')
    await expect(resolveHubModel('team/thing')).rejects.toMatchObject({
      code: 'bad-token',
      message: expect.not.stringContaining('nonsense'),
    })
  })

  it('lists what is there when a name is wrong', async () => {
    mkdirSync(join(base, 'team/thin'), { recursive: true })
    writeFileSync(join(base, 'file'), '')
    vi.spyOn(process, 'cwd').mockReturnValue(base)
    expect(await resolveHubModel(base)).toBe(base)
    await expect(resolveHubModel('team/thinn')).rejects.toThrow('no such model or revision; did you mean team/thin?')
    await expect(resolveHubModel('tean')).rejects.toThrow(
      'tean: is neither a folder, nor a GGUF file, nor a hub id such as owner/name; did you mean team?',
    )
    await expect(resolveHubModel('./a/b/c')).rejects.toThrow('nor a GGUF file, nor a hub id')
    await expect(resolveHubModel(join(base, 'file'))).rejects.toThrow('is a file')
    vi.restoreAllMocks()
  })

  it('ignores paths that leave the cache, and says when nothing can be read', async () => {
    repo = { '../../evil.json': Buffer.from('{}'), 'weights.gguf': Buffer.from('x') }
    await expect(resolveHubModel('team/thing')).rejects.toThrow('holds no weights that attune reads')
    expect(seen.some(({ url }) => url.includes('evil'))).toBe(false)
  })
})

describe('resolveDataset', () => {
  const rows = Buffer.from('{"text":"x"}\n')

  it('fetches the files of one split, as the card says', async () => {
    repo = {
      'README.md': Buffer.from(
        '---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows/*.jsonl\n---\n# x',
      ),
      'rows/b.jsonl': rows,
      'rows/a.jsonl': rows,
      'other/c.jsonl': rows,
    }
    const files = await resolveDataset('team/thing')
    expect(files.map((file) => file.split(`${COMMIT}/`)[1])).toEqual(['rows/a.jsonl', 'rows/b.jsonl'])
    expect(readFileSync(files[0])).toEqual(rows)
    expect(seen.some(({ url }) => url.includes('other'))).toBe(false)
    await expect(resolveDataset('team/thing', { split: 'trian' })).rejects.toThrow(
      'has no split "trian", only train; did you mean train?',
    )
    close()
    expect(await resolveDataset('team/thing')).toEqual(files)
  })

  it('refuses what is no data set', async () => {
    await expect(resolveDataset('rows.jsonl')).rejects.toThrow('neither a file nor a data set of the hub')
    await expect(resolveDataset('no/where')).rejects.toMatchObject({ code: 'no-repo' })
  })
})
