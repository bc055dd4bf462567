import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Candidates } from '../data/pairText.ts'
import { joinedPair } from '../data/pairText.ts'
import { rankFiles, type rankMethods } from './rank.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'attune-rank-'))
})
afterAll(() => rm(dir, { recursive: true }))

const tokens = {
  ...{ texts: ['<|source|>', '<|candidate1|>', '<|candidate2|>'], ids: [101, 102, 103] },
  ...{ before: [], behind: [], sourceLength: 10, length: 30 },
}

/** A ranker that likes long texts, and the first place by a little. */
const scoreOf = (first: { length: number }, second: { length: number }) => first.length - second.length + 0.25
const ranker = {
  check: () => {},
  joined: (ids: readonly number[]) => joinedPair(ids, tokens),
  scores: async (pairs: readonly { ids: number[] }[]) => pairs.map(({ ids }): [number, number] => [ids.length, 1]),
  logits: async (rows: readonly Candidates[]) =>
    rows.map(({ candidates }) => candidates.map((a, i) => candidates.map((b, j) => (i === j ? 0 : scoreOf(a, b))))),
  sorted: async (rows: readonly Candidates[]) =>
    rows.map(({ candidates }) => ({
      order: candidates.map((_, k) => k).sort((a, b) => candidates[b].length - candidates[a].length),
      logits: candidates.map(() => candidates.map(() => null)),
    })),
}

const rank = async (lines: readonly object[], method: (typeof rankMethods)[number] = 'full', columns = {}) => {
  const file = join(dir, 'rows.jsonl')
  await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const { ranked } = await rankFiles(ranker, { data: [file], method, columns })
  const found = []
  for await (const each of ranked) found.push(each)
  return found
}

describe('rows of candidates', () => {
  it('are ranked in order, beside pairs that are joined already, whatever shares a pass', async () => {
    const rows = Array.from({ length: 70 }, (_, i) =>
      i % 2
        ? { input_ids: [101, 5, 102, 6, 103, ...Array(i).fill(7)] }
        : { prompt: 'p', candidates: ['a', 'b'.repeat(i + 2)] },
    )
    const found = await rank(rows)
    expect(found).toHaveLength(70)
    for (const [i, line] of found.entries())
      if (i % 2) expect(line).toEqual({ scores: [5 + i, 1], logit: 4 + i })
      else expect(line).toMatchObject({ ranks: [2, 1], scores: [-(i + 1), i + 1] })
  })

  it('by a bubble sort have ranks and no scores', async () => {
    const [line] = await rank([{ prompt: 'p', candidates: ['aa', 'a', 'aaa'] }], 'bubble')
    expect(line).toEqual({ ranks: [2, 3, 1], logits: [Array(3).fill(null), Array(3).fill(null), Array(3).fill(null)] })
  })

  it('may have other names for their columns', async () => {
    const [line] = await rank([{ question: 'p', answers: ['aa', 'a'] }], 'full', {
      prompt: 'question',
      candidates: 'answers',
    })
    expect(line).toMatchObject({ ranks: [1, 2] })
  })
})

it.each([
  [{ prompt: 'p', candidates: ['one'] }, /row 1, column "candidates": a ranking needs two candidates or more/],
  [{ prompt: 'p' }, /row 1: needs the columns prompt and candidates, or input_ids/],
  [{ candidates: ['a', 'b'] }, /row 1: needs a prompt/],
  [{ prompt: 'p', candidates: ['a', 5] }, /row 1, column "candidates"/],
  [{ input_ids: [101, 102, 102, 103] }, /row 1: must hold the marker <\|candidate1\|>, the id 102, once/],
])('%o is refused with its place, before anything is ranked', async (row, message) => {
  await expect(rank([{ prompt: 'p', candidates: ['a', 'b'] }, row])).rejects.toThrow(message)
})

it('a file without rows is refused', async () => {
  await expect(rank([])).rejects.toThrow(/holds no rows/)
})
