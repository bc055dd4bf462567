/** Data sets as wholes: random access, conversions, dropped rows, temporary files, memory. */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Files } from '../util/sha256.node.ts'
import { parseHubSpec, readRows } from './input.node.ts'
import { type OpenedRows, openRows } from './openRows.node.ts'
import type { Row } from './rows.ts'
import { rowOrder } from './shuffle.ts'

let folder = ''
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'attune-test-'))))
afterAll(() => rm(folder, { recursive: true }))

const put = async (name: string, content: string | Uint8Array) => {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}
const jsonl = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const all = async <R>(source: OpenedRows<R>) => {
  const rows = await Promise.all(Array.from({ length: source.length }, (_, i) => source.row(i)))
  await source.close()
  return rows
}
const excerpt = new URL('../../test/fixtures/data/hh-excerpt.jsonl.gz', import.meta.url).pathname

const pairs = Array.from({ length: 40 }, (_, i) => ({
  id: i,
  prompt: `prompt ${i} é`,
  chosen: `good ${i}\n`,
  rejected: `bad ${i}`,
  score_chosen: i / 2,
  score_rejected: i % 3 ? 0.25 : null,
}))
const normal = pairs.map(({ id, prompt, chosen, rejected, score_chosen, score_rejected }) => ({
  kind: 'ranking',
  id,
  prompt,
  responses: [chosen, rejected],
  ranks: [1, 2],
  ratings: [score_chosen, score_rejected],
}))
const csv = (rows: Record<string, unknown>[]) =>
  [Object.keys(rows[0]), ...rows.map(Object.values)]
    .map((fields) => fields.map((field) => `"${String(field ?? '').replaceAll('"', '""')}"`).join(','))
    .join('\r\n')
const parquet = () =>
  parquetWriteBuffer({
    columnData: Object.keys(pairs[0]).map((name) => ({
      name,
      data: pairs.map((row) => row[name as keyof (typeof pairs)[0]]),
      type: name === 'id' ? ('INT32' as const) : name.startsWith('score') ? ('DOUBLE' as const) : ('STRING' as const),
    })),
    rowGroupSize: 7,
  })

