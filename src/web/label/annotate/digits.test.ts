import { expect, it } from 'vitest'
import { digitsOf } from './digits.ts'

it('says what the digits do in the mode that is open', () => {
  const settings = { scales: [{ name: 'help', min: 0, max: 4 }], strengths: 1 } as const
  const of = (mode: 'pair' | 'rank' | 'rate' | 'good' | 'best' | 'edit', strengths = 1) =>
    digitsOf({ ...settings, mode, scales: [...settings.scales], strengths }, 3, 0)
  expect(of('pair')).toEqual(['1 – 3', '1: A is better, 3: B is better; 2 is a tie'])
  expect(of('pair', 2)).toEqual(['1 – 5', 'from 1: A is clearly better, to 5: B is clearly better; 3 is a tie'])
  expect(of('rank')?.[1]).toContain('the same rank twice is a tie')
  expect(of('rate')?.[0]).toBe('0 – 4')
  expect(of('good')?.[1]).toBe('1 is good, 2 is bad')
  expect(of('best')?.[1]).not.toContain('tie')
  expect(of('edit')).toBeUndefined()
})
