import { describe, expect, it } from 'vitest'
import {
  type Answer,
  type Conversation,
  canChoose,
  extended,
  isComparable,
  messagesAt,
  newAnswer,
  requestFor,
  rowsOf,
  shortName,
  shownOrder,
  type Turn,
  toKeep,
  withAlternative,
} from './conversation.ts'

const said = (model: string, text: string): Answer => ({ ...newAnswer(model, 0), text, state: 'done', finish: 'stop' })
const turn = (text: string, answers: string[], more: Partial<Turn> = {}): Turn => ({
  id: text,
  text,
  seed: 0,
  answers: answers.map((answer, lane) => said('ab'[lane], answer)),
  shown: answers.map((_, lane) => lane),
  ...more,
})
const talk = (turns: Turn[], more: Partial<Conversation> = {}): Conversation => ({
  ...{ id: '1', createdAt: '', mode: 'chat', system: 'Be brief.', blind: false },
  turns,
  ...more,
})

describe('what the next turn is asked', () => {
  const first = turn('Hi', ['Hello', 'Hey'])
  const next = turn('And?', ['x', 'y'])
  const contents = (conversation: Conversation, lane: number) =>
    messagesAt(conversation, 1, lane).map(({ content }) => content)

  it('follows the own answer of each lane until one was chosen, and then that one', () => {
    const open = talk([first, next])
    expect([contents(open, 0), contents(open, 1)]).toEqual([
      ['Be brief.', 'Hi', 'Hello', 'And?'],
      ['Be brief.', 'Hi', 'Hey', 'And?'],
    ])
    expect([isComparable(open, 0), isComparable(open, 1), canChoose(open, 1)]).toEqual([true, false, false])
    const chosen = talk([{ ...first, better: 1 }, next])
    expect(contents(chosen, 0)).toEqual(['Be brief.', 'Hi', 'Hey', 'And?'])
    expect([isComparable(chosen, 1), canChoose(chosen, 1)]).toEqual([true, true])
  })

  it('follows the one shown first of equal or bad ones', () => {
    for (const better of ['tie', 'bad'] as const)
      expect(contents(talk([{ ...first, better, shown: [1, 0] }, next]), 0)).toContain('Hey')
  })

  it('of a text is the text alone', () => {
    expect(requestFor(talk([first, next], { mode: 'text' }), 1, 0, 'so')).toEqual({
      ...{ lane: 0, model: 'a', prompt: 'And?', prefix: 'so' },
    })
  })
})

it('an alternative takes the place of a token and of all after it; a part of a character cannot', () => {
  const answer: Answer = {
    ...said('a', 'I am here'),
    tokens: [
      { at: 0, text: 'I', logp: -1, tops: [] },
      { at: 1, text: ' am', logp: -1, tops: [{ text: ' was', logp: -2 }] },
      { at: 4, text: ' here', logp: -1, tops: [] },
    ],
  }
  const changed = withAlternative(answer, 1, ' was')!
  expect([changed.text, changed.tokens.map(({ text, logp }) => [text, logp])]).toEqual([
    'I was',
    [
      ['I', -1],
      [' was', -2],
    ],
  ])
  const on = extended(changed, { text: ' there', tokens: [{ at: 0, text: ' there', logp: -3, tops: [] }] }, 5, 10)
  expect([on.text, on.tokens.at(-1)?.at]).toEqual(['I was there', 5])
  expect(withAlternative(answer, 1, 'bytes:\\xe2\\x82')).toBeUndefined()
})

it('a blind order holds each lane once, and is mixed', () => {
  const orders = Array.from({ length: 200 }, () => shownOrder(4, true).join(''))
  expect(new Set(orders.map((order) => [...order].sort().join('')))).toEqual(new Set(['0123']))
  expect(new Set(orders).size).toBeGreaterThan(10)
  expect(shownOrder(3, false)).toEqual([0, 1, 2])
})

it('rows of a conversation are those that training reads; what is kept has ended', () => {
  const conversation = talk([{ ...turn('Hi', ['Hello', 'Hey']), better: 0 }, turn('And?', ['x', ''])])
  expect(rowsOf(conversation)).toEqual([
    {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
        { role: 'user', content: 'And?' },
        { role: 'assistant', content: 'x' },
      ],
      model: 'a',
    },
  ])
  expect(rowsOf({ ...conversation, mode: 'text' })).toHaveLength(3)
  const writing = { ...said('a', 'so'), state: 'writing' as const, tokens: [{ at: 0, text: 'so', logp: 0, tops: [] }] }
  const [{ answers }] = toKeep(talk([{ ...turn('Hi', []), answers: [writing] }])).turns
  expect(answers).toMatchObject([{ text: 'so', state: 'done', finish: 'stopped', tokens: [] }])
})

it.each([
  ['runs/pirate/checkpoints/step-12', 'pirate, step 12'],
  ['/models/SmolLM2/', 'SmolLM2'],
  ['HuggingFaceTB/SmolLM2-135M', 'SmolLM2-135M'],
  ['http://127.0.0.1:8000/v1#tiny', 'tiny'],
  ['http://127.0.0.1:8000/v1', '127.0.0.1:8000'],
  ['', ''],
])('%s is called %s where there is little room', (model, name) => {
  expect(shortName(model)).toBe(name)
})
