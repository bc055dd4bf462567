/** Shares as bars: their lengths, and that no line is wider than the terminal. */
import { describe, expect, it } from 'vitest'
import { wilson } from '../statistics/intervals.ts'
import { shareBars } from './shareBars.ts'

const rows = [
  { name: 'before', share: wilson(25, 100), style: 'yellow' as const },
  { name: 'rankings (dpo)', share: wilson(100, 100), style: 'green' as const },
]
const plain = (_: string, text: string) => text

describe('bars of shares', () => {
  it('are as long as the share, with the interval beside them', () => {
    const [before, after] = shareBars(rows, 200, plain).split('\n')
    expect(before).toBe(`before          ${'━'.repeat(10)}${'─'.repeat(30)}   25 %  17.5 to 34.3`)
    expect(after).toBe(`rankings (dpo)  ${'━'.repeat(40)}  100 %  96.3 to 100.0`)
  })

  it.each([60, 57, 46])('fit %i columns', (width) => {
    const lines = shareBars(rows, width, plain).split('\n')
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(width)
    expect(lines[0]).toContain('17.5 to 34.3')
  })

  it('leave the intervals out where there is no room', () => {
    const text = shareBars(rows, 40, plain)
    expect(text).not.toContain('to')
    expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(40)
  })
})
