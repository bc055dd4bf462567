import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { contentKey, openContentFiles, storeRows } from './content.node.ts'
import { openValues } from './values.node.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-content-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

it('contentKey is 128 bits of the SHA-256 of the JSON', () => {
  expect(contentKey([])).toBe('4f53cda18c2baa0c0354bb5f9a3ecbe5')
  expect(contentKey([1, 'a'])).toBe(contentKey([1, 'a']))
  expect(contentKey([1, 'a'])).not.toBe(contentKey(['1', 'a']))
})

describe('records', () => {
  const schema = z.object({ text: z.string() })
  const folder = () => join(root, 'records')

  it('are found by an equal key, by another process too, and by no other key', async () => {
    await (await openContentFiles(folder(), schema)).add({ prompt: 'a', nth: 0 }, { text: 'b' })
    const records = await openContentFiles(folder(), schema)
    expect(await records.find({ prompt: 'a', nth: 0 })).toEqual({ text: 'b' })
    expect(await records.find({ prompt: 'a', nth: 1 })).toBeUndefined()
  })

  it('count as missing where their file is damaged', async () => {
    const records = await openContentFiles(folder(), schema)
    const [group] = await readdir(folder())
    const [name] = await readdir(join(folder(), group))
    expect(name).toMatch(new RegExp(`^${group}[0-9a-f]{62}\\.json$`))
    const path = join(folder(), group, name)
    await writeFile(path, (await readFile(path, 'utf8')).replace('"b"', '"c"'))
    expect(await records.find({ prompt: 'a', nth: 0 })).toBeUndefined()
  })

  it('refuse a folder that cannot be made', async () => {
    await writeFile(join(root, 'letter'), 'x')
    await expect(openContentFiles(join(root, 'letter', 'records'), schema)).rejects.toMatchObject({ code: 'disk' })
  })
})

it('storeRows gives equal rows the same file', async () => {
  const path = await storeRows([{ a: 1 }, { b: 2 }])
  expect(await readFile(path, 'utf8')).toBe('{"a":1}\n{"b":2}\n')
  expect(await storeRows([{ a: 1 }, { b: 2 }])).toBe(path)
  expect(await storeRows([{ a: 1 }])).not.toBe(path)
  expect((await readdir(join(root, 'cache', 'rows'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

describe('values', () => {
  const path = () => join(root, 'values', 'file.jsonl')
  const schema = z.array(z.number())

  it('are read again, without torn and damaged lines', async () => {
    const values = await openValues(path(), schema)
    await values.set('a', [1.5])
    await values.set('b', [2.5])
    const text = await readFile(path(), 'utf8')
    await writeFile(path(), text.replace('2.5', '3.5'))
    await appendFile(path(), '{"k":"torn","v":[')
    const again = await openValues(path(), schema)
    expect([again.get('a'), again.get('b'), again.get('torn')]).toEqual([[1.5], undefined, undefined])
    await again.set('c', [4])
    expect((await openValues(path(), schema)).get('c')).toEqual([4])
    expect(again.failure()).toBeUndefined()
  })

  it('stay in memory where the file cannot be written', async () => {
    await writeFile(join(root, 'note'), 'x')
    const values = await openValues(join(root, 'note', 'file.jsonl'), schema)
    await values.set('a', [1])
    expect(values.get('a')).toEqual([1])
    expect(values.failure()).toBeInstanceOf(Error)
  })
})
