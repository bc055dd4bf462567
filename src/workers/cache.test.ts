import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { linkFolder, openWorkerCache } from './cache.ts'
import type { ExchangeClient } from './exchange.ts'
import { sha256 } from './seal.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'attune-cache-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const bytesOf = (n: number) => new Uint8Array(1000).fill(n)
const hashOf = (n: number) => sha256(bytesOf(n)).toString('hex')
const fetched: string[] = []
const exchange: ExchangeClient = {
  async fetch(hash, path) {
    fetched.push(hash)
    writeFileSync(path, bytesOf([...Array(20).keys()].find((n) => hashOf(n) === hash)!))
  },
  read: async () => new Uint8Array(),
  send: async () => true,
}
const open = (limit: number) => openWorkerCache(join(dir, 'content'), limit, join(dir, 'models'))
const bytes = () =>
  readdirSync(join(dir, 'content')).reduce((sum, name) => sum + statSync(join(dir, 'content', name)).size, 0)

it('keeps its bound: what was used longest ago goes first, with the folders that link to it', async () => {
  const cache = await open(5000)
  const first = await cache.fetchAll(exchange, [hashOf(0)])
  await linkFolder(join(dir, 'models'), { 'model.safetensors': hashOf(0) }, first)
  for (let n = 1; n < 12; n++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    await cache.fetchAll(exchange, [hashOf(n)])
    expect(bytes()).toBeLessThanOrEqual(5000)
  }
  expect(readdirSync(join(dir, 'content'))).not.toContain(hashOf(0))
  expect(readdirSync(join(dir, 'content'))).toContain(hashOf(11))
  expect(readdirSync(join(dir, 'models'))).toEqual([])
})

it('never removes what a shard is about to read', async () => {
  const cache = await open(2000)
  const paths = await cache.fetchAll(exchange, [1, 2, 3, 4].map(hashOf))
  for (const [hash, path] of paths) expect(sha256(readFileSync(path)).toString('hex')).toBe(hash)
})

it('removes what the next job of a run no longer reads, but for files of models', async () => {
  const cache = await open(1e6)
  const first = await cache.fetchAll(exchange, [0, 1].map(hashOf))
  await linkFolder(join(dir, 'models'), { 'model.safetensors': hashOf(0) }, first)
  await cache.fetchAll(exchange, [hashOf(2)])
  const there = () => [0, 1, 2].filter((n) => readdirSync(join(dir, 'content')).includes(hashOf(n)))
  expect(there()).toEqual([0, 1, 2])
  // Nobody has used them for a while
  const before = new Date(Date.now() - 100_000)
  for (const n of [0, 1]) utimesSync(join(dir, 'content', hashOf(n)), before, before)
  await cache.fetchAll(exchange, [hashOf(2)])
  expect(there()).toEqual([0, 2])
})

it('makes room on a disk that is smaller than its bound, and fails where that does not help', async () => {
  const cache = await open(1e6)
  const content = join(dir, 'content')
  let most = 3
  const small: ExchangeClient = {
    ...exchange,
    async fetch(hash, path) {
      if (readdirSync(content).length >= most)
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' })
      await exchange.fetch(hash, path)
    },
  }
  for (let n = 0; n < 3; n++) await cache.fetchAll(small, [hashOf(n)])
  await cache.fetchAll(small, [2, 3].map(hashOf))
  expect(readdirSync(content).sort()).toEqual([2, 3].map(hashOf).sort())
  most = 0
  await expect(cache.fetchAll(small, [hashOf(4)])).rejects.toThrow(`${content} cannot be written or read (ENOSPC)`)
})

it('fetches again what another process left torn', async () => {
  mkdirSync(join(dir, 'content'))
  writeFileSync(join(dir, 'content', hashOf(1)), '')
  writeFileSync(join(dir, 'content', hashOf(2)), bytesOf(2))
  fetched.length = 0
  const paths = await (await open(1e6)).fetchAll(exchange, [1, 2].map(hashOf))
  expect(fetched).toEqual([hashOf(1)])
  expect(readFileSync(paths.get(hashOf(1))!)).toHaveLength(1000)
})
