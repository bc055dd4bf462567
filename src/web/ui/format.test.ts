import { expect, it } from 'vitest'
import { ago, bytes, duration, number, percent } from './format.ts'

it.each([
  [12_345, '12,345'],
  [0.012345, '0.01235'],
  [0.00001234, '1.23e-5'],
  [1234.5, '1,235'],
  [Number.NaN, '–'],
  [null, '–'],
])('number %s is %s', (value, text) => expect(number(value)).toBe(text))

it.each([
  [999, '999 B'],
  [1500, '1.5 kB'],
  [123_456_789, '123 MB'],
  [2e9, '2.0 GB'],
])('%s bytes are %s', (count, text) => expect(bytes(count)).toBe(text))

it.each([
  [4.25, '4.3 s'],
  [59.4, '59 s'],
  [200, '3 min 20 s'],
  [3600, '1 h'],
  [7500, '2 h 5 min'],
  [100_000, '1 d 4 h'],
  [undefined, '–'],
])('%s seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text))

it('tells how long ago something was', () => {
  const now = Date.parse('2026-05-10T12:00:00Z')
  const told = [
    '2026-05-10T11:59:30Z',
    '2026-05-10T11:30:00Z',
    '2026-05-10T02:00:00Z',
    '2026-05-07T12:00:00Z',
    '2026-04-01T12:00:00Z',
  ]
  expect(told.map((iso) => ago(iso, now))).toEqual(['just now', '30 min ago', '10 h ago', '3 d ago', '2026-04-01'])
  expect([percent(0.234), ago(null)]).toEqual(['23 %', '–'])
})
