import { describe, expect, it } from 'vitest'
import { rng } from '../../util/rng.ts'
import { stem } from './porterStemmer.ts'
import { longestCommonSubsequence, rouge, rougeL, rougeN, rougeTokens } from './rouge.ts'

describe('ROUGE', () => {
  it('counts an n-gram as often as the rarer side has it', () => {
    const score = rougeN(['the', 'the', 'the', 'cat'], ['the', 'cat', 'the'], 1)
    expect(score).toEqual({ precision: 3 / 4, recall: 1, f: expect.closeTo(6 / 7, 12) })
    expect(rougeN(['a', 'b', 'c'], ['a', 'b', 'd'], 2)).toEqual({ precision: 0.5, recall: 0.5, f: 0.5 })
  })

  it('of nothing is 0', () => {
    const zero = { precision: 0, recall: 0, f: 0 }
    expect(rouge('', ['...'])).toEqual({ rouge1: zero, rouge2: zero, rougeL: zero })
    expect(rougeN(['one'], ['one'], 2)).toEqual(zero)
  })

  it('takes of several references the one with the highest F, for each measure', () => {
    const { rouge1, rougeL } = rouge('a b c d', ['d c b a', 'a b x y'])
    expect(rouge1.f).toBe(1)
    expect(rougeL).toEqual({ precision: 0.5, recall: 0.5, f: 0.5 })
  })

  it('leaves out what is no letter or digit of English', () => {
    expect(rougeTokens('It’s 3.14, naïve')).toEqual(['it', 's', '3', '14', 'na', 've'])
    expect(rougeTokens('The running dogs', true)).toEqual(['the', 'run', 'dog'])
  })

  it('finds the longest common subsequence across 32 tokens, as the plain table does', () => {
    for (let k = 0; k < 200; k++) {
      const random = rng(k, 7)
      const list = (at: number) =>
        Array.from({ length: Math.floor(100 * random.uniform(at)) }, (_, i) =>
          String(Math.floor(5 * random.uniform(at + 1 + i))),
        )
      const [a, b] = [list(0), list(200)]
      expect(longestCommonSubsequence(a, b)).toBe(plainTable(a, b))
    }
  })

  it('is symmetric in F', () => {
    const [a, b] = [rougeTokens('one two three four'), rougeTokens('two one three five four six')]
    expect(rougeL(a, b)).toEqual({ precision: 3 / 4, recall: 3 / 6, f: expect.closeTo(0.6, 12) })
    expect(rougeL(b, a).f).toBe(rougeL(a, b).f)
  })
})

const plainTable = (a: readonly string[], b: readonly string[]): number => {
  let above = new Array<number>(b.length + 1).fill(0)
  for (const token of a) {
    const row = [0]
    for (let j = 0; j < b.length; j++) row.push(token === b[j] ? above[j] + 1 : Math.max(above[j + 1], row[j]))
    above = row
  }
  return above[b.length]
}

describe('the stemmer', () => {
  it.each([
    ['ties', 'tie'],
    ['died', 'die'],
    ['enjoyment', 'enjoy'],
    ['skies', 'sky'],
    ['relational', 'relat'],
    ['radically', 'radic'],
    ['controlling', 'control'],
    ['geology', 'geolog'],
    ['adoption', 'adopt'],
    ['is', 'is'],
  ])('makes %s to %s, as NLTK', (word, expected) => {
    expect(stem(word)).toBe(expected)
  })
})
