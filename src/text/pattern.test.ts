import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { knownPatterns, linearPattern, regexPattern } from './pattern.ts'

describe('patterns', () => {
  const texts = [
    "I'll  can't\n\n \tüber 1234 <|x|> 𝒳é e\u0301 \u00a0 \u3000it'ſ K's",
    ' '.repeat(40),
    'a b\r\n\r\n  c',
    '',
  ]

  it.each([...knownPatterns.keys()])('runs %s natively as on the linear matcher', (source) => {
    const [native, linear] = [regexPattern(source), linearPattern(source)]
    for (const text of texts) expect(native(text)).toEqual(linear(text))
    const pieces = fc.array(
      fc.constantFrom("'", 's', 'LL', ' ', '\n', '\r', '7', '½', 'é', '\u0301', '𝒳', '!', '\u00a0', '\u0085', '\ufeff'),
    )
    fc.assert(
      fc.property(pieces, (parts) => {
        expect(native(parts.join(''))).toEqual(linear(parts.join('')))
      }),
    )
  })

  it.each([
    ['(a+)+$', `${'a'.repeat(20_000)}!`],
    ['(a|a)*b', 'a'.repeat(20_000)],
    ['(a|aa)+$', `${'a'.repeat(20_000)}b`],
    ['(([a-z])+.)+[A-Z]([a-z])+$', 'a'.repeat(20_000)],
    ['(.*)(.*)(.*)(.*)x', 'a'.repeat(20_000)],
    ['\\s+$', `${' '.repeat(20_000)}x`],
  ])('matches %s on a text that hangs backtracking engines', (source, text) => {
    const start = performance.now()
    expect(regexPattern(source)(text)).toEqual([])
    expect(performance.now() - start).toBeLessThan(3000)
  })

  it('stops a pattern that stays slow', () => {
    expect(() => regexPattern('(?>a*)b|.')('a'.repeat(20_000))).toThrow(/takes too long/)
  })

  it.each([
    ['(a*)*', /can be empty/],
    ['\\1(a)', /not understood/],
    ['((a{1,30}){1,30}){1,30}', /smaller repeat/],
    ['('.repeat(500), /deeper/],
    ['[a', /open class/],
    ['a)', /not opened/],
    ['(?<=a+)b', /varying width/],
    ['\\p{Klingonish}', /unknown property/],
    ['a{3,1}', /3 to 1/],
  ])('refuses %s', (source, message) => {
    expect(() => regexPattern(source)).toThrow(message)
  })
})
