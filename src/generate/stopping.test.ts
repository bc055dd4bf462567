import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stopFilter } from './stopping.ts'

/** What is shown of pieces, and whether it was stopped. */
const shownOf = (stops: readonly string[], pieces: readonly string[]) => {
  const filter = stopFilter(stops)
  let shown = ''
  for (const piece of pieces) {
    const { text, stopped } = filter.push(piece)
    shown += text
    if (stopped) return { shown, stopped }
  }
  return { shown: shown + filter.flush(), stopped: false }
}

describe('stop strings', () => {
  it('are found over the borders of pieces and never shown', () => {
    expect(shownOf(['\n\nHuman:'], ['Yes.', '\n', '\nHum', 'an: no'])).toEqual({ shown: 'Yes.', stopped: true })
    expect(shownOf(['aab'], ['a', 'a', 'a', 'b', 'c'])).toEqual({ shown: 'a', stopped: true })
    expect(shownOf(['aab'], ['a', 'a', 'c', 'a'])).toEqual({ shown: 'aaca', stopped: false })
  })

  it('hold back only what may still become one', () => {
    const filter = stopFilter(['stop'])
    expect(filter.push('go st')).toEqual({ text: 'go ', stopped: false })
    expect(filter.push('art')).toEqual({ text: 'start', stopped: false })
  })

  it('may be special tokens, or hold some, or stand around one', () => {
    const run = (stops: string[], tokens: [text: string, hidden?: boolean][]) => {
      const filter = stopFilter(stops)
      let shown = ''
      for (const token of tokens) {
        const { text, stopped } = filter.push(...token)
        shown += text
        if (stopped) return [shown, true]
      }
      return [shown + filter.flush(), false]
    }
    const [end, next] = [['<end>', true] as [string, boolean], ['<next>', true] as [string, boolean]]
    expect(run(['<end>'], [['a'], ['b'], end, ['c']])).toEqual(['ab', true])
    expect(run(['b<end>'], [['ab'], end, ['c']])).toEqual(['a', true])
    expect(run(['<end>\n'], [['ab'], end, ['c'], end, ['\nd']])).toEqual(['abc', true])
    expect(run(['bc'], [['ab'], end, ['cd']])).toEqual(['a', true])
    expect(run(['<end><next>'], [['a'], end, end, next])).toEqual(['a', true])
    expect(run(['<end>'], [['a<e'], ['nd>b']])).toEqual(['a', true])
    expect(run(['xx'], [['a'], end, ['b']])).toEqual(['ab', false])
    expect(run(['<next>x'], [['a'], next, ['b'], end])).toEqual(['ab', false])
  })

  it('give what cutting the whole text gives, however it comes', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.array(letters, { minLength: 1, maxLength: 3 }), fc.array(letters), (stops, pieces) => {
        const text = pieces.join('')
        const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
        const { shown, stopped } = shownOf(stops, pieces)
        expect(stopped).toBe(ends.length > 0)
        // Of overlapping stop strings the one that is complete first wins
        if (!stopped) expect(shown).toBe(text)
        else expect(text.startsWith(shown) && stops.some((stop) => text.startsWith(stop, shown.length))).toBe(true)
      }),
    )
  })
})
