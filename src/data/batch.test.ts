import { describe, expect, it } from 'vitest'
import { type PackedBatch, pack, packs, type Tree } from './batch.ts'

const range = (from: number, length: number) => Array.from({ length }, (_, i) => from + i)
const tokens = ({ targets, ids }: PackedBatch) =>
  Array.from(targets.index, (index, m) => [ids[index], targets.label[m], targets.sequence[m]])

describe('pack', () => {
  it('puts a prompt once before its responses, each of which goes on from its end', () => {
    const batch = pack([{ trunk: [1, 2], branches: [[3, 4], [5]] }], 2)
    expect(batch).toMatchObject({ B: 1, T: 5, ids: [1, 2, 3, 4, 5], positions: [0, 1, 2, 3, 2] })
    expect(batch.segments).toEqual([0, 0, 1, 1, 2])
    // The prompt's last token predicts the first of each response; the prompt itself is no target
    expect(tokens(batch)).toEqual([
      [2, 3, 0],
      [3, 4, 0],
      [2, 5, 1],
    ])
  })

  it('numbers trees of fewer branches with gaps, and prompts behind all branches', () => {
    const trees: Tree[] = [
      { trunk: [1, 2], trunkTargets: [1, 1], branches: [[3]] },
      { trunk: [4], trunkTargets: [1], branches: [[5], [6], [7]] },
    ]
    const aims = tokens(pack(trees, 3))
    expect(aims).toEqual([
      [1, 2, 6],
      [2, 3, 0],
      [4, 5, 3],
      [4, 6, 4],
      [4, 7, 5],
    ])
  })

  it('counts only marked tokens of a text, and never the first', () => {
    const batch = pack([{ trunk: [1, 2, 3, 4], trunkTargets: [1, 0, 1, 1], branches: [] }], 0)
    expect(tokens(batch)).toEqual([
      [2, 3, 0],
      [3, 4, 0],
    ])
  })

  it('has nothing to predict the first token of a response without a prompt', () => {
    expect(tokens(pack([{ trunk: [], branches: [[1, 2], [3]] }], 2))).toEqual([[1, 2, 0]])
  })

  it('fills rows first-fit, longest first: nothing overlaps, nothing is padded but the grid', () => {
    const trees = [4, 7, 3, 3, 1].map((length, i) => ({ trunk: range(10 * i, length), branches: [] }))
    const batch = pack(trees, 0)
    expect([batch.B, batch.T]).toEqual([3, 7])
    expect(new Set(Array.from(batch.places)).size).toBe(18)
    expect(Math.max(...Array.from(batch.places))).toBeLessThan(21)
    const rows = (g: number) =>
      new Set(Array.from(batch.places).flatMap((p, n) => (batch.groups[n] === g ? [Math.floor(p / 7)] : [])))
    expect([0, 1, 2, 3, 4].map((g) => [...rows(g)])).toEqual([[1], [0], [1], [2], [2]])
  })
})

it('packs trees of like length together, with the numbers they have in one batch', () => {
  const lengths = [200, 40, 190, 130, 20]
  const trees = lengths.map((length, i) => ({ trunk: [i], branches: [range(0, length), range(0, 2)] }))
  const parts = packs(trees, 2)
  expect(parts.map(({ ids }) => ids.length)).toEqual([203 + 193, 133, 43 + 23].toSorted((a, b) => b - a))
  const of = (batch: PackedBatch) => Array.from(batch.targets.sequence)
  expect(parts.flatMap(of).toSorted((a, b) => a - b)).toEqual(of(pack(trees, 2)).toSorted((a, b) => a - b))
})
