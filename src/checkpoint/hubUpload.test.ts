/** Tests against a local server that answers as the hub does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type HubServer, startHub } from '../../test/support/hubServer.ts'
import { repoOfPath } from './hubRepo.node.ts'
import { hubTarget, prepareRepo, uploadFiles } from './hubUpload.node.ts'

const WEIGHTS = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251))

let base = ''
let hub: HubServer

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'attune-upload-'))
  hub = await startHub()
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', base)
  for (const name of ['HF_TOKEN_PATH', 'HF_HUB_OFFLINE']) vi.stubEnv(name, undefined)
  vi.stubEnv('HF_TOKEN', 'hf_secret')
  writeFileSync(join(base, 'config.json'), '{"a":1}')
  writeFileSync(join(base, 'model.safetensors'), WEIGHTS)
})
afterEach(() => {
  hub.close()
  vi.unstubAllEnvs()
  rmSync(base, { recursive: true })
})

const target = (name = 'me/thing') => hubTarget(name, '--push-to-hub')
const files = () => [
  { path: 'README.md', content: new Blob(['# thing']) },
  ...['config.json', 'model.safetensors'].map((path) => ({ path, content: join(base, path) })),
]
const upload = async (
  onBytes: (done: number, total: number) => void = () => {},
  signal = new AbortController().signal,
) => uploadFiles(await target(), files(), { title: 'attune sft: 3 steps', signal, onBytes })

describe('before any work', () => {
  it('a target needs a name and a token', async () => {
    for (const name of ['thing', 'a/b/c', 'me/thing@branch', './thing'])
      await expect(target(name)).rejects.toMatchObject({ code: 'bad-flag', exitCode: 2 })
    vi.stubEnv('HF_TOKEN', undefined)
    await expect(target()).rejects.toMatchObject({ code: 'bad-token', exitCode: 2 })
    writeFileSync(join(base, 'token'), 'hf_secret\n')
    expect((await target()).access.accessToken).toBe('hf_secret')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(target()).rejects.toMatchObject({ code: 'offline', exitCode: 2 })
    expect(hub.seen).toEqual([])
  })

  it('a new repository is private, one that exists stays as it is', async () => {
    await prepareRepo(await target())
    expect(hub.repos.get('me/thing')?.visibility).toBe('private')
    await prepareRepo(await target())
    expect(hub.seen.filter(({ what }) => what.includes('create'))).toHaveLength(1)
  })

  it('says why a token is refused', async () => {
    hub.role = 'read'
    await expect(prepareRepo(await target())).rejects.toThrow('may only read; make one with write access')
    hub.role = 'fineGrained'
    hub.refuse = (what) => (what.includes('create') ? 403 : undefined)
    await expect(prepareRepo(await target('them/thing'))).rejects.toThrow(
      'them/thing: the hub does not let this token write there (403: refused by the test)',
    )
    vi.stubEnv('HF_TOKEN', 'hf_other')
    const wrong = await prepareRepo(await target()).catch((error) => error)
    expect(wrong).toMatchObject({ code: 'hub-access', exitCode: 2 })
    expect(wrong.message).not.toContain('hf_other')
  })

  it('accepts a repository that was created meanwhile, and says when the hub cannot be reached', async () => {
    hub.refuse = (what) => (what.includes('create') ? 409 : undefined)
    await prepareRepo(await target())
    hub.close()
    await expect(prepareRepo(await target())).rejects.toMatchObject({ code: 'offline', exitCode: 1 })
  })
})

describe('uploadFiles', () => {
  beforeEach(async () => prepareRepo(await target()))

  it.each([undefined, 100_000])(
    'commits files as they are, and counts their bytes (in parts of %s)',
    async (partSize) => {
      hub.partSize = partSize
      const seen: number[] = []
      expect(await upload((done, total) => seen.push(done / total))).toBe(`${hub.url}/me/thing`)
      const { files: there, commits } = hub.repos.get('me/thing')!
      expect([...there.keys()].sort()).toEqual(['README.md', 'config.json', 'model.safetensors'])
      expect(there.get('model.safetensors')!.equals(WEIGHTS)).toBe(true)
      expect(there.get('config.json')!.toString()).toBe('{"a":1}')
      expect(commits).toEqual(['attune sft: 3 steps'])
      expect(seen).toEqual(seen.toSorted((a, b) => a - b))
      expect(seen.filter((part) => part > 0.05 && part < 0.95).length).toBeGreaterThan(1)
      expect(seen.at(-1)).toBe(1)
      const puts = hub.seen.filter(({ what }) => what.startsWith('PUT'))
      expect(puts.map(({ length }) => Number(length))).toEqual(
        partSize ? [partSize, partSize, partSize] : [WEIGHTS.length],
      )
      expect(puts.every(({ authorization }) => authorization === undefined)).toBe(true)
    },
  )

  it('waits for a busy server, and does not send again what arrived', async () => {
    let times = 0
    hub.refuse = (what) => (what.startsWith('PUT') && times++ === 0 ? 503 : undefined)
    await upload()
    expect(hub.seen.filter(({ what }) => what.startsWith('PUT'))).toHaveLength(2)
    await upload()
    expect(hub.seen.filter(({ what }) => what.startsWith('PUT'))).toHaveLength(2)
  })

  it('fails with the message of the hub, and stops when it is aborted', async () => {
    hub.refuse = (what) => (what.includes('/commit/') ? 400 : undefined)
    await expect(upload()).rejects.toThrow('me/thing: the hub refuses (400: refused by the test)')
    hub.refuse = () => undefined
    const stop = new AbortController()
    await expect(upload(() => stop.abort(), stop.signal)).rejects.toThrow()
    expect(hub.repos.get('me/thing')!.commits).toEqual([])
  })
})

it('a path in the cache tells its repository', () => {
  const cached = '/home/x/.cache/huggingface/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/abc'
  expect(repoOfPath(cached)).toBe('HuggingFaceTB/SmolLM2-135M')
  expect(repoOfPath(`${cached}/model.safetensors`)).toBe('HuggingFaceTB/SmolLM2-135M')
  expect(repoOfPath('C:\\hub\\datasets--a--b.c\\snapshots\\d\\x.parquet')).toBe('a/b.c')
  expect(repoOfPath('/home/x/models/owner/name')).toBeUndefined()
})
