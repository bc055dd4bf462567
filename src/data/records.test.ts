/** Rows written as records and read again; what does not fit is refused by name. */
import { describe, expect, it } from 'vitest'
import { conversions } from './convert.ts'
import { rowReader } from './formats.ts'
import { lostIn, recordFor, type Target, targets } from './records.ts'
import type { Ranking, Row } from './rows.ts'

const rowsOf = (record: object): Row[] =>
  rowReader('x', 'rows', { record: [] })
    .read({ value: JSON.parse(JSON.stringify(record)), row: 0 })
    .rows.map(({ record: _, ...row }: Row & { record?: unknown }) => row as Row)

const converted = (to: Target, record: object): Row[] =>
  rowReader('x', 'rows', to === 'prompt' ? { record: [] } : {})
    .read({ value: record, row: 0 })
    .rows.flatMap((row) => conversions[targets[to]].of(row) as Row[])

const turn = (role: string, content: string) => ({ role, content })
const call = {
  role: 'assistant',
  content: null,
  tool_calls: [{ type: 'function', function: { name: 'f', arguments: {} } }],
}

const preference = {
  id: 7,
  prompt: 'q',
  chosen: ' a',
  rejected: ' b',
  score_chosen: 4.5,
  score_rejected: 2,
  margin: 2.5,
}
const records: [string, object][] = [
  ['a pair with scores', preference],
  ['ids', { prompt: [1, 2], chosen: [3], rejected: [4] }],
  ['no prompt', { chosen: 'x', rejected: 'y' }],
  [
    'a conversation with tools',
    {
      prompt: [turn('system', 's'), turn('user', 'u')],
      chosen: [turn('assistant', 'a')],
      rejected: [call],
      tools: [{ type: 'function', function: { name: 'f' } }],
      chat_template_kwargs: { enable_thinking: false, documents: [{ title: 't' }] },
    },
  ],
]

describe('a record of a row reads back as the row', () => {
  it.each(records)('%s', (_, record) => {
    for (const to of Object.keys(targets) as Target[]) {
      const rows = converted(to, record)
      expect(rows.length).toBeGreaterThan(0)
      for (const row of rows) {
        const { record: __, ...kept } = row as Row & { record?: unknown }
        const [again] = rowsOf(recordFor(to, row, {}) as object)
        const lost = Object.fromEntries(lostIn(to, row).map((name) => [name, undefined]))
        expect(again).toEqual({ ...kept, ...lost })
      }
    }
  })

  it.each<[Target, object]>([
    ['sft', { text: 'a' }],
    ['sft', { input_ids: [1, 2] }],
    ['sft', { messages: [turn('user', 'u'), turn('assistant', 'a')] }],
    ['kto', { prompt: 'q', completion: 'a', label: false }],
    ['kto', { prompt: [turn('user', 'u')], completion: [call], label: true }],
    ['ranking', { prompt: 'q', responses: ['a', 'b', 'c'], ranks: [2, null, 1] }],
    ['prompt', { prompt: [turn('user', 'u')] }],
  ])('of %s: %j', (to, record) => {
    const [row] = rowsOf(record)
    expect(rowsOf(recordFor(to, row, {}) as object)).toEqual([row])
  })
})

describe('a preference', () => {
  const ranked = (ranks: Ranking['ranks'], more: Partial<Ranking> = {}): Ranking => ({
    kind: 'ranking',
    prompt: 'q',
    responses: ['a', 'b'],
    ranks,
    ...more,
  })

  it('of a ranking has the better response as chosen, with ratings, margin and probability turned', () => {
    const row = ranked([2, 1], { ratings: [1, 3], margin: -2, prob: 0.25 })
    expect(recordFor('preference', row, {})).toEqual({
      prompt: 'q',
      chosen: 'b',
      rejected: 'a',
      score_chosen: 3,
      score_rejected: 1,
      margin: 2,
      prob: 0.75,
    })
    expect(recordFor('preference', ranked([null, 1]), {})).toMatchObject({ chosen: 'b' })
  })

  it('of a tie is none, and of three responses is refused', () => {
    expect(recordFor('preference', ranked([1, 1]), {})).toBe('tie')
    const row = { ...ranked([1, 2, 3]), responses: ['a', 'b', 'c'] }
    expect(() => recordFor('preference', row, { file: 'f', row: 3 })).toThrow(
      'f, row 3: holds 3 responses, and a preference two; nothing was written',
    )
  })
})

it('a prompt keeps the columns that a reward may read, and none that would make it another kind of row', () => {
  const record = {
    prompt: 'q',
    completion: 'a',
    chosen_rating: 3,
    answer: '42',
    question: 'q',
    level: 2,
  }
  const [row] = converted('prompt', { ...record, label: true })
  expect(recordFor('prompt', row, {}, ['question'])).toEqual({ prompt: 'q', answer: '42', level: 2 })
})
