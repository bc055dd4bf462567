/** The short form of `npm run fuzz`: a few hundred fixed inputs to every reader. */
import { describe, expect, it } from 'vitest'
import { fuzz } from './fuzz/run.ts'
import { targets } from './fuzz/targets.ts'

describe('readers of untrusted input return a value or one Fault, in bounded time', () => {
  it.each(targets)('$name', async (target) => {
    for await (const { problem, input } of fuzz(target, 1, 100 * target.weight))
      expect({ problem, input }).toBeUndefined()
  })
})
