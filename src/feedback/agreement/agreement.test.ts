import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { rng } from '../../util/rng.ts'
import { agreement } from './agreement.ts'
import { labelInput } from './inputs.ts'
import { readVotes } from './readVotes.ts'
import type { LabelVote } from './votes.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-votes-'))
afterAll(() => rmSync(folder, { recursive: true }))

const fileOf = (name: string, rows: readonly unknown[]) => {
  const file = join(folder, name)
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}

const vote = (item: string, annotator: string, label: string): LabelVote => ({ item, annotator, label })

describe('agreement', () => {
  it('of many annotators counts every two votes on an item', () => {
    const votes = [
      vote('x', 'a', 'yes'),
      vote('x', 'b', 'yes'),
      vote('x', 'c', 'no'),
      vote('y', 'a', 'no'),
      vote('y', 'c', 'no'),
      vote('z', 'b', 'yes'),
    ]
    const { figures, n, items } = agreement(labelInput(votes, 'f'), { resamples: 10 })
    expect([n, items, figures.agreement]).toEqual([4, 2, 0.5])
    // Of the two items with two votes or more, a third and all of the pairs agree; all labels count for the shares
    const yes = 2 / 3 / 2
    const chance = yes ** 2 + (1 - yes) ** 2
    expect(figures.fleiss).toBeCloseTo(((1 / 3 + 1) / 2 - chance) / (1 - chance), 12)
  })

  it('of votes by chance has intervals of kappa around 0, the same for the same seed', () => {
    const random = rng(1, 2)
    const votes = Array.from({ length: 400 }, (_, i) =>
      vote(`${i >> 1}`, `${i & 1}`, String(Math.floor(4 * random.uniform(i)))),
    )
    const input = labelInput(votes, 'f')
    const { figures, intervals } = agreement(input, { resamples: 200, seed: 3 })
    expect(intervals.kappa.low).toBeLessThan(figures.kappa)
    expect(intervals.kappa.low).toBeLessThan(0)
    expect(intervals.kappa.high).toBeGreaterThan(0)
    expect(agreement(input, { resamples: 200, seed: 3 }).intervals).toEqual(intervals)
    expect(agreement(input, { resamples: 200, seed: 4 }).intervals).not.toEqual(intervals)
  })

  it('about ties is given with them and without', () => {
    const votes = ['A A', 'A tie', 'tie tie', 'B A', 'B B'].flatMap((pair, i) =>
      pair.split(' ').map((label, annotator) => vote(`${i}`, `${annotator}`, label)),
    )
    const { figures, n, nNoTies } = agreement(labelInput(votes, 'f'), { resamples: 1 })
    expect([n, figures.agreement, nNoTies, figures.agreement_no_ties]).toEqual([5, 3 / 5, 3, 2 / 3])
  })

  it('of labels without an order leaves out what needs one', () => {
    const votes = ['cat cat', 'dog cat', 'bird bird'].flatMap((pair, i) =>
      pair.split(' ').map((label, annotator) => vote(`${i}`, `${annotator}`, label)),
    )
    const { figures } = agreement(labelInput(votes, 'f'), { resamples: 1 })
    expect([figures.weighted_kappa, figures.alpha_ordinal, figures.tau_b]).toEqual([Number.NaN, Number.NaN, Number.NaN])
    expect(figures.kappa).toBeCloseTo((2 / 3 - 1 / 3) / (1 - 1 / 3), 12)
  })

  it('orders numbers as numbers', () => {
    expect(labelInput([vote('x', 'a', '10'), vote('x', 'b', '9')], 'f').names).toEqual(['9', '10'])
  })
})