describe('openRows', () => {
  const files: [string, () => string | Uint8Array][] = [
    ['a.jsonl', () => `\n${jsonl(pairs).replaceAll('\n', '\n\n')}`],
    ['a.jsonl.gz', () => gzipSync(jsonl(pairs))],
    ['a.json', () => JSON.stringify(pairs, null, 2)],
    ['a.json.gz', () => gzipSync(JSON.stringify(pairs))],
    ['a.csv', () => csv(pairs)],
    ['a.parquet', () => new Uint8Array(parquet())],
  ]
  it.each(files)('reads %s in any order', async (name, content) => {
    const source = await openRows(await put(name, content()))
    const expected = name.endsWith('csv') ? normal.map((row) => ({ ...row, id: String(row.id) })) : normal
    expect(source.length).toBe(40)
    const order = rowOrder(40, { seed: 1 })
    for (let i = 0; i < 40; i++) expect(await source.row(order(i))).toEqual(expected[order(i)])
    await expect(source.row(40)).rejects.toThrow(RangeError)
    await source.close()
  })

  it('joins files, stops at maxSamples, and stops reading there', async () => {
    const a = await put('one.jsonl', jsonl(pairs.slice(0, 5)))
    const b = await put('two.jsonl.gz', gzipSync(`${jsonl(pairs.slice(5, 9))}not json`))
    const source = await openRows([a, b], { maxSamples: 8 })
    expect(await all(source)).toEqual(normal.slice(0, 8))
    await expect(openRows([a, b])).rejects.toMatchObject({ code: 'bad-json', where: { file: b, line: 5, row: 4 } })
  })

  it('drops and counts the odd rows of HH-RLHF', async () => {
    const source = await openRows(excerpt, { as: 'ranking' })
    expect(source).toMatchObject({ records: 200, length: 192, dropped: { 'empty-chosen': 4, 'prefix-differs': 4 } })
    const rows = await all(source)
    for (const { prompt, responses, turns } of rows) {
      expect(prompt).toMatch(/\n\nAssistant:$/)
      expect(responses.every((response) => (response as string).trim())).toBe(true)
      expect(turns![0].role).toBe('user')
    }
    // The prompt ends where the better response begins; the worse one may go on for another turn
    const marked = rows.map(({ responses }) =>
      responses.map((response) => (response as string).includes('\n\nAssistant:')),
    )
    expect(marked.filter(([chosen]) => chosen)).toEqual([])
    expect(marked.filter(([, rejected]) => rejected).length).toBe(1)
    await source.close()
  })

  const whole = new URL('../../../shared/data/hh-rlhf/harmless-base-test.jsonl.gz', import.meta.url).pathname
  it.runIf(existsSync(whole))('reads all of harmless-base/test', async () => {
    const source = await openRows(whole)
    expect(source).toMatchObject({ records: 2312, length: 2304, dropped: { 'empty-chosen': 4, 'prefix-differs': 4 } })
    await source.close()
  })

  it('turns preferences into unpaired and fine-tuning rows', async () => {
    const path = await put('tied.jsonl', jsonl([...pairs.slice(0, 2).map(({ id, ...row }) => row)]))
    const unpaired = await openRows(path, { as: 'unpaired' })
    expect(await all(unpaired)).toEqual(
      pairs.slice(0, 2).flatMap(({ prompt, chosen, rejected }) => [
        { kind: 'unpaired', prompt, completion: chosen, label: true },
        { kind: 'unpaired', prompt, completion: rejected, label: false },
      ]),
    )
    const sft = await openRows(path, { as: 'sft' })
    expect((await all(sft)).map((row) => row.kind === 'completion' && row.completion)).toEqual(['good 0\n', 'good 1\n'])
    expect(await all(await openRows(path, { as: 'prompt' }))).toMatchObject([
      { prompt: 'prompt 0 é' },
      { prompt: 'prompt 1 é' },
    ])
  })

  it('takes the best of a ranking, counts ties and undesirable rows', async () => {
    const ranking = { prompt: 'p', responses: ['a', 'b', 'c'], ranks: [null, 1, 2] }
    expect(await (await openRows(await put('k.jsonl', jsonl([ranking])), { as: 'sft' })).row(0)).toMatchObject({
      completion: 'b',
    })
    const tied = { prompt: 'p', responses: ['a', 'b'], ranks: [1, 1] }
    const won = { prompt: 'p', responses: ['a', 'b'], ranks: [null, 1] }
    const source = await openRows(await put('t.jsonl', jsonl([tied, won])), { as: 'unpaired' })
    expect(source.dropped).toEqual({ tie: 1 })
    expect(await all(source)).toMatchObject([
      { completion: 'a', label: false },
      { completion: 'b', label: true },
    ])
    const unpaired = [true, false].map((label) => ({ prompt: 'p', completion: 'c', label }))
    expect(await openRows(await put('u.jsonl', jsonl(unpaired)), { as: 'sft' })).toMatchObject({
      length: 1,
      dropped: { undesirable: 1 },
    })
    await expect(openRows(await put('k3.jsonl', jsonl([ranking])), { as: 'unpaired' })).rejects.toMatchObject({
      code: 'wrong-kind',
    })
  })

  it('pairs neighbours of HelpSteer2', async () => {
    const rated = [3, 1, 2, 2, 4, 0, 1].map((helpfulness, i) => ({
      prompt: `p${i >> 1}`,
      response: `r${i}`,
      helpfulness,
    }))
    const source = await openRows(await put('h.jsonl', jsonl(rated)), { as: 'ranking' })
    expect(source.dropped).toEqual({ 'equal-ratings': 2, 'no-neighbour': 1 })
    expect((await all(source)).map(({ responses, ratings }) => [...responses, ...ratings!])).toEqual([
      ['r0', 'r1', 3, 1],
      ['r4', 'r5', 4, 0],
    ])
  })

  it.each([
    ['empty.jsonl', '', 'empty-data'],
    ['blank.jsonl', '\n \n', 'empty-data'],
    ['none.json', '[]', 'empty-data'],
    ['a.arrow', 'ARROW1', 'bad-file'],
    ['a.txt', 'text', 'bad-file'],
  ])('refuses %s', async (name, content, code) => {
    const file = await put(name, content)
    await expect(openRows(file)).rejects.toMatchObject({ code, exitCode: 2, where: { file } })
  })

  it('learns no blank answer as a good one, in a table where only some rows have a better answer', async () => {
    const file = await put(
      'tickets.csv',
      'asked;said;thumb;better\nA?;no;👎;yes, at noon\nB?;at ten;👍;\nC?;;👎; \nD?;;👍;at six\n',
    )
    const pairs = { columns: { prompt: 'asked', chosen: 'better', rejected: 'said' } }
    const thumbs = { columns: { prompt: 'asked', completion: 'said', label: 'thumb' } }
    const opened = async (options: object) => {
      const source = await openRows(file, options)
      return { dropped: source.dropped, asked: (await all(source)).map((row) => 'prompt' in row && row.prompt) }
    }
    for (const as of ['ranking', 'sft', 'unpaired', 'completion'])
      expect(await opened({ as, ...pairs })).toEqual({
        dropped: { 'empty-chosen': 2 },
        asked: as === 'unpaired' ? ['A?', 'A?', 'D?', 'D?'] : ['A?', 'D?'],
      })
    expect((await opened({ as: 'ranking', chat: true, ...pairs })).dropped).toEqual({ 'empty-chosen': 2 })
    expect((await opened({ as: 'prompt', ...pairs })).asked).toHaveLength(4)
    // A blank answer that is called bad is learnt from
    expect(await opened({ as: 'unpaired', ...thumbs })).toEqual({
      dropped: { 'no-completion': 1 },
      asked: ['A?', 'B?', 'C?'],
    })
    expect(await opened({ as: 'sft', ...thumbs })).toEqual({
      dropped: { undesirable: 2, 'no-completion': 1 },
      asked: ['B?'],
    })
  })

  it('keeps a message without text that calls a tool', async () => {
    const call = [{ role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: {} } }] }]
    const file = await put('calls.jsonl', jsonl([{ prompt: [{ role: 'user', content: 'q' }], completion: call }]))
    expect(await all(await openRows(file, { as: 'sft' }))).toHaveLength(1)
  })

  it('says so when every row was dropped', async () => {
    const odd = { chosen: '\n\nHuman: a\n\nAssistant:', rejected: '\n\nHuman: a\n\nAssistant: b' }
    await expect(openRows(await put('odd.jsonl', jsonl([odd])))).rejects.toThrow(
      'none of 1 records gave a row (empty-chosen: 1)',
    )
  })

  it('names a row that is of no use for the method', async () => {
    const file = await put('texts.jsonl', jsonl([{ text: 'a' }]))
    await expect(openRows(file, { as: 'ranking' })).rejects.toMatchObject({ code: 'wrong-kind', exitCode: 2 })
  })

  it('asks for a data set of the hub by id, split and config', async () => {
    const file = await put('hub.jsonl', jsonl(pairs))
    const asked: unknown[] = []
    const resolve = async (...args: unknown[]) => {
      asked.push(args)
      return [file]
    }
    expect((await openRows('owner/name:train#en', { resolve })).length).toBe(40)
    expect(asked).toEqual([['owner/name', { split: 'train', config: 'en' }]])
    expect(parseHubSpec('owner/na.me')).toEqual({ id: 'owner/na.me' })
    expect(parseHubSpec('./owner')).toBeUndefined()
    await expect(openRows('owner/name')).rejects.toMatchObject({ code: 'no-file' })
  })

  it('leaves no temporary file behind', async () => {
    const left = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('attune-rows-')).length
    const before = await left()
    const source = await openRows(excerpt)
    await source.close()
    await expect(openRows([excerpt, join(folder, 'nothing.jsonl')])).rejects.toThrow()
    expect(await left()).toBe(before)
  })

  it('hashes files as they are', async () => {
    expect(await sha256Files([await put('abc.jsonl', 'abc')])).toMatchObject([
      { size: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' },
    ])
  })
})

