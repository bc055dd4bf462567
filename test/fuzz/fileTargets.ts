/** Fuzz targets for readers of data: jsonl, json, csv, gzip, parquet, and records of every format. Seeds are golden files. */
import { deepEqual } from 'node:assert'
import { readFileSync } from 'node:fs'
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import type { Layout, RawRecord } from '../../src/data/check.ts'
import { conversions } from '../../src/data/convert.ts'
import { csvRecords } from '../../src/data/csv.ts'
import { formats, rowReader } from '../../src/data/formats.ts'
import { gunzip } from '../../src/data/gzip.node.ts'
import { jsonArray } from '../../src/data/jsonArray.ts'
import { type Chunks, jsonLines } from '../../src/data/lines.ts'
import { parquetRecords } from '../../src/data/parquet.ts'
import type { Row } from '../../src/data/rows.ts'
import { bytesOf } from '../../src/util/bytes.ts'
import { Fault } from '../../src/util/fault.ts'
import { changedJson, mutated } from './mutate.ts'
import type { Random } from './random.ts'
import type { Input, Target } from './targets.ts'

const packed = brotliDecompressSync(readFileSync(new URL('../fixtures/data/formats.json.br', import.meta.url)))
const goldens = Object.entries(JSON.parse(packed.toString()) as Record<string, string>).map(
  ([name, text]) => [name, Buffer.from(text, 'latin1')] as const,
)

/** Golden files of a kind, cut to their first lines so that an input is quick to read. */
const seedsOf = (ending: RegExp, most = 1200): Uint8Array[] =>
  goldens.filter(([name]) => ending.test(name)).map(([, bytes]) => bytes.subarray(0, most))

/** Tables with every delimiter, one with Excel's first line. */
const tables = seedsOf(/\.csv$/).flatMap((table) => {
  const text = Buffer.from(table).toString()
  const parted = [';', '\t', '|'].map((delimiter) => Buffer.from(text.replaceAll(',', delimiter)))
  return [table, ...parted, Buffer.from(`sep=,\r\n${text}`)]
})

const inUtf16 = (table: Uint8Array): Uint8Array => Buffer.from(`\ufeff${Buffer.from(table)}`, 'utf16le')

const words = [
  ...['prompt', 'chosen', 'rejected', 'completion', 'label', 'responses', 'ranks', 'best', 'text', 'messages'],
  ...['input_ids', 'labels', 'role', 'content', 'id', 'data', 'annotations', 'result', 'value', 'fields', 'status'],
  ...['chosen_ids', 'score_chosen', 'margin', 'prob', 'helpfulness', '__proto__', 'user', 'assistant', 'submitted'],
]
const marks = [
  '"',
  '""',
  ',',
  '\n',
  '\r\n',
  '[',
  ']',
  '{',
  '}',
  ':',
  '\\',
  '\\u',
  '\\ud800',
  'null',
  'true',
  '1e999',
  '-',
]

/** Cuts bytes into pieces of different sizes, so that a boundary falls everywhere. */
async function* cut(bytes: Uint8Array): Chunks & AsyncGenerator<Uint8Array> {
  for (let at = 0, size = 1 + (bytes.length % 97); at < bytes.length; at += size, size = (size * 3) % 251 || 1)
    yield bytes.subarray(at, at + size)
}

const gathered = async (batches: AsyncIterable<RawRecord[]>): Promise<RawRecord[]> => {
  const records: RawRecord[] = []
  for await (const batch of batches) records.push(...batch)
  return records
}

const kinds = new Set(['ranking', 'unpaired', 'rated', 'text', 'messages', 'completion', 'prompt', 'labelled'])

/** Converts records to every kind of row that they fit. Each row must have a kind and survive JSON. */
const readAll = (records: readonly RawRecord[], layout: Layout): string => {
  const reader = rowReader('x', layout)
  const rows = records.flatMap((record) => reader.read(record).rows)
  for (const row of rows) {
    if (!kinds.has(row.kind)) throw new Error(`a row of the kind ${row.kind}`)
    for (const { of } of Object.values(conversions)) converted(row, of)
  }
  return `${reader.format()?.name} ${Math.min(rows.length, 3)}`
}

