/** Marks on parts of a response. */
import { describe, expect, it } from 'vitest'
import type { Span } from '../../../studio/labels/api.ts'
import { align, sentencesOf, trimmed, withSpan } from './spans.ts'

const span = (start: number, end: number, mark: Span['mark'] = 'good', response = 0): Span => ({
  response,
  start,
  end,
  mark,
})

describe('a mark', () => {
  it('takes its place from earlier marks on the same response only', () => {
    const spans = [span(0, 10), span(20, 30), span(0, 40, 'good', 1)]
    expect(withSpan(spans, span(5, 22, 'bad'))).toEqual([
      span(0, 5),
      span(5, 22, 'bad'),
      span(22, 30),
      span(0, 40, 'good', 1),
    ])
    expect(withSpan([span(0, 10)], span(3, 5, 'bad'))).toEqual([span(0, 3), span(3, 5, 'bad'), span(5, 10)])
    expect(withSpan([span(3, 5)], span(0, 10, 'bad'))).toEqual([span(0, 10, 'bad')])
  })

  it('leaves out spaces at its ends', () => {
    expect(trimmed('a  so  b', 1, 7)).toEqual({ start: 3, end: 5 })
    expect(trimmed('a   b', 1, 4)).toBe(undefined)
  })
})

describe('a place on the screen', () => {
  const source = '# Sums\n\nIt is **not** `7`, see [the rule](https://example.org/not).'
  const shown = 'Sums\nIt is not 7, see the rule.'
  const { toSource, toShown } = align(source, shown)
  const inSource = (part: string) => {
    const at = shown.indexOf(part)
    return source.slice(toSource(at, 'start'), toSource(at + part.length, 'end'))
  }

  it.each(['not', 'Sums', '7', 'the rule', 'It is'])('is found in the Markdown of the response: %s', (part) => {
    expect(inSource(part)).toBe(part)
  })

  it('is found across what is not shown, and back', () => {
    expect(inSource('is not 7')).toBe('is **not** `7')
    expect(shown.slice(toShown(source.indexOf('**not'), 'start'), toShown(source.indexOf('not** ') + 3, 'end'))).toBe(
      'not',
    )
  })

  it('is the same place where the text is shown as it is', () => {
    const same = align('so\nit is', 'so\nit is')
    expect([same.toSource(3, 'start'), same.toSource(5, 'end'), same.toShown(8, 'end')]).toEqual([3, 5, 8])
  })
})

it('sentences are found, without the spaces between them', () => {
  const text = 'One is odd. Two is even!\nThree'
  expect(sentencesOf(text).map(({ start, end }) => text.slice(start, end))).toEqual([
    'One is odd.',
    'Two is even!',
    'Three',
  ])
})
