/** Written whole or not at all, and never through a link. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { appendText, makeFolders, openAppending, writeNew, writeSynced, writeWhole } from './files.node.ts'
import { readSealed, sealed, sealedFile, sealOf, unsealed } from './sealed.node.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-files-'))
})
afterEach(() => rm(root, { recursive: true }))

const bytes = (text: string) => [Buffer.from(text)]
const at = (name: string) => join(root, name)

describe('a new file', () => {
  it('is written whole, and never over what is there, even if that appears meanwhile', async () => {
    await writeNew(at('file'), bytes('one'))
    await expect(writeNew(at('file'), bytes('two'))).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    async function* slow() {
      yield Buffer.from('three')
      await writeFile(at('late'), 'mine')
    }
    await expect(writeNew(at('late'), slow())).rejects.toMatchObject({ code: 'taken' })
    await symlink(at('nowhere'), at('link'))
    await expect(writeNew(at('link'), bytes('four'))).rejects.toMatchObject({ code: 'taken' })
    expect([await readFile(at('file'), 'utf8'), await readFile(at('late'), 'utf8')]).toEqual(['one', 'mine'])
    expect((await readdir(root)).sort()).toEqual(['file', 'late', 'link'])
  })

  it('is not there after a failure', async () => {
    async function* failing() {
      yield Buffer.from('half')
      throw new Error('gone')
    }
    await expect(writeNew(at('file'), failing())).rejects.toThrow('gone')
    expect(await readdir(root)).toEqual([])
    await expect(writeNew(at('no/file'), bytes('x'))).rejects.toMatchObject({ code: 'disk' })
  })
})

describe('a file that is written whole', () => {
  it('replaces a link, and leaves what the link leads to', async () => {
    await writeFile(at('mine'), 'mine')
    await symlink(at('mine'), at('file'))
    // The name that earlier versions wrote to first
    await symlink(at('mine'), at('file.tmp'))
    await writeWhole(at('file'), bytes('new'))
    expect([await readFile(at('file'), 'utf8'), await readFile(at('mine'), 'utf8')]).toEqual(['new', 'mine'])
    expect((await readdir(root)).sort()).toEqual(['file', 'file.tmp', 'mine'])
  })

  it('leaves no temporary file after a failure, and removes old ones of killed processes', async () => {
    await mkdir(at('folder'))
    await expect(writeWhole(at('folder'), bytes('x'))).rejects.toMatchObject({
      code: 'not-a-file',
      where: { file: at('folder') },
    })
    const failing = async function* () {
      yield Buffer.from('half')
      throw new Error('gone')
    }
    await expect(writeWhole(at('file'), failing())).rejects.toThrow('gone')
    expect(await readdir(root)).toEqual(['folder'])
    const [old, young] = ['file.0123456789ab.tmp', 'file.0123456789ac.tmp']
    for (const name of [old, young]) await writeFile(at(name), 'half')
    await utimes(at(old), 0, 0)
    await writeWhole(at('file'), bytes('x'))
    expect((await readdir(root)).sort()).toEqual(['file', young, 'folder'])
  })

  it('has a random name while it is written', async () => {
    const both = Array.from({ length: 20 }, (_, i) => writeWhole(at('file'), bytes(`${i}`.repeat(1000))))
    await Promise.all(both)
    expect(await readdir(root)).toEqual(['file'])
    expect((await stat(at('file'))).size % 1000).toBe(0)
  })
})

it('a new file is not written where something exists already', async () => {
  await writeFile(at('mine'), 'mine')
  await symlink(at('mine'), at('linked'))
  await symlink(at('nothing'), at('dangling'))
  for (const name of ['mine', 'linked', 'dangling'])
    await expect(writeSynced(at(name), bytes('x'))).rejects.toMatchObject({ code: 'EEXIST' })
  expect(await readFile(at('mine'), 'utf8')).toBe('mine')
  expect(await readdir(root)).not.toContain('nothing')
})

it('text is appended to regular files only', async () => {
  await appendText(at('log'), 'a')
  await appendText(at('log'), 'b')
  expect(await readFile(at('log'), 'utf8')).toBe('ab')
  await symlink(at('log'), at('linked'))
  await symlink(at('nothing'), at('dangling'))
  await mkdir(at('folder'))
  for (const [name, what] of Object.entries({ linked: 'a link', dangling: 'a link', folder: 'a folder' }))
    await expect(openAppending(at(name))).rejects.toMatchObject({
      code: 'not-a-file',
      message: expect.stringContaining(`${at(name)}: is ${what}`),
    })
  expect((await readdir(root)).sort()).toEqual(['dangling', 'folder', 'linked', 'log'])
})

it('makeFolders returns the folders that it made', async () => {
  expect(await makeFolders(at('a/b'))).toEqual([at('a'), at('a/b')])
  const both = await Promise.all([makeFolders(at('c/d')), makeFolders(at('c/d'))])
  expect(both.flat().sort()).toEqual([at('c'), at('c/d')])
})

describe('sealed JSON', () => {
  const value = { a: 1, text: 'é "x"', list: [1.5, null], deep: { hash: 'h' } }

  it('holds the value and its hash, on one line or on several', () => {
    for (const indent of [0, 2]) {
      const { text, hash } = sealed(value, 'name', indent)
      expect(JSON.parse(text)).toEqual({ ...value, hash })
      expect([unsealed(text, 'name'), sealOf(`${text}\n`, 'name')]).toEqual([value, hash])
      expect(unsealed(text, 'other')).toBeUndefined()
    }
  })

  it('is rejected when any byte has changed', () => {
    const { text } = sealed(value)
    for (let i = 0; i < text.length; i++) {
      const other = `${text.slice(0, i)}${text[i] === '1' ? '2' : '1'}${text.slice(i + 1)}`
      expect(unsealed(other), other).toBeUndefined()
      expect(unsealed(text.slice(0, i))).toBeUndefined()
    }
    for (const other of ['', '{}', 'null', JSON.stringify(value)]) expect(unsealed(other)).toBeUndefined()
  })

  it('is rejected under another file name', async () => {
    await writeWhole(at('a.json'), sealedFile(at('a.json'), value))
    expect(await readSealed(at('a.json'))).toEqual(value)
    await writeWhole(at('b.json'), bytes(await readFile(at('a.json'), 'utf8')))
    for (const name of ['b.json', 'none.json', '']) expect(await readSealed(at(name))).toBeUndefined()
  })
})
