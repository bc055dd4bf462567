import { describe, expect, it } from 'vitest'
import { splitByTokens } from './collate.ts'

const itself = (tokens: number) => tokens

describe('splitting a batch by tokens', () => {
  it('makes equal parts, as few as the limit allows', () => {
    expect(splitByTokens([10, 20, 30, 40, 50, 60], itself, 110)).toEqual([
      [10, 20],
      [30, 40],
      [50, 60],
    ])
    expect(splitByTokens([10, 20, 30, 40], itself, 100)).toEqual([[10, 20, 30, 40]])
    expect(splitByTokens([10, 20, 30, 40], itself, Number.POSITIVE_INFINITY)).toEqual([[10, 20, 30, 40]])
  })

  it('makes single rows where no row fits, or where no equal parts do', () => {
    expect(splitByTokens([500, 600], itself, 100)).toEqual([[500], [600]])
    expect(splitByTokens([40, 40, 40], itself, 100)).toEqual([[40], [40], [40]])
  })
})
