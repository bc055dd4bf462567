import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { openLines } from './lineFile.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-lines-'))
})
afterAll(() => rm(root, { recursive: true }))

const options = { schema: z.object({ n: z.number() }), total: 5, group: 2 }
const values = [1, 2, 3, 4, 5].map((n) => ({ n }))

it('goes on after the last whole group, whatever a killed process left', async () => {
  const path = join(root, 'deep/lines.jsonl')
  const whole = await openLines(path, options)
  for (const group of [values.slice(0, 2), values.slice(2, 4), values.slice(4)]) await whole.append(group)
  expect([whole.length, await whole.read(0), await whole.read(4)]).toEqual([5, { n: 1 }, { n: 5 }])
  await whole.close()
  const bytes = await readFile(path)
  for (let cut = 0; cut <= bytes.length; cut++) {
    await writeFile(path, bytes.subarray(0, cut))
    const file = await openLines(path, options)
    const ends = cut === bytes.length ? 5 : cut - (cut % 16) === 16 ? 2 : cut >= 32 ? 4 : 0
    expect(file.length, `cut at ${cut}`).toBe(ends)
    for (let at = file.length; at < 5; at = file.length) await file.append(values.slice(at, at + 2))
    await file.close()
    expect(await readFile(path)).toEqual(bytes)
  }
})

it('takes no line that was altered', async () => {
  const path = join(root, 'altered.jsonl')
  await appendFile(path, '{"n":1}\n{"n":"x"}\n')
  const file = await openLines(path, { ...options, total: 2 })
  await expect(file.read(1)).rejects.toMatchObject({ code: 'bad-run', where: { line: 2 } })
  await file.close()
})
