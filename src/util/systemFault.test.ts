import { mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { systemFault } from './systemFault.ts'

const caught = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return systemFault(error)
  }
}

it('an error of the file system about a path is bad input that names the path', () => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-system-'))
  symlinkSync('circle', join(dir, 'circle'))
  for (const path of [join(dir, 'n'.repeat(300)), join(dir, 'circle'), dir, join(dir, 'absent')]) {
    const fault = caught(() => readFileSync(path))
    expect(fault?.exitCode, path).toBe(2)
    // A read of a folder fails without telling its path
    if (path !== dir) expect(fault?.where.file).toBe(path)
  }
  expect(caught(() => openSync('a\u0000b', 'r'))?.message).toContain('NUL')
  rmSync(dir, { recursive: true })
})

it.each(['EMFILE', 'EFBIG', 'ENFILE', 'EBUSY', 'ENOSPC'])(
  'knows a limit (%s) as a failure, and says its code',
  (code) => {
    const fault = systemFault(Object.assign(new Error('no'), { code, syscall: 'write', path: '/x' }))
    expect(fault).toMatchObject({ exitCode: 1, message: expect.stringContaining(code) })
  },
)

it('memory that cannot be allocated is a failure at run time, and other errors are left alone', () => {
  expect(caught(() => 'x'.repeat(2 ** 30))?.code).toBe('memory')
  expect(caught(() => new ArrayBuffer(2 ** 52))?.code).toBe('memory')
  expect(caught(() => (undefined as unknown as string).length)).toBeUndefined()
})
