import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { makeEventStream, returnValueOf, tagged } from './eventStream.ts'

/** Yields its values, one after each pause, then returns or throws. */
async function* slowly<T>(
  values: readonly T[],
  end: { value?: string; error?: Error } = {},
): AsyncGenerator<T, string> {
  for (const value of values) {
    await sleep(2)
    yield value
  }
  if (end.error) throw end.error
  return end.value ?? ''
}

const collect = async <T, R>(events: AsyncGenerator<T, R>) => {
  const all: T[] = []
  for (;;) {
    const { done, value } = await events.next()
    if (done) return { all, value }
    all.push(value)
  }
}

describe('read', () => {
  it('gives events in the order of their pushes, those before it was called included, until the end', async () => {
    const stream = makeEventStream<number>()
    stream.push(1)
    const read = collect(stream.read())
    stream.push(2)
    await sleep(1)
    stream.push(3)
    stream.end()
    expect((await read).all).toEqual([1, 2, 3])
  })

  it('gives what is queued before it throws the failure', async () => {
    const stream = makeEventStream<number>()
    stream.push(1)
    stream.fail(new Error('broken'))
    const events = stream.read()
    expect(await events.next()).toEqual({ done: false, value: 1 })
    await expect(events.next()).rejects.toThrow('broken')
  })

  it('throws a failure that is undefined, and keeps to the first end', async () => {
    const failed = makeEventStream<number>()
    failed.fail(undefined)
    await expect(failed.read().next()).rejects.toBeUndefined()
    const ended = makeEventStream<number>()
    ended.end()
    ended.fail(new Error('too late'))
    expect((await collect(ended.read())).all).toEqual([])
  })
})

describe('merge', () => {
  it('gives pushed events while the generator computes, and returns what the generator returns', async () => {
    const stream = makeEventStream<string>()
    async function* loop() {
      const answer = await stream.drain(slowly(['a', 'b'], { value: 'drained' }))
      stream.push('c')
      yield answer
      stream.push('d')
      return 'over'
    }
    expect(await collect(stream.merge(loop()))).toEqual({ all: ['a', 'b', 'c', 'drained', 'd'], value: 'over' })
  })

  it('gives what was pushed before a failure of the generator, then throws it', async () => {
    const stream = makeEventStream<string>()
    async function* loop(): AsyncGenerator<string> {
      yield await stream.drain(slowly(['a'], { error: new Error('broken') }))
    }
    const events = stream.merge(loop())
    expect((await events.next()).value).toBe('a')
    await expect(events.next()).rejects.toThrow('broken')
  })

  it('asks the generator for an event only when the reader does', async () => {
    const stream = makeEventStream<number>()
    let computed = 0
    async function* loop() {
      for (;;) yield ++computed
    }
    const events = stream.merge(loop())
    await events.next()
    await sleep(5)
    expect(computed).toBe(1)
    await events.return(undefined)
  })

  it('lets settled wait for the work that a leaving reader left behind', async () => {
    const stream = makeEventStream<string>()
    let finished = false
    async function* loop() {
      stream.push('begun')
      await sleep(10)
      finished = true
      yield 'late'
    }
    for await (const event of stream.merge(loop())) if (event === 'begun') break
    expect(finished).toBe(false)
    await stream.settled()
    expect(finished).toBe(true)
  })
})

it('tagged adds fields to each event; returnValueOf drops events; both give what the generator returns', async () => {
  const events = () => slowly([{ n: 1 }, { n: 2 }], { value: 'done' })
  expect(await collect(tagged({ act: 3 }, events()))).toEqual({
    all: [
      { act: 3, n: 1 },
      { act: 3, n: 2 },
    ],
    value: 'done',
  })
  expect(await returnValueOf(events())).toBe('done')
})
