/** The text of prompts and responses. */
import { expect, it } from 'vitest'
import { plainText, turnsOf } from './text.ts'

it('of a conversation has turns, and one text of all contents', () => {
  const talk = [
    { role: 'user', content: 'Why?' },
    { role: 'assistant', content: [{ type: 'text' as const, text: 'So.' }] },
  ]
  expect(turnsOf(talk)).toEqual([
    { role: 'user', text: 'Why?' },
    { role: 'assistant', text: 'So.' },
  ])
  expect(plainText(talk)).toBe('Why?\n\nSo.')
})

it('of a tool call is its JSON', () => {
  expect(turnsOf([{ role: 'assistant', content: null, tool_calls: [1] }])?.[0].text).toContain('"tool_calls"')
})

it('of token ids is a list of them', () => {
  expect([turnsOf([1, 2]), plainText([1, 2]), turnsOf('a'), plainText('a')]).toEqual([undefined, '1 2', undefined, 'a'])
})
