/** Data files made to hang a reader or to fill its memory: each is refused quickly, with its place in the file. */
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../util/bytes.ts'
import { MAX_DEPTH } from '../util/json.ts'
import type { RawRecord } from './check.ts'
import { csvRecords } from './csv.ts'
import { rowReader } from './formats.ts'
import { gunzip } from './gzip.node.ts'
import { jsonArray } from './jsonArray.ts'
import { type Chunks, jsonLines, MAX_LINE } from './lines.ts'
import { parquetRecords } from './parquet.ts'
import { checkPage, checkThrift, pagesOf } from './parquetGuard.ts'

async function* cut(data: Uint8Array | string, size = 2 ** 16): Chunks & AsyncGenerator<Uint8Array> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const gather = async (batches: AsyncIterable<RawRecord[]>) => {
  const records: RawRecord[] = []
  for await (const batch of batches) records.push(...batch)
  return records
}

const readers = {
  jsonl: (data: Uint8Array | string) => gather(jsonLines('x', cut(data))),
  json: (data: Uint8Array | string) => gather(jsonArray('x', cut(data))),
  csv: (data: Uint8Array | string) => gather(csvRecords('x', cut(data), {})),
  gz: (data: Uint8Array | string) => gather(jsonLines('x', gunzip(cut(data)))),
  'csv.gz': (data: Uint8Array | string) => gather(csvRecords('x', gunzip(cut(data)), {})),
}

const deep = '['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH)
const row = '{"text": "a"}\n'

describe('text', () => {
  it.each<[string, keyof typeof readers, Uint8Array | string, string]>([
    ['a line without an end', 'jsonl', `${row}{"text": "${'a'.repeat(MAX_LINE)}`, 'x, line 2, row 1: is longer than'],
    [
      'a record without an end',
      'json',
      `[${row},{"text": "${'a'.repeat(MAX_LINE)}`,
      'x, line 2, row 1: is longer than',
    ],
    ['a quote without an end', 'csv', `text\n"${'a'.repeat(MAX_LINE)}`, 'x, line 2, row 0: is longer than'],
    [
      'a short quote without an end',
      'csv',
      'text\na\n"b\nc\n',
      'x, line 3, row 1: begins a field in quotes that never ends',
    ],
    ['commas', 'csv', `a,b\n${','.repeat(300_000)}`, 'x, line 2, row 0: has more than 10000 fields'],
    ['semicolons', 'csv', `a;b\n${';'.repeat(300_000)}`, 'x, line 2, row 0: has more than 10000 fields'],
    [
      'UTF-16 and a quote without an end',
      'csv',
      Buffer.from(`\ufefftext\n"${'a'.repeat(MAX_LINE)}`, 'utf16le'),
      'x, line 2, row 0: is longer than',
    ],
    [
      'half of a pair in UTF-16',
      'csv',
      Buffer.from('\ufefftext\na\ud800b\n', 'utf16le'),
      'x: is UTF-16 that is damaged',
    ],
    ['packed commas', 'csv.gz', gzipSync(','.repeat(5e6)), 'x, line 1: has more than 10000 fields'],
    ['too few fields', 'csv', 'a,b\n1,2\n3\n', 'x, line 3, row 1: has 1 fields, the header 2'],
    ['text behind a quote', 'csv', 'a,b\n"1"x,2\n', 'x, line 2, row 0: goes on behind the quote'],
    ['a quote inside a field', 'csv', 'a,b\n1"x,2\n', 'x, line 2, row 0: has a quote inside a field'],
    ['a deep line', 'jsonl', `${row}{"text": ${deep}}`, `x, line 2, row 1: is nested deeper than ${MAX_DEPTH} levels`],
    ['a deep record', 'json', `[{"text": ${deep}}]`, `x, line 1, row 0: is nested deeper than ${MAX_DEPTH} levels`],
    [
      'a row of lists',
      'jsonl',
      `{"text": [${'[],'.repeat(200_000)}1]}`,
      'x, line 1, row 0: holds more than 200000 lists',
    ],
    ['nothing but brackets', 'json', '['.repeat(1e6), `x, line 1, row 0: is nested deeper than ${MAX_DEPTH} levels`],
    ['a deep list', 'csv', `responses\n"[${deep}]"\n`, `is nested deeper than ${MAX_DEPTH} levels`],
    ['half of a pair', 'jsonl', `${row}{"text": "a \\ud800 b"}`, 'x, line 2, row 1: spells half of a surrogate pair'],
    [
      'half of a pair in a key',
      'json',
      '[{"a": [{"\\udc00": 1}]}]',
      'x, line 1, row 0: spells half of a surrogate pair',
    ],
    [
      'gzip and something else',
      'gz',
      Buffer.concat([gzipSync(row), Buffer.from('\0\0x')]),
      'something else than zeros',
    ],
    ['gzip that is cut off', 'gz', gzipSync(row.repeat(9)).subarray(0, 30), 'is damaged or cut off'],
    ['an empty gzip', 'gz', new Uint8Array([0x1f, 0x8b]), 'is damaged or cut off'],
  ])('%s in %s', async (_, kind, data, message) => {
    await expect(readers[kind](data)).rejects.toMatchObject({
      name: 'Fault',
      exitCode: 2,
      message: expect.stringContaining(message),
    })
  })

  it.each([
    ['jsonl', '\n', []],
    ['jsonl', ' \t\r\n', []],
    ['csv', '\r\n', []],
  ] as const)('%s of blank lines is nothing, and the lines count', async (kind, line, none) => {
    const blank = line.repeat(2e6 / line.length)
    expect(await readers[kind](blank)).toEqual(none)
    const broken = kind === 'csv' ? `${blank}"a"b` : `${blank}{`
    await expect(readers[kind](broken)).rejects.toMatchObject({ where: { line: 2e6 / line.length + 1 } })
  })

  it('whole pairs, and the words of a pair that are text, are read', async () => {
    const [one, two] = await readers.jsonl('{"text": "\\ud83d\\ude00"}\n{"text": "\\\\ud800"}\n')
    expect([one.value, two.value]).toEqual([{ text: '😀' }, { text: '\\ud800' }])
  })

  it('zeros behind gzip are padding', async () => {
    const padded = Buffer.concat([gzipSync(row), gzipSync(row), Buffer.alloc(70_000)])
    expect(await readers.gz(padded)).toHaveLength(2)
  })

  it('300,000 columns of no known kind are named by the first', () => {
    const value = Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [`c${i}`, 1]))
    expect(() => rowReader('x', 'rows').read({ value, row: 0 })).toThrow('c19 and 299980 more are of no known kind')
  })
})

