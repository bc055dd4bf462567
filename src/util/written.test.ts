import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withWritten } from './jsonNotes.ts'
import { carryNotes, hasNotes, keysInOrder, numberText, stringify } from './written.ts'

type Row = { [key: string]: unknown }
const read = (text: string) => withWritten(JSON.parse(text), text) as Row

describe('numbers and keys as they were written', () => {
  it.each([
    '{"a":1.0,"b":[12345678901234567890,-0.0,1e20,2],"c":{"10":1E-7,"2":0.50,"x":null}}',
    '[[1.0],{"b":{"a":[{"10":-0,"2":1}]}}]',
    '{"\\"":1.0,"é\\\\":"1.0","__proto__":2.0,"s":"\\"1.0, {"}',
  ])('are written back: %s', (text) => {
    expect(stringify(read(text))).toBe(text)
  })

  it('are noted only where something is lost, and values stay plain', () => {
    const row = read('{"a": 1.0, "b": {"c": 1, "d": 0.5, "e": "1.0"}}')
    expect(row.a).toBe(1)
    expect(hasNotes(row)).toBe(true)
    expect(hasNotes(row.b as object)).toBe(false)
    expect(numberText(row, 'a')).toBe('1.0')
  })

  it('go with a copy, and not with a value that was changed', () => {
    const row = read('{"10": 1.0, "2": 3.0}')
    const copy: Row = { ...row, 2: 4 }
    expect([numberText(copy, '10'), numberText(copy, '2'), keysInOrder(copy)]).toEqual(['1.0', undefined, ['10', '2']])
    expect(stringify(carryNotes(row, Object.fromEntries(Object.entries(row))))).toBe('{"10":1.0,"2":3.0}')
  })

  it('are those of the last, where a key stands twice', () => {
    expect(stringify(read('{"a":{"x":1.0},"b":2.0,"a":{"x":1}}'))).toBe('{"a":{"x":1},"b":2.0}')
  })

  it('change no text of JSON.stringify', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(JSON.stringify(withWritten(JSON.parse(text), text))).toBe(JSON.stringify(value))
      }),
    )
  })

  it('need no stack of their own for a deep text', () => {
    const text = `${'['.repeat(50_000)}1.0${']'.repeat(50_000)}`
    expect(() => withWritten(JSON.parse(text), text)).not.toThrow()
  })
})
