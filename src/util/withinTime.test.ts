import { expect, it } from 'vitest'
import { withinTime } from './withinTime.node.ts'

it('returns what the work returns, and throws what it throws', () => {
  expect(withinTime(1000, () => 42)).toBe(42)
  expect(() => withinTime(1000, () => JSON.parse('{'))).toThrow(SyntaxError)
})

it.each([/^(.*?){20}~$/s, /(\w+\s?)+~/])('gives up a pattern that backtracks for ever: %s', (regex) => {
  const began = performance.now()
  expect(withinTime(100, () => regex.test('word '.repeat(20_000)))).toBeUndefined()
  expect(performance.now() - began).toBeLessThan(5000)
})
