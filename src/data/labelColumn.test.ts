/** The column of labels as tables have it: ratings, empty cells, and true and false among them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openRows } from './openRows.node.ts'
import { splitFiles } from './split.node.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-label-column-'))
afterAll(() => rmSync(folder, { recursive: true }))
const put = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const columns = { prompt: 'Guest', completion: 'Reply', label: 'Stars' }
const table = ['Guest\tReply\tStars', 'a\tx\t1', 'b\tx\t5', 'c\tx\t', 'd\tx\t0', 'e\tx\t4'].join('\r\n')
const read = async (file: string, label?: string) => {
  const rows = await openRows(file, { as: 'unpaired', columns, label })
  const labels = await Promise.all(Array.from({ length: rows.length }, async (_, i) => (await rows.row(i)).label))
  await rows.close()
  return { labels, counts: rows.labels, dropped: rows.dropped }
}

it('takes one star of five as a rating like the others, and leaves out an empty cell', async () => {
  const { labels, counts, dropped } = await read(put('stars.tsv', table), '>=4')
  expect(labels).toEqual([false, true, false, true])
  expect(counts).toEqual({
    1: { label: false, count: 1 },
    5: { label: true, count: 1 },
    0: { label: false, count: 1 },
    4: { label: true, count: 1 },
  })
  expect(dropped).toEqual({ 'no-label': 1 })
})

it('asks for a threshold where a one comes first', async () => {
  await expect(read(put('one.tsv', table))).rejects.toThrow(
    expect.objectContaining({
      message: expect.stringContaining("from which rating on a completion is good: --label '>=4'"),
    }),
  )
})

it('reads 1 and 0 as good and bad in a table that has no other label', async () => {
  const { labels } = await read(put('binary.csv', 'Guest,Reply,Stars\na,x,1\nb,x,0\n'))
  expect(labels).toEqual([true, false])
})

it('refuses true among ratings under a threshold', async () => {
  const file = put('mixed.jsonl', '{"Guest":"a","Reply":"x","Stars":5}\n{"Guest":"b","Reply":"x","Stars":true}\n')
  await expect(read(file, '>=4')).rejects.toThrow(
    expect.objectContaining({ message: expect.stringContaining("is true, which --label '>=4' does not name") }),
  )
})

it('reads a text of Excel, in UTF-16 and named .txt, as a table; other texts are refused', async () => {
  const excel = put('excel.txt', Buffer.from(`\ufeff${table}`, 'utf16le'))
  expect((await read(excel, '>=4')).labels).toEqual([false, true, false, true])
  await expect(read(put('prose.txt', 'A story, with a comma.\nAnd\ta tab.\n'))).rejects.toThrow(
    expect.objectContaining({ code: 'bad-file' }),
  )
})

it('a row without a label is held out with the others of its prompt', async () => {
  const file = put('split.tsv', `Guest\tReply\tStars\n${['a', 'b'].map((q) => `${q}\tx\t5\n${q}\ty\t\n`).join('')}`)
  const { heldOut, prompts } = await splitFiles([file], { columns, label: '>=4', fraction: 0.5, seed: 1 })
  expect(prompts).toBe(2)
  expect(heldOut[0]).toBe(heldOut[1])
  expect(heldOut[0]).not.toBe(heldOut[2])
})

it('needs no rating of a row whose prompt alone is read', async () => {
  const rows = await openRows(put('asked.tsv', table), { as: 'prompt', columns, label: '>=4' })
  expect([rows.length, rows.dropped]).toEqual([5, {}])
  await rows.close()
})

it('says of answers that were rated one by one what makes pairs of them', async () => {
  const suggested = expect.stringMatching(
    /rated one by one: attune data FILE --to preference .* with --column prompt=Guest --column completion=Reply --column label=Stars$/,
  )
  await expect(openRows(put('pairs.tsv', table), { as: 'ranking' })).rejects.toMatchObject({
    details: expect.arrayContaining([suggested]),
  })
  await expect(openRows(put('asked.txt', 'How are you?'), { as: 'prompt' })).rejects.toThrow(
    /asked\.txt: is a text, and rows are needed .* jq -Rc/,
  )
})
