import { expect, it } from 'vitest'
import { firstLine } from './chatInput.ts'

it('what was typed ahead is taken line by line', () => {
  expect(firstLine('one\rtwo\rthr')).toEqual(['one\r', 'two\rthr'])
  expect(firstLine('thr')).toEqual(['thr', ''])
  expect(firstLine('')).toEqual(['', ''])
})
