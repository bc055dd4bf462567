import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { samplingOptions } from './sampling.ts'

const tokenizer = (await loadTokenizerFolder(fixture('models/stories260K')))!

describe('sampling flags', () => {
  it('become token ids: of a bad word at the beginning of a text and after a space', () => {
    const { badWords, temperature } = samplingOptions({ temperature: 0.5, badWords: ['Lily', 'x'] }, tokenizer, 512)
    const texts = badWords!.map((ids) => tokenizer.decode(ids).trim())
    expect([...new Set(texts)]).toEqual(['Lily', 'x'])
    expect(new Set(badWords!.map(String)).size).toBe(badWords!.length)
    expect(temperature).toBe(0.5)
  })

  it('refuse a token id that is not in the vocabulary', () => {
    const bias = (logitBias: Record<string, number>) => samplingOptions({ temperature: 1, logitBias }, tokenizer, 512)
    expect(bias({ 7: -2, 11: 0.5 }).logitBias).toEqual(
      new Map([
        [7, -2],
        [11, 0.5],
      ]),
    )
    expect(() => bias({ 512: 1 })).toThrow('--logit-bias: "512" is not a token id below 512')
    expect(() => bias({ '-1': 1 })).toThrow('"-1" is not a token id')
  })
})
