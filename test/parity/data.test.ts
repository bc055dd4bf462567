/**
 * File formats of data: valid files give exactly the expected rows, and malformed copies are refused at the right place.
 * The files are stored in one archive (name to bytes as latin1) and are written to a temporary folder.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { pairNeighbours } from '../../src/data/convert.ts'
import { openRecords, readRows, scan } from '../../src/data/input.node.ts'
import type { Skipped } from '../../src/data/labels.ts'
import { openRows } from '../../src/data/openRows.node.ts'
import type { Ranking, Rated, Row } from '../../src/data/rows.ts'
import { Fault } from '../../src/util/fault.ts'

type Json = Record<string, unknown>
type Case = {
  file: string
  rows?: string
  count?: number
  like: string
  verdict: string
  fault: string
  take: number[]
} & Json

const folder = mkdtempSync(join(tmpdir(), 'attune-formats-'))
const packed = readFileSync(new URL('../fixtures/data/formats.json.br', import.meta.url))
for (const [name, bytes] of Object.entries(
  JSON.parse(brotliDecompressSync(packed).toString()) as Record<string, string>,
)) {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), Buffer.from(bytes, 'latin1'))
}
afterAll(() => rmSync(folder, { recursive: true }))

const expected = (name: string) => JSON.parse(readFileSync(join(folder, name, 'expected.json'), 'utf8'))
const golden = { ...expected('preference'), ...expected('rated'), ...expected('rankings'), ...expected('labels') }

const rowsOf = async (file: string) => {
  const rows: Row[] = []
  for await (const { row } of readRows(join(folder, file))) rows.push(row)
  return rows
}

const chatMessages = (messages: Json[]) => messages.map(({ role, content }) => ({ role, content }))
const rating = (row: Ranking, i: number) => row.ratings?.[i] ?? null

/** Converts a row to the form of its golden. */
const views: Record<string, (row: Ranking) => unknown> = {
  pairs: (row) => ({
    id: row.id,
    prompt: row.prompt,
    chosen: row.responses[0],
    rejected: row.responses[1],
    score_chosen: rating(row, 0),
    score_rejected: rating(row, 1),
  }),
  chat: (row) => ({
    prompt: chatMessages(row.prompt as Json[]),
    chosen: row.responses[0],
    rejected: row.responses[1],
    score_chosen: rating(row, 0),
    score_rejected: rating(row, 1),
    prompt_id: row.id,
  }),
  hh: (row) => ({
    prompt: row.turns,
    prompt_text: row.prompt,
    chosen_text: row.responses[0],
    rejected_text: row.responses[1],
    flags: row.flags ?? [],
  }),
  binarized: (row) => ({
    prompt: row.prompt,
    chosen: row.responses[0],
    chosen_rating: rating(row, 0),
    rejected: row.responses[1],
    rejected_rating: rating(row, 1),
  }),
  helpsteer2: (row) => {
    const { prompt, response, ratings } = row as unknown as Rated
    return { prompt, response, ratings }
  },
  kway: ({ id, prompt, responses, ranks }) => ({ id, prompt, responses, ranks }),
  'best-of-n': ({ prompt, responses, ranks }) => ({ prompt, responses, ranks }),
  unpaired: ({ kind, id, ...row }) => row,
  // The golden has no place for answers to other questions
  'labelstudio-ranker': ({ prompt, responses, ranks, vote: { answers: _, ...vote } = {} }) => ({
    ...vote,
    prompt,
    responses,
    ranks,
  }),
  'labelstudio-pairwise': ({ prompt, responses, ranks, vote }) => ({
    ...vote,
    prompt,
    chosen: responses[ranks.indexOf(1)],
    rejected: responses[ranks.indexOf(2)],
  }),
  'argilla-ranking': ({ prompt, responses, ranks, vote }) => ({
    record: vote?.task,
    annotator: vote?.annotator,
    prompt,
    responses,
    ranks,
  }),
}
golden.kway = golden.kway.map(({ pairs, ...row }: Json) => row)

const view = (name: string, rows: Row[]) => rows.map((row) => views[name](row as Ranking))

