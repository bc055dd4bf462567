import { expect, test } from 'vitest'
import { quoted, visible } from './quote.ts'

test('control characters, separators, direction marks and lone surrogates are shown as escapes on one line', () => {
  expect(visible('a\u001b[31m\r\nb\u0085c\u2028d\u202ee\ud800f\tg')).toBe(
    'a\\u001b[31m\\r\\nb\\u0085c\\u2028d\\u202ee\\ud800f\\tg',
  )
})

test('a long text is cut and the rest counted', () => {
  expect(quoted('x'.repeat(1000), 10)).toBe('"xxxxxxxxxx"… (990 characters more)')
  expect(quoted(`${'y'.repeat(9)}😀z`, 10)).not.toContain('😀')
})

test('quotes and backslashes are escaped, other values are JSON', () => {
  expect(quoted('say "a\\b"')).toBe('"say \\"a\\\\b\\""')
  expect(quoted({ a: [1, null] })).toBe('{"a":[1,null]}')
  expect(quoted(undefined)).toBe('undefined')
})
