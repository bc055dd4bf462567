/** Names and texts of strangers in messages of every kind: on one line, escaped, and short. */
import { expect, it } from 'vitest'
import { badInput } from './fault.ts'
import { quoted, visible } from './quote.ts'

const hostile = '\u001b[2J\u009b31m\r\nerror: all is well\u2028\u202egnp.x\u0007\u0000'

it('the message and place of a Fault hold no control character, line break or direction mark, whatever text they are given', () => {
  const places = [{ file: hostile }, { column: hostile }, { file: hostile, row: 3, column: hostile }, { flag: hostile }]
  for (const where of places)
    for (const text of [hostile, quoted(hostile), hostile.repeat(5000)]) {
      const { message } = badInput('x', text, where)
      expect(message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202e]/u)
      expect(message.length).toBeLessThan(3000)
    }
})

it('a text that is made visible twice stays as it is', () => {
  expect(visible(visible(hostile))).toBe(visible(hostile))
})
