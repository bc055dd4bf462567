/** Readers on small inputs: chunks cut anywhere, limits, places in the file, ids in place of text. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../util/bytes.ts'
import { parseJson } from '../util/json.ts'
import type { RawRecord } from './check.ts'
import { csvRecords } from './csv.ts'
import { gunzip } from './gzip.node.ts'
import { jsonArray } from './jsonArray.ts'
import { type Chunks, jsonLines } from './lines.ts'
import { parquetRecords } from './parquet.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

async function* cut(data: Uint8Array, sizes: number[]): Chunks & AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < data.length; i++) {
    const size = sizes[i % sizes.length]
    yield data.slice(at, at + size)
    at += size
  }
}

const gather = async (batches: AsyncIterable<RawRecord[]>) => {
  const records: RawRecord[] = []
  for await (const batch of batches) records.push(...batch)
  return records
}
const values = async (batches: AsyncIterable<RawRecord[]>) => (await gather(batches)).map(({ value }) => value)
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })

describe('readers of a stream cut anywhere', () => {
  it('lines', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(fc.string(), fc.jsonValue())), sizes, async (rows, sizes) => {
        const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
        const read = await gather(jsonLines('x', cut(bytes(text), sizes)))
        expect(read.map(({ value }) => JSON.stringify(value))).toEqual(rows.map((row) => JSON.stringify(row)))
        const file = bytes(text)
        for (const { value, start, end } of read)
          expect(JSON.stringify(JSON.parse(new TextDecoder().decode(file.subarray(start, end))))).toBe(
            JSON.stringify(value),
          )
      }),
    ))

  it('an array, indented or not', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), fc.constantFrom(0, 1, 3), sizes, async (rows, indent, sizes) => {
        const read = await values(jsonArray('x', cut(bytes(JSON.stringify(rows, null, indent)), sizes)))
        expect(JSON.stringify(read)).toBe(JSON.stringify(rows))
      }),
    ))

  it('csv, with the line a record begins on', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r\n') })),
        ),
        sizes,
        async (rows, sizes) => {
          const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`
          let text = 'a,b\n'
          const lines = rows.map((row) => {
            const line = text.split('\n').length
            text += `${row.map(quoted).join(',')}\n`
            return line
          })
          const read = await gather(csvRecords('x', cut(bytes(text), sizes), {}))
          expect(read).toEqual(rows.map(([a, b], row) => ({ value: { a, b }, row, line: lines[row] })))
        },
      ),
    ))

  it('gzip of several members', async () => {
    const packed = Buffer.concat([gzipSync('{"a":1}\n{"a"'), gzipSync(':2}\n'), gzipSync('{"a":3}')])
    expect(await values(jsonLines('x', gunzip(cut(packed, [3, 1]))))).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }])
  })
})

describe('limits', () => {
  it('gzip that unpacks beyond reason is refused', async () => {
    const packed = gzipSync(Buffer.alloc(70 * 2 ** 20, '\n'))
    await expect(gather(jsonLines('x', gunzip(cut(packed, [2 ** 16]))))).rejects.toMatchObject({ code: 'bad-gzip' })
  })

  it('nesting a million deep is refused, not a crash', () => {
    const text = `${'['.repeat(1e6)}x`
    expect(() => parseJson(text, (offset) => new Error(`at ${offset}`))).toThrow('at 200')
  })

  it('a parquet footer that names bytes outside the file is refused', async () => {
    const file = bytes('PAR1....\x15\x04\x08\x00\x00\x00PAR1')
    await expect(gather(parquetRecords(bytesOf('x', file)))).rejects.toMatchObject({ code: 'bad-parquet' })
  })
})

describe('the place of an error in JSON', () => {
  it.each([
    ['{"a": 1', 7, undefined],
    ['{"a": NaN}', 6, 'a'],
    ['{"a": {"b": NaN}}', 12, undefined],
    ['{"a": 01}', 6, 'a'],
    ['{"a": 1,}', 8, undefined],
    ['{"a": 1} {}', 9, undefined],
    ['["a\nb"]', 3, undefined],
    ['["\\x"]', 2, undefined],
    ["{'a': 1}", 1, undefined],
    ['[1 2]', 3, undefined],
    ['', 0, undefined],
  ])('%s', (text, offset, column) => {
    let found: unknown
    const fail = (offset: number, column?: string) => {
      found = { offset, column }
      return new Error('bad')
    }
    expect(() => parseJson(text, fail)).toThrow('bad')
    expect(found).toEqual({ offset, column })
  })
})
