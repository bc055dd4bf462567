import { describe, expect, it } from 'vitest'
import type { Encoder } from '../data/examples.ts'
import type { Row } from '../data/rows.ts'
import { scoreInput } from './scoreInputs.ts'

/** Letters as ids: a is 1; BOS is 0, EOS 30. */
const encoder = (end: boolean): Encoder => ({
  eosId: 30,
  addsEos: end,
  size: 31,
  encode: (text, { specialTokens = true } = {}) => {
    const ids = [...text].map((letter) => letter.charCodeAt(0) - 96)
    return { ids: specialTokens ? [0, ...ids, ...(end ? [30] : [])] : ids }
  },
})
const options = { completionOnly: true, assistantOnly: false }
const limits = { positions: 8, vocabulary: 31 }
const score = (row: Row, end = false) => scoreInput(encoder(end), row, limits, options)

describe('the input of score', () => {
  it('has labels for the completion, and for all of a text but its first token; no end token is added', () => {
    for (const end of [false, true]) {
      const completion = { kind: 'completion', prompt: 'ab', completion: 'cd' } as const
      expect(score(completion, end)).toEqual({ ids: [0, 1, 2, 3, 4], labels: [-100, -100, -100, 3, 4] })
      expect(score({ kind: 'text', text: 'ab' }, end)).toEqual({ ids: [0, 1, 2], labels: [-100, 1, 2] })
    }
  })

  it('takes labels that differ from the ids', () => {
    const row = { kind: 'labelled', input_ids: [5, 6, 7], labels: [5, -100, 9] } as const
    expect(score(row as unknown as Row)).toEqual({ ids: [5, 6, 7], labels: [-100, -100, 9] })
  })

  it.each<[string, Row]>([
    ['has 9 tokens; the model takes 8', { kind: 'text', text: 'abcdefgh' }],
    ['holds the id 31; the model knows 31', { kind: 'text', text: [31, 1] }],
    ['holds the id 99', { kind: 'labelled', input_ids: [1, 2], labels: [-100, 99] }],
    ['holds nothing to predict', { kind: 'text', text: '' }],
    ['rows of the kind "prompt" cannot be scored', { kind: 'prompt', prompt: 'a' }],
  ])('is refused: %s', (message, row) => {
    expect(() => score(row)).toThrow(message)
  })
})
