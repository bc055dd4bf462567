import { describe, expect, it } from 'vitest'
import { lastSum, numberAtStart, workOut } from './arithmetic.ts'

describe('lastSum', () => {
  it.each<[string, string]>([
    ['12+7=', '19/1'],
    ['3.5+2=', '11/2'],
    ['(2+3)*4=', '20/1'],
    ['1,000+2=', '1002/1'],
    ['10-4/2=', '8/1'],
    ['2^3+1=', '9/1'],
    ['2**3=', '8/1'],
    ['2^3^2=', '512/1'],
    ['-2^2+1=', '-3/1'],
    ['7/2=', '7/2'],
    ['3+-5=', '-2/1'],
    ['3 x 4 =', '12/1'],
    ['6 ÷ 4 × 2 − 1 =', '2/1'],
    ['What is 2 + 3 * 4 - 1?', '13/1'],
    ['What is the result of (2 + 3)?', '5/1'],
    ['(work it out: 2+3)', '5/1'],
    ['1. 12+7=', '19/1'],
    ['1+1=2\n12+7=', '19/1'],
    ['12+7= (use 3-5 words)', '19/1'],
    ['((1+2)*(3+4))/7', '3/1'],
    ['2^-1=', '1/2'],
  ])('%j is %s', (text, value) => {
    expect(lastSum(text)?.join('/')).toBe(value)
  })

  it.each([
    'no sum',
    '3,5+2=',
    '1 000+2=',
    '007+1=',
    '2+3%=',
    '5%2=',
    '2+3!=',
    '5//2=',
    '2(3+4)=',
    'x+2+3=',
    '2x+3=',
    '2+3i=',
    '2+3x',
    '$5+3=',
    '√4+2=',
    'sqrt(2+2)=',
    'half of 4+2',
    '0x10+1=',
    '5+2 mod 3',
    '5+2 squared',
    '1/0=',
    '2^100000=',
    '2+=',
    '(2+3=',
    '.5+1=',
    '5+3²=',
    '2024-05-01',
  ])('%j is no sum that can be read for certain', (text) => {
    expect(lastSum(text)).toBeUndefined()
  })

  it('ends soon on texts made to take long', () => {
    for (const text of [
      '('.repeat(200_000),
      '1+'.repeat(200_000),
      '1^'.repeat(5000),
      `${'9'.repeat(400)}^999`,
      '-'.repeat(99_999),
    ])
      expect(lastSum(`${text}1=`)).toBeUndefined()
    expect(workOut('1,'.repeat(100_000))).toBeUndefined()
  })
})

it.each<[string, string | undefined]>([
  ['19', '19/1'],
  [' = -2.', '-2/1'],
  ['1,002', '1002/1'],
  ['2.50 metres', '5/2'],
  ['5/2', '5/2'],
  ['19 apples', '19/1'],
  ['1,00', undefined],
  ['1.2.3', undefined],
  ['nineteen', undefined],
  ['', undefined],
])('the number at the start of %j is %s', (text, value) => {
  expect(numberAtStart(text)?.join('/')).toBe(value)
})
