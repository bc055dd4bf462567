import { expect, it } from 'vitest'
import { makeTimeLeft } from './timeLeft.ts'

it('the time left is by the pace of each kind of work, and names what is not measured yet', () => {
  let now = 0
  const left = makeTimeLeft(() => now)
  /** Three models of 10 completions; seconds pass before the event. */
  const at = (seconds: number, work: string, of: string, done: number, rest: Record<string, number>) => {
    now += 1000 * seconds
    const others = Object.entries(rest).map(([work, left]) => ({ work, left }))
    return left({ event: 'progress', phase: 'generate', work, of, done, total: 30, rest: others })
  }
  const later = { 'log-probs': 30, 'judging by a': 30, 'judging by b': 30 }
  expect(at(5, 'generating', 'base', 0, later)).toBeUndefined()
  expect(at(1, 'generating', 'base', 1, later)).toBeUndefined()
  expect(at(9, 'generating', 'base', 10, later)).toBe('0:20 left, then log-probs and judging')
  // Opening the next model is part of the work
  expect(at(2, 'generating', 'dpo', 10, later)).toBe('0:24 left, then log-probs and judging')
  expect(at(8, 'generating', 'dpo', 20, later)).toBe('0:10 left, then log-probs and judging')
  at(0, 'log-probs', 'dpo', 0, { generating: 10, judging: 30 })
  expect(at(20, 'log-probs', 'dpo', 10, { generating: 10, judging: 30 })).toBe('0:50 left, then judging')
  // A model whose answers were found took no time, and the next one takes what the others took
  expect(at(0, 'generating', 'grpo', 20, { 'log-probs': 20, judging: 30 })).toBe('0:50 left, then judging')
  expect(at(0, 'generating', 'grpo', 30, { 'log-probs': 20, judging: 30 })).toBeUndefined()
  at(0, 'judging by a', 'base', 0, { 'judging by b': 30 })
  expect(at(10, 'judging by a', 'base', 10, { 'judging by b': 30 })).toBe('0:20 left, then judging by b')
})
