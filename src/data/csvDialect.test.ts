/** Tables as spreadsheets and tools write them: delimiters, Excel's first lines, encodings, decimal commas. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { csvRecords } from './csv.ts'
import type { Dialect } from './csvDialect.ts'
import { readRows } from './input.node.ts'
import { openRows } from './openRows.node.ts'

const read = async (data: Uint8Array | string, { tabs = false, size = 2 ** 16 } = {}) => {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  const records = []
  let dialect: Dialect | undefined
  const onDialect = (found: Dialect) => {
    dialect = found
  }
  for await (const batch of csvRecords('x', chunks(), {}, { tabs, onDialect })) records.push(...batch)
  return { values: records.map(({ value }) => value), lines: records.map(({ line }) => line), dialect: dialect! }
}

const utf16 = (text: string, big = false) => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
  return big ? bytes.swap16() : bytes
}

const latin1 = (text: string) => Buffer.from(text, 'latin1')

describe('the delimiter', () => {
  it.each([
    ['a comma', 'a,b\n1;x,2;y\n', { a: '1;x', b: '2;y' }],
    ['a semicolon, with commas in every text', 'a;b\n"Yes, it is";No, it, is\n', { a: 'Yes, it is', b: 'No, it, is' }],
    ['a tab', 'a\tb\nx, y\tz | w\n', { a: 'x, y', b: 'z | w' }],
    ['a bar', 'a|b\nx|y\n', { a: 'x', b: 'y' }],
    ['what fits the records, where the header has two', 'a;b, c;d\n1;2;3\n4;5;6\n', { a: '1', 'b, c': '2', d: '3' }],
    ['what stands outside of quotes', '"a;b;c";"d, e"\n1;2\n', { 'a;b;c': '1', 'd, e': '2' }],
    ['quotes and lines within a field', 'a;b\n"x, ""y"", z\nw; v";2\n', { a: 'x, "y", z\nw; v', b: '2' }],
    ['none, for one column', 'a\nb c\n', { a: 'b c' }],
  ])('is %s', async (_, text, first) => {
    expect((await read(text)).values[0]).toEqual(first)
    expect((await read(text, { size: 1 })).values[0]).toEqual(first)
  })

  it('is a tab in .tsv, whatever else would fit, and quotes within a field are text', async () => {
    expect((await read('a, b\tc\n1, "2"\t3\n4, 5\t"6 ""7"""\n', { tabs: true })).values).toEqual([
      { 'a, b': '1, "2"', c: '3' },
      { 'a, b': '4, 5', c: '6 "7"' },
    ])
  })

  it.each([
    ['sep=;\r\na,x;b\r\n1;2\r\n', ';', [3]],
    ['\ufeffsep=|\na;b|c\n1;1|2\n', '|', [3]],
    ['"sep=,"\na,b\n\n1,2\n', ',', [4]],
  ])("is declared by Excel's first line %j, which counts as a line", async (text, delimiter, at) => {
    const { dialect, lines, values } = await read(text)
    expect([dialect.delimiter, lines, values.length]).toEqual([delimiter, at, 1])
  })

  it.each(['sep=\na,b\n', 'sep=x\naxb\n', 'sep="\na,b\n'])('%j is refused', async (text) => {
    await expect(read(text)).rejects.toThrow('x: its first line, sep=, names no delimiter that is read')
  })

  it('is named where the fields do not fit', async () => {
    await expect(read('a;b\n1;2\n1;2;3\n')).rejects.toThrow(
      'x, line 3, row 1: has 3 fields, the header 2; fields are parted by a semicolon (;); check the quotes',
    )
  })
})

describe('numbers', () => {
  const rating = async (text: string) => (await read(text)).values[0]

  it('have a decimal comma where the delimiter is none', async () => {
    expect(await rating('chosen;chosen_rating;margin\na;4,5;-,25\n')).toEqual({
      chosen: 'a',
      chosen_rating: 4.5,
      margin: -0.25,
    })
  })

  it('stay what they are where the delimiter is the comma, or where two marks stand', async () => {
    expect(await rating('chosen,chosen_rating\na,"4,5"\n')).toEqual({ chosen: 'a', chosen_rating: '4,5' })
    expect(await rating('chosen;chosen_rating\na;1.234,5\n')).toEqual({ chosen: 'a', chosen_rating: '1.234,5' })
    expect(await rating('chosen;chosen_rating\n3,5;4.5\n')).toEqual({ chosen: '3,5', chosen_rating: 4.5 })
  })
})

describe('encodings', () => {
  it.each([
    ['utf-16le', false],
    ['utf-16be', true],
  ])('%s with its mark is read, whole and cut anywhere', async (encoding, big) => {
    const data = utf16('prompt\tchosen\r\nÜber, 日本\t"😀\r\nja"\r\n', big)
    for (const size of [1, 3, 2 ** 16]) {
      const { values, dialect } = await read(data, { size })
      expect(values).toEqual([{ prompt: 'Über, 日本', chosen: '😀\r\nja' }])
      expect(dialect).toMatchObject({ encoding, delimiter: '\t' })
    }
  })

  it('UTF-16 without its mark, or cut off, is refused by name', async () => {
    await expect(read(utf16('a,b\n1,2\n').subarray(2))).rejects.toThrow(
      'x: is not UTF-8 but looks like UTF-16LE without its mark; save it as UTF-8, or: iconv -f UTF-16LE -t UTF-8',
    )
    await expect(read(utf16('a,b\n1,2\n', true).subarray(2))).rejects.toThrow('looks like UTF-16BE')
    await expect(read(utf16('a,b\n1,2\n').subarray(0, -1))).rejects.toThrow('x: is UTF-16 that is damaged or cut off')
  })

  it.each([
    ['ISO-8859-1', latin1('a;b\nx;Caf\xe9 au lait\n'), 'ISO-8859-1 ("Café au lait")', 'iconv -f ISO-8859-1 -t UTF-8'],
    ['Windows-1252', latin1('a;b\nx;it\x92s \x80 5\n'), 'Windows-1252 ("it’s € 5")', 'iconv -f WINDOWS-1252'],
  ])('%s is refused by name, with what to type', async (_, data, look, advice) => {
    const reading = read(data)
    await expect(reading).rejects.toThrow(`x, line 2, row 0, column "b": is not UTF-8 but looks like ${look}`)
    await expect(reading).rejects.toThrow(advice)
  })

  it.each([
    ['UTF-8 that is cut', Buffer.concat([Buffer.from('a\nÜ'), Buffer.from([0xc3]), Buffer.from('x\n')])],
    ['another alphabet', latin1('a\n\xcf\xf0\xe8\xe2\xe5\xf2\n')],
  ])('%s is refused without a guess', async (_, data) => {
    await expect(read(data)).rejects.toThrow(/row 0, column "a": is not UTF-8; save the file as UTF-8 and try again$/)
  })
})

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-csv-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const rows = async (name: string, data: Uint8Array | string) => {
    writeFileSync(join(folder, name), data)
    const found = []
    for await (const { row } of readRows(join(folder, name))) found.push(row)
    return found
  }

  it('an export of Excel (sep=, semicolons, decimal commas, a mark) is preferences', async () => {
    const text = '\ufeffsep=;\r\nprompt;chosen;rejected;margin\r\n"Hi; there";Hello, you;No;1,5\r\n'
    expect(await rows('excel.csv', text)).toMatchObject([
      { kind: 'ranking', prompt: 'Hi; there', responses: ['Hello, you', 'No'], ranks: [1, 2], margin: 1.5 },
    ])
  })

  it('.tsv is read, in UTF-16 too', async () => {
    expect(await rows('a.tsv', utf16('prompt\tcompletion\nq\ta\n'))).toMatchObject([{ prompt: 'q', completion: 'a' }])
  })

  it('lines and lists of JSON in UTF-16 are read too, and refused by name where they are damaged', async () => {
    const line = '{"prompt": "Über 日本", "completion": "😀"}\r\n'
    const read = [{ kind: 'completion', prompt: 'Über 日本', completion: '😀' }]
    expect(await rows('a.jsonl', utf16(`${line}\n${line}`))).toMatchObject([...read, ...read])
    expect(await rows('b.jsonl.gz', gzipSync(utf16(line, true)))).toMatchObject(read)
    expect(await rows('a.json', utf16(`[${line}]`))).toMatchObject(read)
    await expect(rows('cut.jsonl', utf16(line).subarray(0, -1))).rejects.toThrow(
      /cut.jsonl, line 1, row 0: is UTF-16 that is damaged/,
    )
    await expect(rows('bare.jsonl', utf16(line).subarray(2))).rejects.toThrow(
      'bare.jsonl: is not UTF-8 but looks like UTF-16LE without its mark',
    )
    const opened = await openRows(join(folder, 'a.jsonl'), { as: 'sft' })
    expect(await opened.row(1)).toMatchObject(read[0])
    await opened.close()
  })

  it('another encoding is told before columns of no known kind', async () => {
    const lines = '{"frage": "a", "antwort": "b"}\n{"frage": "ä", "antwort": "b"}\n'
    const files = {
      'l.jsonl': latin1(lines),
      'l.json': latin1(`[${lines.trim().replace('\n', ',\n')}]`),
      'l.csv': latin1('frage,antwort\na,b\nä,b\n'),
      'l.jsonl.gz': gzipSync(latin1(lines)),
      'u.csv': utf16('frage,antwort\na,b\n').subarray(2),
      'u.jsonl': utf16(lines, true).subarray(2),
    }
    for (const [name, data] of Object.entries(files))
      await expect(rows(name, data), name).rejects.toThrow(expect.objectContaining({ code: 'bad-utf8' }))
    // A line that is wrong otherwise comes after what is wrong with the rows before it
    await expect(rows('later.jsonl', '{"frage": "a"}\n{\n')).rejects.toThrow('of no known kind')
  })

  it('a message about columns of no known kind names the delimiter', async () => {
    await expect(rows('b.csv', 'foo;bar\n1;2\n')).rejects.toThrow(
      /foo, bar .*; fields are parted by a semicolon \(;\)$/,
    )
  })
})