describe('parquet', () => {
  /** Thrift's compact protocol: numbers as zigzag varints, a struct as its fields in order. */
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))])
  const fields = (list: [id: number, type: number, bytes: number[]][]): number[] => [
    ...list.flatMap(([id, type, bytes], i) => [((id - (list[i - 1]?.[0] ?? 0)) << 4) | type, ...bytes]),
    0,
  ]
  const i32 = (n: number) => varint(n * 2)
  const page = (values: number, packed: number, unpacked = packed) =>
    Uint8Array.from([
      ...fields([
        [1, 5, i32(0)],
        [2, 5, i32(unpacked)],
        [3, 5, i32(packed)],
        [
          5,
          12,
          fields([
            [1, 5, i32(values)],
            [2, 5, i32(0)],
            [3, 5, i32(3)],
            [4, 5, i32(3)],
          ]),
        ],
      ]),
      ...new Array(8).fill(0),
    ])

  it.each<[string, number[], string]>([
    ['a list of two billion', [0x19, 0xf8, ...varint(2 ** 31), 0], 'a list of 2147483648 items goes past the end'],
    ['a number without an end', [0x15, ...new Array(100).fill(0x80), 0], 'too many bytes'],
    ['lists in lists', [0x19, ...new Array(100).fill(0x19), 0], 'nested deeper than'],
    ['a text of a gigabyte', [0x18, ...varint(2 ** 30), 0], 'goes past the end'],
    ['a structure without an end', [0x15, 2], 'is cut off'],
  ])('%s in the footer', (_, bytes, message) => expect(() => checkThrift(Uint8Array.from(bytes), 0)).toThrow(message))

  it.each<[string, Uint8Array, number, string]>([
    ['30 million nulls', page(30_000_000, 8), 30_000_000, 'a page of 30000000 values'],
    ['a page larger than the file', page(8, 2 ** 20), 8, 'goes past the end'],
    ['fewer values than it says', page(4, 8), 1000, 'hold 4 of 1000 values'],
    ['more values than it says', page(4, 8), 2, 'more than the 2 values'],
  ])('%s in a page', (_, bytes, values, message) => expect(() => pagesOf(bytes, values)).toThrow(message))

  it('a run that is longer than its page is refused before it is written out', () => {
    const schemaPath = [{ element: {} }, { element: { repetition_type: 'OPTIONAL' } }]
    const header = { type: 'DATA_PAGE', data_page_header: { num_values: 8, encoding: 'PLAIN' } }
    const levels = Uint8Array.from([6, 0, 0, 0, ...varint(2 ** 31), 1])
    const decoder = { schemaPath, type: 'BYTE_ARRAY', element: {} }
    expect(() => checkPage(header as never, levels, levels, decoder as never)).toThrow('a run of 1073741824 values')
  })

  it('a value longer than a row may be is refused, with its column', async () => {
    const file = new Uint8Array(
      parquetWriteBuffer({ columnData: [{ name: 'text', data: ['a'.repeat(MAX_LINE + 1)], type: 'STRING' }] }),
    )
    await expect(gather(parquetRecords(bytesOf('x', file)))).rejects.toMatchObject({
      code: 'bad-parquet',
      where: { column: 'text' },
    })
  })
})
