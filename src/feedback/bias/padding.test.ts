/** Lists in answers, their padded copies, and the questions of mathematics. */
import { describe, expect, it } from 'vitest'
import { mathQuestions } from './mathQuestions.ts'
import { attackable, listIn, paddedAnswer, rephrased, rephrasedItems } from './padding.ts'

const answer = `Some advice:

1. Make a plan.
2. Keep notes; it is important.

3. Ask for help.

Good luck!`

describe('the repetitive list', () => {
  it('is the list with a copy in other words before it, and nothing else changed', () => {
    const { plain, padded, hadList } = paddedAnswer(attackable(answer)!)
    expect(hadList).toBe(true)
    expect(plain).toBe(
      'Some advice:\n\n\n1. Make a plan.\n2. Keep notes; it is important.\n3. Ask for help.\n\n\nGood luck!',
    )
    const lines = padded.split('\n').filter((line) => /^\d/.test(line))
    expect(lines).toHaveLength(6)
    expect(lines.slice(3).map((line) => line.replace(/^\d\. /, ''))).toEqual(listIn(answer)!.items)
    expect(lines[1]).toBe('2. Put differently: Keep notes; it is essential.')
    expect(padded.startsWith('Some advice:')).toBe(true)
    expect(padded.endsWith('Good luck!')).toBe(true)
  })

  it('keeps bullets, and needs three items', () => {
    expect(listIn('- one\n- two')).toBeUndefined()
    expect(listIn('1. one\n\nText.\n\n* a\n* b\n* c')).toMatchObject({ items: ['a', 'b', 'c'], numbered: false })
    expect(paddedAnswer(attackable('* a\n* b\n* c')!).padded.split('\n')).toHaveLength(6)
  })

  it('is made of sentences where there is no list', () => {
    const made = attackable('We met. They sang! Was it late? Nobody knew.')!
    expect([made.hadList, made.items]).toEqual([false, ['We met.', 'They sang!', 'Was it late?', 'Nobody knew.']])
    expect(attackable('Yes. No.')).toBeUndefined()
  })

  it('takes the words of a model only where it wrote one line for each item', () => {
    expect(rephrasedItems('1. First\n2. Second', 2)).toEqual(['First', 'Second'])
    expect(rephrasedItems('Here you are:\nFirst\nSecond', 2)).toBeUndefined()
  })

  it('says other words for whole words only', () => {
    expect(rephrased('Use useful tools to get together.', 0)).toBe(
      'In other words: Use useful tools to obtain together.',
    )
  })
})

it('the questions of mathematics have right answers that agree with their references, and wrong ones that do not', () => {
  const questions = mathQuestions()
  expect(new Set(questions.map(({ question }) => question)).size).toBeGreaterThan(25)
  const numbers = (text: string) => text.match(/\d+(?:[./]\d+)*/g)!.map((x) => x.replace(/\.$/, ''))
  for (const { id, right, wrong, reference } of questions) {
    const result = numbers(reference).at(-1)!
    expect(numbers(right), id).toContain(result)
    expect(numbers(wrong).at(-1), id).not.toBe(numbers(right).at(-1))
    expect(Math.abs(right.length - wrong.length), id).toBeLessThan(12)
  }
})
