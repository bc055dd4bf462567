import { describe, expect, it } from 'vitest'
import { splitByTokens } from './microBatches.ts'

const ofItself = (tokens: number) => tokens

describe('parts of a micro-batch', () => {
  it('are equal and as few as the limit allows', () => {
    expect(splitByTokens([10, 20, 30, 40, 50, 60], ofItself, 110)).toEqual([
      [10, 20],
      [30, 40],
      [50, 60],
    ])
    expect(splitByTokens([10, 20, 30, 40], ofItself, 100)).toEqual([[10, 20, 30, 40]])
    expect(splitByTokens([10, 20, 30, 40], ofItself, Number.POSITIVE_INFINITY)).toEqual([[10, 20, 30, 40]])
  })

  it('are single rows where none fit, or where no equal parts do', () => {
    expect(splitByTokens([500, 600], ofItself, 100)).toEqual([[500], [600]])
    expect(splitByTokens([40, 40, 40], ofItself, 100)).toEqual([[40], [40], [40]])
  })
})
