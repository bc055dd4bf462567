import { describe, expect, it } from 'vitest'
import { exampleStream } from './stream.ts'

/** Rows are numbers: negative ones give no example, those above 9 are cut, 7 is odd. */
const stream = (rows: number[], epochs = 1, order = (position: number) => position % rows.length) =>
  exampleStream<number, { of: number }>({
    ...{ length: rows.length, epochs, order },
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

  it('counts each row once, whatever is taken again', async () => {
    const { take, tally } = stream([7, -1, 12, -3], 2)
    await take(0, 2)
    await take(0, 2)
    expect(tally()).toEqual({ position: 3, counts: { odd: 1, empty: 1, truncated: 1 } })
    await take(3, 9)
    expect(tally().counts).toEqual({ odd: 1, empty: 2, truncated: 1 })
  })

  it('counts on from where it was saved', async () => {
    const { take, tally, restore } = stream([7, -1, 12, -3], 2)
    restore({ position: 3, counts: { odd: 1, empty: 1, truncated: 1 } })
    await take(0, 9)
    expect(tally().counts).toEqual({ odd: 1, empty: 2, truncated: 1 })
  })

  it('says why there is nothing', async () => {
    await expect(stream([-1, -2]).take(0, 1)).rejects.toMatchObject({
      ...{ code: 'empty-data', exitCode: 2 },
      message: expect.stringContaining('empty: 2'),
    })
  })
})
