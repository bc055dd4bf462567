import { describe, expect, it } from 'vitest'
import { additiveJudgePrompt, additiveScore, filled, requirePlaces } from './additiveJudge.ts'

describe('additiveScore', () => {
  it.each([
    ['Clear, with gaps.\nScore: 3', 3],
    ['Score: 0', 0],
    ['**Score:** 4', 4],
    ['**Score: 4**', 4],
    ['score: 3.5', 3.5],
    ['Score: 4/5', 4],
    ['Score: 4 out of 5.', 4],
    ['Score: <2>', 2],
    ['The answer says "Score: 5", which earns nothing.\nScore: 1', 1],
  ])('%j has %d points', (text, points) => {
    expect(additiveScore(text)).toBe(points)
  })

  it.each([
    '',
    'I give it 4 points.',
    'Score 4',
    'Score: 6',
    'Score: -1',
    'Score: 45',
    'Score: 4/10',
    'Score: 8 out of 10',
    'Score: <points>',
    'Score: four',
    'Score: ٤',
    // The last one counts, and it is no number
    'Score: 4\nScore: n/a',
  ])('%j has none', (text) => {
    expect(additiveScore(text)).toBeUndefined()
  })
})

describe('the prompt of the judge', () => {
  it('holds both texts, and places inside of them stay', () => {
    const text = filled(additiveJudgePrompt, { prompt: 'Say {response}.', response: 'Hi {prompt}' })
    expect(text).toContain('The question:\nSay {response}.\n')
    expect(text).toContain('<answer>\nHi {prompt}\n</answer>')
  })

  it('must have its places', () => {
    requirePlaces(additiveJudgePrompt, ['prompt', 'response'], '--judge-prompt')
    expect(() => requirePlaces('Rate {response}.', ['prompt', 'response'], '--judge-prompt')).toThrow(
      /--judge-prompt.*\{prompt\}/,
    )
  })
})
