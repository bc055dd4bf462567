import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openLines, writeLines } from './lines.node.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-lines-'))
})
afterAll(() => rm(root, { recursive: true }))

const options = { schema: z.object({ n: z.number() }), total: 5, group: 2 }
const values = [1, 2, 3, 4, 5].map((n) => ({ n }))

it('appending goes on after the last complete group, whatever a killed process left', async () => {
  const path = join(root, 'deep/lines.jsonl')
  const whole = await openLines(path, options)
  for (const group of [values.slice(0, 2), values.slice(2, 4), values.slice(4)]) await whole.append(group)
  expect([whole.length, await whole.read(0), await whole.read(4)]).toEqual([5, { n: 1 }, { n: 5 }])
  await whole.close()
  const bytes = await readFile(path)
  const line = bytes.indexOf(10) + 1
  for (const cut of [...Array(bytes.length).keys(), bytes.length].filter((at) => at % 13 === 0 || at % line < 2)) {
    await writeFile(path, bytes.subarray(0, cut))
    const file = await openLines(path, options)
    expect(file.length, `cut at ${cut}`).toBe(cut === bytes.length ? 5 : 2 * Math.floor(cut / line / 2))
    for (let at = file.length; at < 5; at = file.length) await file.append(values.slice(at, at + 2))
    await file.close()
    expect(await readFile(path)).toEqual(bytes)
  }
  await writeLines(path, values)
  expect(await readFile(path)).toEqual(bytes)
})

describe('lines after a damaged one count as missing', async () => {
  const path = () => join(root, 'altered/lines.jsonl')
  const digit = (text: string) => text.replace('"n":4', '"n":9')
  const swapped = (text: string) => {
    const [a, b, c, d, e] = text.trimEnd().split('\n')
    return `${[a, b, d, c, e].join('\n')}\n`
  }
  const lost = (text: string) => text.split('\n').toSpliced(2, 1).join('\n')
  it.each([
    ['a digit', digit],
    ['swapped lines', swapped],
    ['a lost line', lost],
    ['zeros', (text: string) => text.slice(0, 150) + '\0'.repeat(text.length - 150)],
    [
      'lines without a hash',
      (text: string) =>
        text.replaceAll(/,"hash":"\w+"/g, '').replace(/^.*\n.*\n/, text.slice(0, text.indexOf('{"n":3'))),
    ],
  ])('%s', async (_, damage) => {
    await mkdir(join(root, 'altered'), { recursive: true })
    await writeLines(path(), values)
    const whole = await readFile(path(), 'utf8')
    await writeFile(path(), damage(whole))
    const file = await openLines(path(), options)
    expect(file.length).toBe(2)
    expect(await file.read(1)).toEqual({ n: 2 })
    await expect(file.read(3)).rejects.toMatchObject({ code: 'bad-run', where: { file: path(), line: 4 } })
    // Who only reads it changes nothing; who fills it makes the same again
    expect(await readFile(path(), 'utf8')).toBe(damage(whole))
    for (const at of [2, 4]) await file.append(values.slice(at, at + 2))
    await file.close()
    expect(await readFile(path(), 'utf8')).toBe(whole)
  })

  it('another file of the same kind', async () => {
    await writeLines(path(), values)
    await cp(path(), join(root, 'altered/other.jsonl'))
    const file = await openLines(join(root, 'altered/other.jsonl'), options)
    expect(file.length).toBe(0)
    await file.close()
  })
})

it('a link or a folder in place of the file is refused', async () => {
  const [path, other] = [join(root, 'linked.jsonl'), join(root, 'mine')]
  await writeFile(other, 'mine')
  await symlink(other, path)
  await expect(openLines(path, options)).rejects.toThrow(/linked\.jsonl: is a link/)
  await rm(path)
  await mkdir(path)
  await expect(openLines(path, options)).rejects.toThrow(/linked\.jsonl: is a folder/)
  expect(await readFile(other, 'utf8')).toBe('mine')
})
