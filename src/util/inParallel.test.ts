import { describe, expect, it } from 'vitest'
import { inParallel } from './inParallel.ts'

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const numbers = Array.from({ length: 20 }, (_, i) => i)

describe('inParallel', () => {
  it('yields each result once, as they come, and never works on more items than the limit', async () => {
    let [active, most, drawn] = [0, 0, 0]
    const items = async function* () {
      for (const i of numbers) {
        drawn++
        yield i
      }
    }
    const found: number[] = []
    for await (const result of inParallel(items(), 3, async (i) => {
      most = Math.max(most, ++active)
      await later(i % 3 === 0 ? 4 : 1)
      active--
      return i
    })) {
      found.push(result)
      await later(1)
      expect(drawn - found.length).toBeLessThan(4)
    }
    expect(most).toBe(3)
    expect(found).not.toEqual(numbers)
    expect(found.toSorted((a, b) => a - b)).toEqual(numbers)
  })

  it('begins nothing after a failure, and yields the results of work under way', async () => {
    const [begun, found]: number[][] = [[], []]
    const all = async () => {
      for await (const i of inParallel(numbers, 3, async (i) => {
        begun.push(i)
        await later(i === 1 ? 1 : 8)
        if (i === 1) throw new Error('one')
        return i
      }))
        found.push(i)
    }
    await expect(all()).rejects.toThrow('one')
    expect([begun, found]).toEqual([
      [0, 1, 2],
      [0, 2],
    ])
  })

  it('ends the source when its reader leaves', async () => {
    let closed = false
    const items = function* () {
      try {
        yield* numbers
      } finally {
        closed = true
      }
    }
    for await (const i of inParallel(items(), 2, async (i) => i)) if (i === 3) break
    expect(closed).toBe(true)
    for await (const _ of inParallel([], 2, async (i) => i)) throw new Error('nothing to give')
  })
})
