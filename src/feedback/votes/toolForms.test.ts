/** What Label Studio and Argilla can say goes there and comes back the same: votes, predictions, answers, tasks without votes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { Ranking, Unpaired } from '../../data/rows.ts'
import { readVotes } from '../agreement/readVotes.ts'
import { parseTemplate } from '../labelStudio/parseTemplate.ts'
import { exportVotes } from './exportFile.ts'
import { importVotes, type Source } from './importVotes.ts'
import { voteRecord } from './voteRows.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-tools-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const newPath = (ending: string) => join(folder, `${files++}${ending}`)
const fileOf = (rows: readonly object[], ending = '.jsonl') => {
  const file = newPath(ending)
  writeFileSync(
    file,
    ending === '.json' ? JSON.stringify(rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
  )
  return file
}

type Tool = 'label-studio' | 'argilla'
const there = async (rows: readonly object[], to: Tool) => {
  const output = newPath('.json')
  const report = await exportVotes([fileOf(rows)], to, output)
  return { output, report, written: JSON.parse(readFileSync(output, 'utf8')) }
}
const recordOf = (row: Ranking | Unpaired) => voteRecord(row, row.kind === 'ranking' ? 'ranking' : 'kto').record

/** All rows that come back, votes first. */
const back = async (file: string, from: Source) => {
  const { rankings, unpaired, predicted, open, dropped } = await importVotes([file], from)
  expect(dropped).toEqual({})
  return [...rankings, ...unpaired, ...predicted, ...open].map(recordOf)
}

/** In one order whatever the order of columns and rows. */
const sorted = (rows: readonly object[]) =>
  rows
    .map((row) =>
      JSON.stringify(row, (_, value) =>
        value && typeof value === 'object' && !Array.isArray(value)
          ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
          : value,
      ),
    )
    .toSorted()

// ---- rows --------------------------------------------------------------------------------------------------------------

const text = fc.string({ maxLength: 12 })
const answers = fc.option(
  fc.dictionary(
    fc.constantFrom('note', 'tags', 'clarity', 'strength', 'why', 'all_bad', 'helpful-1'),
    fc.oneof(
      text.filter(Boolean),
      fc.integer({ min: 1, max: 5 }),
      fc.array(text.filter(Boolean), { minLength: 1, maxLength: 2 }),
    ),
    { minKeys: 1, maxKeys: 3 },
  ),
  { nil: undefined },
)
const time = fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((date) => date.toISOString())
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

const voteOf = (argilla: boolean) =>
  fc.record({
    annotation: optional(argilla ? fc.uuid() : fc.oneof(fc.nat(9999), fc.uuid())),
    lead_time: argilla
      ? fc.constant(undefined)
      : optional(fc.double({ min: 0, max: 1e4, noNaN: true, noDefaultInfinity: true }).map((x) => x || 0)),
    created_at: optional(time),
    answers,
  })

const rowsOf = (argilla: boolean) =>
  fc
    .array(
      fc.record({
        prompt: text,
        responses: fc.uniqueArray(text, { minLength: 2, maxLength: 4 }),
        orders: fc.array(fc.tuple(fc.array(fc.nat(99), { minLength: 4, maxLength: 4 }), voteOf(argilla), fc.nat(4)), {
          maxLength: 3,
        }),
        prediction: optional(
          fc.tuple(
            fc.array(fc.nat(99), { minLength: 4, maxLength: 4 }),
            fc.double({ min: 0, max: 1, noNaN: true }).map((x) => x || 0),
            answers,
          ),
        ),
      }),
      { minLength: 1, maxLength: 4 },
    )
    .map((tasks) =>
      tasks.flatMap(({ prompt, responses, orders, prediction }, at) => {
        const common = { id: argilla ? `t${at}` : at + 1, prompt: `${at} ${prompt}`, responses }
        const ranksOf = (numbers: number[], placed = responses.length) => {
          const own = numbers.slice(0, responses.length)
          if (argilla) return own.map((x) => 1 + own.filter((other) => other % 3 < x % 3).length)
          const order = own.map((x, i) => 1 + own.filter((other, j) => other < x || (other === x && j < i)).length)
          return order.map((rank) => (rank > placed ? null : rank))
        }
        const rows: object[] = orders.map(([numbers, vote, left], n) => ({
          ...common,
          ranks: ranksOf(numbers, Math.max(1, responses.length - (left > 2 ? 1 : 0))),
          annotator: ['ann', 'bob@example.com', argilla ? '7' : 7][n],
          ...JSON.parse(JSON.stringify(vote)),
        }))
        if (prediction)
          rows.push({
            ...common,
            ranks: ranksOf(prediction[0]),
            annotator: 'reward-model',
            prediction: true,
            score: prediction[1],
            ...(prediction[2] && { answers: prediction[2] }),
          })
        return rows.length ? rows : [{ ...common, ranks: responses.map(() => null) }]
      }),
    )