describe('a valid file gives the expected rows', () => {
  const files: Case[] = [
    ...['preference', 'rated'].flatMap((name) =>
      (expected(name).files as Case[]).map((each) => ({ ...each, file: `${name}/${each.file}` })),
    ),
    ...['kway', 'best-of-n', 'unpaired'].map((rows) => ({ file: `rankings/${rows}.jsonl`, rows }) as Case),
    ...['labelstudio-ranker', 'labelstudio-pairwise', 'argilla-ranking'].map(
      (rows) => ({ file: `labels/${rows}.json`, rows }) as Case,
    ),
    { file: 'labels/argilla-ranking.jsonl', rows: 'argilla-ranking' } as Case,
  ]
  it.each(files)('$file', async ({ file, rows, count }) => {
    const read = await rowsOf(file)
    expect(view(rows!, read)).toEqual(golden[rows!].slice(0, count))
    expect(read.length).toBeGreaterThan(0)
  })

  it('of HH-RLHF: dropped rows are counted by reason', async () => {
    const { dropped } = await openRows(join(folder, 'preference/hh.jsonl'))
    expect(dropped).toEqual(golden.hh_counts)
  })

  it('of parquet: 64-bit integers and booleans are kept', async () => {
    const { batches } = await openRecords(join(folder, 'preference/pairs-groups.parquet'))
    const records: Json[] = []
    for await (const batch of batches) records.push(...batch.map(({ value }) => value as Json))
    expect(records.map(({ n, flag }) => ({ n: String(n), flag }))).toEqual(golden.pairs_extra_columns)
  })

  it('of HelpSteer2: neighbours are paired by helpfulness', async () => {
    const rows = (await rowsOf('rated/helpsteer2.parquet')) as Rated[]
    const dropped: Record<string, number> = {}
    const pairing = pairNeighbours((reason, n) => (dropped[reason] = (dropped[reason] ?? 0) + n))
    const pairs = rows.flatMap(pairing.push)
    pairing.end()
    const text = (i: number) => rows[i].response
    expect(pairs.map(({ responses }) => responses)).toEqual(
      golden.helpsteer2_chosen_rejected.map((pair: number[]) => pair.map(text)),
    )
    expect(dropped).toEqual({ 'equal-ratings': 200 - 2 * pairs.length })
  })

  it.each(['labelstudio-ranker', 'labelstudio-pairwise', 'argilla-ranking'])(
    'of %s: skipped entries are listed with their reason',
    async (name) => {
      const file = join(folder, `labels/${name}.json`)
      const skipped: Partial<Skipped>[] = []
      for await (const found of scan(file, await openRecords(file), {})) skipped.push(...found.skipped)
      const key = name.startsWith('argilla') ? 'record' : 'task'
      expect(skipped.map(({ task, ...rest }) => ({ [key]: task, ...rest }))).toEqual(golden[`${name}-skipped`])
    },
  )
})

describe('a malformed file', () => {
  const files = expected('malformed').files as Case[]
  // No method uses ids, so rows may share one
  const shared = files.filter(({ fault }) => fault === 'duplicate-id')
  it.each(shared)('$file is read, since ids may repeat', async ({ file }) => {
    expect((await rowsOf(`malformed/${file}`)).length).toBeGreaterThan(1)
  })

  const inUtf16 = files.filter(({ file }) => file.includes('utf16'))
  it.each(inUtf16)('$file is read, since its mark tells the encoding', async ({ file }) => {
    expect((await rowsOf(`malformed/${file}`)).length).toBeGreaterThan(1)
  })

  it.each(files.filter((each) => each.verdict === 'fault' && ![...shared, ...inUtf16].includes(each)))(
    '$file is refused with code, line, row and column',
    async ({ file, fault, line, row, column }) => {
      const error = await rowsOf(`malformed/${file}`).then(
        () => undefined,
        (error) => error,
      )
      expect(error).toBeInstanceOf(Fault)
      const { where, code, exitCode } = error as Fault
      expect({ code, exitCode, line: where.line ?? null, row: where.row ?? null }).toEqual({
        code: fault,
        exitCode: 2,
        line,
        row,
      })
      expect(where.file).toBe(join(folder, 'malformed', file))
      if (column) expect(where.column).toBe(column)
    },
  )

  it.each(files.filter(({ verdict }) => verdict === 'ok'))(
    '$file is read like its valid original',
    async ({ file, like, take, changed, long_line, chosen_characters }) => {
      const read = view(like, await rowsOf(`malformed/${file}`)) as Json[]
      if (like.startsWith('labelstudio') || like.startsWith('argilla')) {
        // The malformed copy has some of the entries, each with its votes
        const taken = new Set(read.map(({ task, record }) => task ?? record))
        expect(taken.size).toBe(take.length)
        expect(read).toEqual(golden[like].filter(({ task, record }: Json) => taken.has(task ?? record)))
        return
      }
      const rows = take.map((i) => ({ ...golden[like][i] }))
      if (changed) rows[(changed as { row: number }).row].rejected = (changed as unknown as Json).rejected
      if (long_line) {
        expect((read[1].chosen as string).length).toBe(chosen_characters)
        rows[1].chosen = read[1].chosen
      }
      expect(read).toEqual(rows)
    },
  )
})
