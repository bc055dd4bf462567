import { describe, expect, it } from 'vitest'
import { badInput } from '../util/fault.ts'
import { exampleStream } from './stream.ts'

/** Rows are numbers: negative ones give no example, those above 9 are cut, 7 is odd. */
const stream = (rows: number[], epochs = 1, order = (position: number) => position % rows.length) =>
  exampleStream<number, { of: number }>({
    length: rows.length,
    epochs,
    order,
    row: async (i) => rows[i],
    example: (row, count) => {
      if (row === 7) count('odd')
      return row < 0 ? 'empty' : { of: row }
    },
    truncated: ({ of }) => of > 9,
  })

describe('a stream of examples', () => {
  it('passes over rows without one, and says where it stands', async () => {
    const { take } = stream([1, -1, 2, 3, -1], 2)
    expect(await take(0, 2)).toEqual({ examples: [{ of: 1 }, { of: 2 }], rows: [0, 2], position: 3 })
    // The next two cross into the second epoch
    expect(await take(3, 2)).toEqual({ examples: [{ of: 3 }, { of: 1 }], rows: [3, 0], position: 6 })
    expect(await take(6, 9)).toEqual({ examples: [{ of: 2 }, { of: 3 }], rows: [2, 3], position: 10 })
    expect(await take(10, 2)).toEqual({ examples: [], rows: [], position: 10 })
  })

  it('ends within an epoch where there is a part of one', async () => {
    expect((await stream([1, 2, 3], 1.5).take(0, 9)).rows).toEqual([0, 1, 2, 0, 1])
  })

  it('takes the rows in the order given', async () => {
    expect((await stream([1, 2, 3], 1, (position) => 2 - position).take(0, 2)).rows).toEqual([2, 1])
  })
})

const surveyed = async (survey: () => AsyncGenerator<number>) => {
  const through: number[] = []
  for await (const rows of survey()) through.push(rows)
  return through
}

describe('a survey of the rows', () => {
  it('counts each row once, what is dropped apart from what is odd', async () => {
    const { survey, found, take } = stream([7, -1, 12, -3], 2)
    expect(await surveyed(survey)).toEqual([4])
    await take(0, 9)
    expect(found()).toEqual({ dropped: { empty: 2 }, odd: { odd: 1, truncated: 1 } })
  })

  it.each([
    [1000, 3],
    // The third takes more than there is room for
    [20, 4],
  ])('makes each example once, where there is room to keep it (%i characters)', async (keptCharacters, made) => {
    let count = 0
    const { survey, take } = exampleStream<number, { of: number }>({
      length: 3,
      epochs: 1,
      order: (position) => position,
      keptCharacters,
      row: async (i) => i,
      truncated: () => false,
      example: (of) => {
        count++
        return { of }
      },
    })
    await surveyed(survey)
    expect((await take(0, 3)).examples).toEqual([{ of: 0 }, { of: 1 }, { of: 2 }])
    expect(count).toBe(made)
  })

  it('ends at the first row that cannot be read, and says where it stands', async () => {
    const { survey } = exampleStream<number, { of: number }>({
      length: 200,
      epochs: 1,
      order: (position) => 199 - position,
      row: async (i) => i,
      truncated: () => false,
      where: (i) => ({ file: 'rows.jsonl', line: 2 * i, row: i }),
      example: (of) => {
        if (of === 150) throw badInput('template', 'no system role')
        return { of }
      },
    })
    await expect(surveyed(survey)).rejects.toMatchObject({
      code: 'template',
      exitCode: 2,
      where: { file: 'rows.jsonl', line: 300, row: 150 },
      message: 'rows.jsonl, line 300, row 150: no system role',
    })
  })

  it('says why there is nothing', async () => {
    await expect(surveyed(stream([-1, -2]).survey)).rejects.toMatchObject({
      code: 'empty-data',
      exitCode: 2,
      message: expect.stringContaining('empty: 2'),
    })
  })
})
