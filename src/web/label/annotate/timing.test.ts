/** The active time of a task. */
import { expect, it } from 'vitest'
import { alive, duration, elapsed, idleAfter, paused, started } from './timing.ts'

it('counts what lies between signs of life, but no more than a minute of each pause', () => {
  let clock = started(1_000)
  clock = alive(clock, 5_000)
  clock = alive(clock, 5_000 + 10 * idleAfter)
  expect(elapsed(clock, 5_000 + 10 * idleAfter)).toBe(4_000 + idleAfter)
})

it('does not count while the page is hidden', () => {
  let clock = paused(started(0), 3_000)
  expect(elapsed(clock, 50_000)).toBe(3_000)
  clock = alive(clock, 50_000)
  expect(elapsed(clock, 52_000)).toBe(5_000)
})

it('does not run backwards with the clock of the machine', () => {
  expect(elapsed(started(1_000), 400)).toBe(0)
})

it('is written in seconds and minutes', () => {
  expect([7.6, 60, 125].map(duration)).toEqual(['8 s', '1 min', '2 min 5 s'])
})
