import { expect, it } from 'vitest'
import type { Judgement } from './judge.ts'
import { preferenceOf } from './preferences.ts'

const pair = { id: 7, question: 'Why?', prompt: 'Why?', answers: ['Because.', 'No.'] }
const judged = (verdicts: Judgement['verdicts'], verdict: Judgement['verdict'], scores: number[] = []): Judgement => ({
  ...{ id: 7, verdict, verdicts, scores, judge: 'j', reason: '' },
})

it('the answer preferred in both orders is chosen', () => {
  const row = { id: 7, prompt: 'Why?', chosen: 'No.', rejected: 'Because.' }
  expect(preferenceOf(pair, judged(['B', 'B'], 'B'), 'pairwise')).toEqual(row)
})

it('probabilities of options are those of the chosen answer', () => {
  expect(preferenceOf(pair, judged(['B', 'B'], 'B', [0.2, 0.4]), 'options')).toMatchObject({ prob: 0.7 })
  expect(preferenceOf(pair, judged(['A', 'A'], 'A', [0.9, 0.7]), 'options')).toMatchObject({ prob: 0.8 })
})

it('what says nothing is named', () => {
  expect(preferenceOf(pair, judged(['A', 'B'], 'tie'), 'pairwise')).toBe('orders-disagree')
  expect(preferenceOf(pair, judged(['tie', 'tie'], 'tie'), 'pairwise')).toBe('tie')
  expect(preferenceOf(pair, judged(['A', 'error'], 'error'), 'pairwise')).toBe('error')
  expect(preferenceOf({ ...pair, prompt: undefined }, judged(['A'], 'A'), 'pairwise')).toBe('no-prompt')
})

it('answers that are turns stay turns, with the tools that the row has', () => {
  const call = { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: {} } }] }
  const template = { tools: [{ type: 'function', function: { name: 'f' } }] }
  const chat = { ...pair, prompt: [{ role: 'user', content: 'Why?' }], responses: ['Because.', [call]], template }
  expect(preferenceOf(chat, judged(['B', 'B'], 'B'), 'pairwise')).toEqual({
    id: 7,
    prompt: chat.prompt,
    chosen: [call],
    rejected: [{ role: 'assistant', content: 'Because.' }],
    tools: template.tools,
  })
})
