import { expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { makeRun } from './run.ts'

/** Counts to three; `closed` says how it ended. */
const counting = (fail = false) => {
  const seen = { starts: 0, closed: 0 }
  const run = makeRun(async function* () {
    seen.starts++
    try {
      for (let n = 1; n <= 3; n++) yield n
      if (fail) throw new Error('no four')
      return 'done'
    } finally {
      seen.closed++
    }
  })
  return { run, seen }
}

it('gives its events, and then its result, from one start', async () => {
  const { run, seen } = counting()
  expect(await collect(run)).toEqual([1, 2, 3])
  expect([await run, await run]).toEqual(['done', 'done'])
  expect(seen).toEqual({ starts: 1, closed: 1 })
})

it('runs to its end where it is awaited alone, and does nothing before', async () => {
  const { run, seen } = counting()
  expect(seen.starts).toBe(0)
  expect(await Promise.all([run, run])).toEqual(['done', 'done'])
  expect(seen.starts).toBe(1)
  await expect(collect(run)).rejects.toMatchObject({ code: 'iterated' })
})

it('can be awaited while it is iterated', async () => {
  const { run } = counting()
  const events = collect(run)
  expect(await run).toBe('done')
  expect(await events).toEqual([1, 2, 3])
})

it('throws its error once in the iteration, and where it is awaited', async () => {
  const { run } = counting(true)
  await expect(collect(run)).rejects.toThrow('no four')
  await expect(run).rejects.toThrow('no four')
  await expect(counting(true).run).rejects.toThrow('no four')
})

it('is closed where the iteration is left, and then has no result', async () => {
  const { run, seen } = counting()
  for await (const _ of run) break
  expect(seen.closed).toBe(1)
  await expect(run).rejects.toMatchObject({ code: 'left' })
})