describe('memory', () => {
  setFlagsFromString('--expose_gc')
  const gc = runInNewContext('gc') as () => void
  const used = async () => {
    for (let i = 0; i < 6; i++) {
      gc()
      await new Promise((done) => setTimeout(done, 50)) // buffers are freed in the background
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }

  it('of 200,000 rows is their offsets and places', async () => {
    const row = (i: number) => ({ id: i, prompt: `prompt ${i}`, chosen: 'x'.repeat(60), rejected: 'y'.repeat(40) })
    const file = await put('large.jsonl', jsonl(Array.from({ length: 200_000 }, (_, i) => row(i))))
    const before = await used()
    const source = await openRows(file, { as: 'ranking' })
    const held = (await used()) - before
    expect(source.length).toBe(200_000)
    expect(await source.row(199_999)).toMatchObject({ id: 199_999, prompt: 'prompt 199999' })
    expect(source.where(199_999)).toEqual({ file, row: 199_999, line: 200_000 })
    expect(held).toBeLessThan(16 * 200_000 + 3e6)
  }, 20_000)
})

describe('rowOrder', () => {
  it('is a permutation of each epoch, by seed and epoch alone', () => {
    const epochOf = (order: (i: number) => number, epoch: number) =>
      Array.from({ length: 100 }, (_, i) => order(epoch * 100 + i))
    const order = rowOrder(100, { seed: 3 })
    const [first, second] = [epochOf(order, 0), epochOf(order, 1)]
    expect([...first].sort((a, b) => a - b)).toEqual([...Array(100).keys()])
    expect(second).not.toEqual(first)
    expect(epochOf(rowOrder(100, { seed: 4 }), 0)).not.toEqual(first)
    // resumed in the middle of the second epoch
    expect(rowOrder(100, { seed: 3 })(150)).toBe(second[50])
    expect(rowOrder(100, { seed: 3, shuffle: false })(150)).toBe(50)
  })
})

it('streams the rows of a file with their places', async () => {
  const found: [Row['kind'], number | undefined][] = []
  const file = await put('places.jsonl', `\n${jsonl([{ text: 'a' }])}\n${jsonl([{ text: 'b' }])}`)
  for await (const { row, where } of readRows(file)) found.push([row.kind, where.line])
  expect(found).toEqual([
    ['text', 2],
    ['text', 4],
  ])
})