const converted = (row: Row, of: (row: Row) => Row[]) => {
  try {
    JSON.stringify(of(row))
  } catch (error) {
    if (!(error instanceof Fault)) throw error
  }
}

const bytesFrom = (input: Input): Uint8Array => (typeof input === 'string' ? Buffer.from(input) : input)

/** A changed seed, or a changed input that was found interesting. */
const changing =
  (seeds: readonly Uint8Array[], words: readonly string[]) =>
  (r: Random, found: readonly Input[]): Uint8Array => {
    const from = found.length && r.once(2) ? bytesFrom(r.pick(found)) : r.pick(seeds)
    return mutated(from, seeds, words, r)
  }

const jsonl = seedsOf(/\.jsonl$/)
const json = seedsOf(/\.json$/).filter((bytes) => bytes[0] === 0x5b)
const records = jsonl.flatMap((bytes) =>
  bytes
    .toString()
    .split('\n')
    .slice(0, 2)
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as unknown]
      } catch {
        return []
      }
    }),
)
const zipped = jsonl.map((bytes) => gzipSync(bytes))

/** Reads a row format without and with its name, as a file that is read twice. */
const readRecord = (value: unknown): string => {
  const reader = rowReader('x', 'rows')
  const { rows } = reader.read({ value, row: 0 })
  const again = rowReader(
    'x',
    'rows',
    {},
    formats.find(({ name }) => name === reader.format()?.name),
  ).read({ value, row: 0 })
  deepEqual(again.rows, rows)
  return readAll([{ value, row: 0 }], 'rows')
}

export const fileTargets: readonly Target[] = [
  {
    name: 'jsonl',
    weight: 4,
    make: changing(jsonl, [...marks, ...words]),
    run: async (input) => {
      const bytes = bytesFrom(input)
      const records = await gathered(jsonLines('x', cut(bytes)))
      for (const { value, start, end } of records)
        if (start !== 0) deepEqual(JSON.parse(Buffer.from(bytes.subarray(start, end)).toString()), value)
      return readAll(records, 'rows')
    },
  },
  {
    name: 'json',
    weight: 2,
    make: changing(json, [...marks, ...words]),
    run: async (input) => {
      const bytes = bytesFrom(input)
      const records = await gathered(jsonArray('x', cut(bytes)))
      const text = Buffer.from(bytes)
        .toString()
        .replace(/^\ufeff/, '')
      deepEqual(
        records.map(({ value }) => value),
        JSON.parse(text),
      )
      return readAll(records, 'rows')
    },
  },
  {
    name: 'csv',
    weight: 4,
    make: changing([...tables, ...tables.map(inUtf16)], [...marks, ';', '\t', '|', '\ufeff', 'sep=;\n', ...words]),
    run: async (input) => {
      const records = await gathered(csvRecords('x', cut(bytesFrom(input)), {}))
      const columns = Object.keys((records[0]?.value as object) ?? {}).length
      for (const { value } of records)
        if (Object.keys(value as object).length !== columns) throw new Error('a record of other columns')
      return readAll(records, 'csv')
    },
  },
  {
    name: 'gzip',
    weight: 1,
    make: (r, found) =>
      r.once(3) ? gzipSync(mutated(r.pick(jsonl), jsonl, marks, r)) : changing(zipped, [])(r, found),
    run: async (input) => {
      const bytes = bytesFrom(input)
      const parts: Uint8Array[] = []
      for await (const part of gunzip(cut(bytes))) parts.push(part)
      if (!Buffer.concat(parts).equals(gunzipSync(bytes))) throw new Error('other bytes than those of gunzip')
    },
  },
  {
    name: 'parquet',
    weight: 2,
    make: changing(
      seedsOf(/\.parquet$/, 2 ** 20).filter(({ length }) => length < 20_000),
      [],
    ),
    run: async (input) => readAll(await gathered(parquetRecords(bytesOf('x', bytesFrom(input).slice()))), 'parquet'),
  },
  {
    name: 'record',
    weight: 4,
    isText: true,
    make: (r, found) => {
      const from = found.length && r.once(2) ? JSON.parse(found[r.int(found.length)] as string) : r.pick(records)
      return JSON.stringify(changedJson(from, r, words)) ?? 'null'
    },
    run: (input) => readRecord(JSON.parse(input as string)),
  },
]