describe('rows that go to a tool and come back are the same', () => {
  it.each(['label-studio', 'argilla'] as const)(
    '%s: votes, predictions, answers, times, tasks without votes',
    async (to) => {
      await fc.assert(
        fc.asyncProperty(rowsOf(to === 'argilla'), async (rows) => {
          const { output, report } = await there(rows, to)
          expect([report.dropped, report.changed]).toEqual([{}, {}])
          expect(sorted(await back(output, to))).toEqual(sorted(rows))
        }),
        { numRuns: 12 },
      )
    },
  )

  it.each(['label-studio', 'argilla'] as const)('%s: responses that are good or bad', async (to) => {
    const rows = [
      { id: '1', prompt: 'p', completion: 'c', label: true, annotator: 'ann', answers: { note: 'n' } },
      { id: '1', prompt: 'p', completion: 'c', label: false, annotator: 'bob' },
      { id: '2', prompt: 'q', completion: 'd', label: false, annotator: 'ann' },
      { id: '2', prompt: 'q', completion: 'd', label: true, annotator: 'm', prediction: true, score: 0.5 },
    ]
    const { output, report } = await there(rows, to)
    expect([report.written, report.dropped]).toEqual([2, {}])
    expect(sorted(await back(output, to))).toEqual(sorted(rows))
    const described = await readVotes([output])
    expect(described.items.length).toBeGreaterThan(0)
  })
})

describe('an export for Label Studio', () => {
  it('takes tasks that nobody has ranked yet, with or without the column', async () => {
    const rows = [
      { prompt: 'p', responses: ['a', 'b'] },
      { prompt: 'q', responses: ['a', 'b'], ranks: [null, null] },
    ]
    const { written, report } = await there(rows, 'label-studio')
    expect(report).toMatchObject({ rows: 2, written: 2, dropped: {}, changed: {} })
    expect(written.map(({ annotations }: { annotations: unknown[] }) => annotations)).toEqual([[], []])
    const { open } = await importVotes([newestJson(written)], 'label-studio')
    expect(open).toMatchObject([{ prompt: 'p', responses: ['a', 'b'], ranks: [null, null] }, { prompt: 'q' }])
  })

  it('comes with the template that its votes need', async () => {
    const row = { prompt: 'p', responses: ['a', 'b', 'c'], annotator: 'x' }
    const plain = await there([{ ...row, ranks: [2, 1, 3] }], 'label-studio')
    expect(parseTemplate(plain.report.template!).rank).toEqual({ name: 'rank' })
    expect(plain.written[0].annotations[0].result[0].value).toEqual({ ranker: { rank: ['2', '1', '3'] } })
    const partial = await there([{ ...row, ranks: [2, 1, null] }], 'label-studio')
    expect(parseTemplate(partial.report.template!).rank).toEqual({ name: 'rank', bucket: 'best' })
    expect(partial.written[0].annotations[0].result[0].value).toEqual({ ranker: { best: ['2', '1'], _: ['3'] } })
  })

  it('keeps what the server would refuse or change out of its places', async () => {
    const rows = [{ prompt: 'p', responses: ['a', 'b'], ranks: [1, 2], annotator: 'ann', annotation: 'x-1' }]
    const [{ annotations }] = (await there(rows, 'label-studio')).written
    // Text as the number of an annotation is an error there, and an annotator must be known
    expect(annotations[0]).not.toHaveProperty('id')
    expect(annotations[0]).not.toHaveProperty('completed_by')
    expect(annotations[0].ground_truth).toBe(false)
    expect(annotations[0].result[0].meta).toEqual({ attune: { annotation: 'x-1', annotator: 'ann' } })
  })

  it('of rows of two kinds is refused', async () => {
    const rows = [
      { prompt: 'p', responses: ['a', 'b'], ranks: [1, 2] },
      { prompt: 'p', responses: ['a'], ranks: [1] },
    ]
    await expect(there(rows, 'label-studio')).rejects.toThrow('two responses or more')
  })
})

