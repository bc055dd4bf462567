/** Single answers with ratings or labels as rankings and pairs of those to the same prompt. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Ranking } from './rows.ts'
import { openTogether } from './together.node.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-together-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const put = (text: string) => {
  const path = join(folder, `${files++}.csv`)
  writeFileSync(path, text)
  return path
}
const columns = { prompt: 'Guest', completion: 'Reply', label: 'Stars' }
const told = async (to: 'ranking' | 'preference', lines: string[], options: object = {}) => {
  const found = await openTogether(to, [put(['Guest,Reply,Stars', ...lines].join('\n'))], { columns, ...options })
  const rows = await Promise.all(Array.from({ length: found!.length }, (_, i) => found!.row(i) as Promise<Ranking>))
  return { rows, dropped: found!.dropped }
}
// The answers to a question need not stand together, and a 1 is a rating among ratings
const stays = [
  'lift?,Website.,1',
  'dog?,Welcome.,4',
  'lift?,Every floor.,5',
  'lift?,Yes.,3',
  'dog?,No idea.,',
  'bar?,No.,2',
]

describe('answers to the same prompt', () => {
  it('are ranked by their ratings', async () => {
    const { rows, dropped } = await told('ranking', stays)
    expect(rows).toEqual([
      {
        kind: 'ranking',
        prompt: 'lift?',
        responses: ['Website.', 'Every floor.', 'Yes.'],
        ranks: [3, 1, 2],
        ratings: [1, 5, 3],
      },
    ])
    // The dog's second answer has no rating, so its first one is alone, as is the answer about the bar
    expect(dropped).toEqual({ 'no-label': 1, 'one-response': 2 })
  })

  it('are ordered by ranks, of which 1 is the best, where the column is called so or --label says it', async () => {
    const lines = ['lift?,Website.,3', 'lift?,Every floor.,1', 'lift?,Yes.,2']
    const ranked = { rows: [expect.objectContaining({ ranks: [3, 1, 2] })], dropped: {} }
    expect(await told('ranking', lines, { label: 'rank' })).toEqual(ranked)
    const file = put(['Guest,Reply,Rang', ...lines].join('\n'))
    const found = await openTogether('ranking', [file], { columns: { ...columns, label: 'Rang' } })
    expect([await found!.row(0), found!.read]).toEqual([ranked.rows[0], '"Rang" was read as ranks, 1 is the best'])
    expect(await found!.row(0)).not.toHaveProperty('ratings')
  })

  it('make a pair of each better and each worse one', async () => {
    const { rows } = await told('preference', stays)
    expect(rows.map(({ responses, ranks, ratings }) => [responses, ranks, ratings])).toEqual([
      [
        ['Every floor.', 'Yes.'],
        [1, 2],
        [5, 3],
      ],
      [
        ['Every floor.', 'Website.'],
        [1, 2],
        [5, 1],
      ],
      [
        ['Yes.', 'Website.'],
        [1, 2],
        [3, 1],
      ],
    ])
  })

  it('are good or bad alone where a rule says so, or where labels are words', async () => {
    const byRule = await told('preference', stays, { label: '>=3' })
    expect(byRule.rows.map(({ responses }) => responses)).toEqual([
      ['Every floor.', 'Website.'],
      ['Yes.', 'Website.'],
    ])
    const thumbs = await told('preference', ['lift?,Website.,down', 'lift?,Every floor.,👍', 'dog?,a,up', 'dog?,b,up'])
    expect(thumbs.rows.map(({ responses }) => responses)).toEqual([['Every floor.', 'Website.']])
    expect(thumbs.dropped).toEqual({ 'equal-ratings': 2 })
  })

  it('never praise an empty answer', async () => {
    const { rows, dropped } = await told('preference', ['lift?,,5', 'lift?,Yes.,3', 'lift?,Website.,1'])
    expect(rows.map(({ responses }) => responses)).toEqual([['Yes.', 'Website.']])
    expect(dropped).toEqual({ 'no-completion': 1 })
  })

  it('become turns of a chat', async () => {
    const { rows } = await told('preference', ['lift?,Yes.,3', 'lift?,Website.,1'], { chat: true })
    expect(rows[0].prompt).toEqual([{ role: 'user', content: 'lift?' }])
  })

  it('are refused where no two can be compared, and where a label says nothing', async () => {
    await expect(told('ranking', ['lift?,Yes.,3', 'dog?,Yes.,3'])).rejects.toThrow(
      expect.objectContaining({ code: 'empty-data', message: expect.stringContaining('one-response: 2') }),
    )
    await expect(told('ranking', ['lift?,Yes.,fine', 'lift?,No.,3'])).rejects.toThrow(
      expect.objectContaining({ code: 'wrong-type' }),
    )
  })
})

it.each([
  ['pairs', 'ranking', 'prompt,chosen,rejected\nq,a,b\n'],
  ['answers', 'sft', 'prompt,completion,label\nq,a,1\n'],
] as const)('leaves %s to %s as they are', async (_, to, text) => {
  expect(await openTogether(to, [put(text)], {})).toBeUndefined()
})
