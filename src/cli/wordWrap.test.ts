import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeWordWrap } from './wordWrap.ts'

const wrapped = (pieces: readonly string[], columns: number) => {
  const wrap = makeWordWrap(() => columns)
  return pieces.map(wrap.add).join('') + wrap.end()
}

it('breaks lines between words, wherever the pieces end', () => {
  expect(wrapped(['The qui', 'ck brown f', 'ox.'], 10)).toBe('The quick\nbrown fox.')
  expect(wrapped(['a b\n', '\n', '  c'], 4)).toBe('a b\n\n  c')
})

it('prints a word as soon as a space follows it', () => {
  const wrap = makeWordWrap(() => 80)
  expect(wrap.add('one two')).toBe('one')
  expect(wrap.add(' ')).toBe(' two')
  expect(wrap.end()).toBe(' ')
})

it('keeps all characters but spaces at breaks, and lines that fit unless a word is longer', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n') })),
      fc.integer({ min: 1, max: 12 }),
      (pieces, columns) => {
        const text = pieces.join('')
        const result = wrapped(pieces, columns)
        expect(result.replace(/\s/g, '')).toBe(text.replace(/\s/g, ''))
        for (const line of result.split('\n'))
          if (line.trimEnd().includes(' ') && !/^ /.test(line))
            expect(line.trimEnd().length).toBeLessThanOrEqual(columns)
      },
    ),
  )
})