const newestJson = (records: object[]) => fileOf(records, '.json')

describe('an import from Label Studio', () => {
  const items = ['a', 'b', 'c', 'd'].map((id) => ({ id, body: `text ${id}` }))
  const task = (result: object[], data: object = { prompt: 'p', items }) =>
    fileOf([{ id: 5, data, annotations: [{ id: 1, completed_by: 3, result }], predictions: [17] }], '.json')

  it('of several buckets has an order for each, and knows nothing across them', async () => {
    const ranker = { good: ['b', 'a'], bad: ['d', 'c'], _: [] }
    const { rankings } = await importVotes(
      [task([{ type: 'ranker', from_name: 'r', value: { ranker } }])],
      'label-studio',
    )
    expect(rankings).toMatchObject([
      { responses: ['text a', 'text b'], ranks: [2, 1], vote: { answers: { bucket: 'good' } } },
      { responses: ['text c', 'text d'], ranks: [2, 1], vote: { answers: { bucket: 'bad' } } },
    ])
  })

  it('ranks by the mean of ratings, and puts a written answer first', async () => {
    const data = { prompt: 'p', response1: 'x', response2: 'y', response3: 'z' }
    const rating = (name: string, rating: number) => ({ type: 'rating', from_name: name, value: { rating } })
    const rated = [
      rating('good-1', 2),
      rating('safe-1', 4),
      rating('good-2', 5),
      rating('safe-2', 5),
      rating('good-3', 3),
    ]
    const read = async (...more: object[]) =>
      (await importVotes([task([...rated, ...more], data)], 'label-studio')).rankings
    expect(await read()).toMatchObject([
      { responses: ['x', 'y', 'z'], ranks: [2, 1, 2], vote: { answers: { 'good-1': 2, 'safe-2': 5 } } },
    ])
    expect(await read({ type: 'textarea', from_name: 'edit', value: { text: ['w'] } })).toMatchObject([
      { responses: ['w', 'x', 'y', 'z'], ranks: [1, 3, 2, 3] },
    ])
  })

  it('of tasks that compare nothing gives labels, whose items stay numbers', async () => {
    const file = task([{ type: 'choices', from_name: 'topic', value: { choices: ['maths'] } }], { prompt: 'p' })
    const { labels, written, rankings } = await importVotes([file], 'label-studio')
    expect(rankings).toEqual([])
    expect(labels).toEqual([{ item: '5', annotator: '3', label: 'maths', question: 'topic' }])
    expect(written.get('5')).toBe(5)
  })
})

describe('an import from Argilla', () => {
  it("of its Python client's own form, where answers stand by question, is the same", async () => {
    const ranking = [
      { value: 'response-2', rank: 1 },
      { value: 'response-1', rank: 2 },
    ]
    const record = {
      id: 'r1',
      fields: { prompt: 'p', 'response-1': 'a', 'response-2': 'b' },
      metadata: {},
      vectors: {},
      suggestions: {
        ranking: { value: ranking, score: 0.5, agent: 'm' },
        note: { value: 'hm', score: null, agent: 'm' },
      },
      responses: {
        ranking: [{ value: ranking, user_id: 'u1' }],
        clarity: [{ value: 4, user_id: 'u1' }],
        topics: [
          { value: ['x', 'y'], user_id: 'u1' },
          { value: ['z'], user_id: 'u2' },
        ],
      },
      _server_id: 's',
    }
    const { rankings, predicted, dropped } = await importVotes([fileOf([record], '.json')], 'argilla')
    const sides = { prompt: 'p', responses: ['a', 'b'], ranks: [2, 1] }
    expect(rankings).toMatchObject([
      { ...sides, vote: { task: 'r1', annotator: 'u1', answers: { clarity: 4, topics: ['x', 'y'] } } },
    ])
    expect(predicted).toMatchObject([
      { ...sides, vote: { annotator: 'm', prediction: true, score: 0.5, answers: { note: 'hm' } } },
    ])
    expect(dropped).toEqual({ empty: 1 })
  })
})