describe('votes of files', () => {
  it('may be rankings: pairs for kappa, ranks for alpha and tau, responses in any order', async () => {
    const responses = ['r1', 'r2', 'r3']
    const file = fileOf('rankings.jsonl', [
      { prompt: 'p', responses, ranks: [1, 2, 3], annotator: 'a' },
      { prompt: 'p', responses: ['r3', 'r1', 'r2'], ranks: [2, 1, null], annotator: 'b' },
      { prompt: 'q', responses, ranks: [1, 1, 2], annotator: 'a' },
    ])
    const input = await readVotes([file])
    const { figures, n, items } = agreement(input, { resamples: 1 })
    // b has r1 before r3 before r2: two of three pairs as a
    expect([n, items, figures.agreement]).toEqual([3, 1, 2 / 3])
    expect(figures.tau_b).toBeCloseTo(1 / 3, 12)
  })

  it('may be preferences, whose order of columns is the vote and not a class', async () => {
    const pair = (chosen: string, rejected: string, annotator: string, prompt = 'p') => ({
      prompt,
      chosen,
      rejected,
      annotator,
    })
    const file = fileOf('preferences.jsonl', [
      pair('x', 'y', 'a'),
      pair('x', 'y', 'b'),
      pair('y', 'x', 'a', 'q'),
      pair('y', 'x', 'b', 'q'),
    ])
    const { figures } = agreement(await readVotes([file]), { resamples: 1 })
    expect([figures.agreement, figures.kappa]).toEqual([1, 1])
  })

  it('may be several labels in a row, and under other names', async () => {
    const wide = fileOf('wide.jsonl', [
      { id: 1, annotator1: 2, annotator2: 2, annotator3: null },
      { id: 2, annotator1: 1, annotator2: 2, annotator3: 1 },
    ])
    const read = await readVotes([wide])
    expect([read.votes, read.skipped, read.annotators]).toEqual([
      5,
      { 'no-label': 1 },
      ['annotator1', 'annotator2', 'annotator3'],
    ])
    const renamed = fileOf('renamed.jsonl', [
      { task: 1, worker: 'a', answer: 'x' },
      { task: 1, worker: 'b', answer: 'x' },
    ])
    const columns = { item: 'task', annotator: 'worker', label: 'answer' }
    expect((await readVotes([renamed], { columns })).votes).toBe(2)
  })

  it('may be judgements, whichever model stood first', async () => {
    const row = { question_id: 1, turn: 1 }
    const file = fileOf('judgements.jsonl', [
      { ...row, model_a: 'm', model_b: 'k', judge: 'one', winner: 'model_a' },
      { ...row, model_a: 'k', model_b: 'm', judge: 'two', winner: 'model_b' },
      { ...row, model_a: 'k', model_b: 'm', judge: 'three', winner: 'tie (inconsistent)' },
    ])
    const { figures, n } = agreement(await readVotes([file]), { resamples: 1 })
    expect([n, figures.agreement, figures.agreement_no_ties]).toEqual([3, 1 / 3, 1])
  })

  it('of an annotator who votes twice count once, and are counted', async () => {
    const file = fileOf('twice.jsonl', [
      { item: 1, annotator: 'a', label: 0 },
      { item: 1, annotator: 'b', label: 1 },
      { item: 1, annotator: 'b', label: 0 },
    ])
    const input = await readVotes([file])
    expect(input.skipped).toEqual({ 'voted-twice': 1 })
    expect(agreement(input, { resamples: 1 }).figures.agreement).toBe(1)
  })

  it.each([
    [
      'one annotator',
      [
        { item: 1, annotator: 'a', label: 0 },
        { item: 2, annotator: 'a', label: 1 },
      ],
      'one annotator (a)',
    ],
    [
      'no shared item',
      [
        { item: 1, annotator: 'a', label: 0 },
        { item: 2, annotator: 'b', label: 1 },
      ],
      '2 annotators voted on different items',
    ],
    ['rankings without annotator', [{ prompt: 'p', responses: ['a', 'b'], ranks: [1, 2] }], 'a column "annotator"'],
    ['no label', [{ item: 1, annotator: 'a', score: 0 }], 'a label or a rank'],
    ['rows of another kind', [{ text: 'hello' }], 'of the kind "text"'],
    [
      'labels that are texts',
      Array.from({ length: 2002 }, (_, i) => ({ item: i >> 1, annotator: i & 1, label: `t${i}` })),
      '2002 different labels',
    ],
  ])('with %s are refused', async (_, rows, message) => {
    await expect(readVotes([fileOf('refused.jsonl', rows)])).rejects.toThrow(message)
  })
})
