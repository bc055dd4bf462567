import { expect, it } from 'vitest'
import { readGrade } from './grade.ts'

it.each<[string, number | undefined]>([
  ['7', 7],
  [' **7** ', 7],
  ['7.', 7],
  ['7.5', 7.5],
  ['10', 10],
  ['7/10', 7],
  ['8 out of 10', 8],
  ['[[6]]', 6],
  ['Rating: [[10]]', 10],
  ['Grade: 6', 6],
  ['**Score:** 9/10', 9],
  ['Score (1-10): 4', 4],
  ['On a scale of 1 to 10, I would give it a 7.', 7],
  ['On a scale from 1-10 the score is 3.', 3],
  ['I count 2 errors. Grade: 6', 6],
  ['Grade: 6 at first sight. Final grade: 5', 5],
  ['I would rate this answer as an 8.', 8],
  ['The answer deserves a 9', 9],
  ['It is clear, and names 3 sources.\n7', 7],
  ['<think>\n1. It is short. 2. It is right.\n</think>\n\n8', 8],
  ['8 - clear and correct', 8],
  ['<think>\n1. It is short', undefined],
  ['-3', undefined],
  ['-5', undefined],
  ['Score: -5', undefined],
  ['−5', undefined],
  ['0', undefined],
  ['11', undefined],
  ['Score: 11', undefined],
  ['100', undefined],
  ['7,5', undefined],
  ['80%', undefined],
  ['Rating: 4/5', undefined],
  ['Rating: 4 out of 5', undefined],
  ['Score: 80/100', undefined],
  ['1. It is short. 2. It is wrong.', undefined],
  ['I count 2 errors.', undefined],
  ['On a scale of 1 to 10', undefined],
  ['I would rather not say; 11, perhaps.', undefined],
  ['', undefined],
  ['ten', undefined],
])('%j has the grade %s', (text, grade) => {
  expect(readGrade(text)).toBe(grade)
})

it('ends soon on texts made to take long', () => {
  // Time of the processor, since the machine may be busy
  const before = process.cpuUsage()
  for (const text of [
    '1 '.repeat(1e5),
    'grade '.repeat(1e5),
    '['.repeat(1e6),
    '\n'.repeat(1e6),
    '<think>'.repeat(1e5),
    'grade:'.padEnd(1e6),
  ])
    expect(readGrade(text)).toBeUndefined()
  const { user, system } = process.cpuUsage(before)
  expect(user + system).toBeLessThan(5e6)
})
