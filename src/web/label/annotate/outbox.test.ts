/** Votes on their way to the server. */
import { expect, it } from 'vitest'
import type { Voted } from '../../../studio/labels/api.ts'
import { ApiFault } from '../../api.ts'
import { type Outcome, openOutbox, type Sent } from './outbox.ts'

const memory = () => {
  const kept = new Map<string, string>()
  return {
    get length() {
      return kept.size
    },
    key: (i: number) => [...kept.keys()][i] ?? null,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  }
}

const skip = (requestId: string): Sent => ({
  kind: 'skip',
  project: 1,
  task: 7,
  body: { requestId, version: 0, reason: '', seconds: 1 },
})
const voted = {} as Voted

it('keeps a vote that the server did not answer, and sends it again with the same id', async () => {
  const storage = memory()
  const tries: string[] = []
  let down = true
  const box = openOutbox(storage, 'me', async ({ body }) => {
    tries.push(body.requestId)
    if (down) throw new ApiFault(0, 'does not answer')
    return voted
  })
  box.add(skip('a'))
  box.add(skip('b'))
  await Promise.resolve().then(() => {})
  expect([box.waiting(), storage.length]).toEqual([2, 2])
  down = false
  box.retry()
  await box.settled()
  expect(tries).toEqual(['a', 'a', 'b'])
  expect([box.waiting(), storage.length]).toEqual([0, 0])
})

it('sends what an earlier page left, but not what another person left', async () => {
  const storage = memory()
  const never = () => new Promise<Voted>(() => {})
  openOutbox(storage, 'me', never).add(skip('a'))
  openOutbox(storage, 'you', never).add(skip('b'))
  const sent: string[] = []
  const box = openOutbox(storage, 'me', async ({ body }) => {
    sent.push(body.requestId)
    return voted
  })
  await box.settled()
  expect(sent).toEqual(['a'])
  expect(storage.length).toBe(1)
})

it('tells what the server refused, and goes on with the next', async () => {
  const outcomes: Outcome[] = []
  const box = openOutbox(memory(), 'me', async ({ body }) => {
    if (body.requestId === 'a') throw new ApiFault(409, 'somebody was first', 'conflict')
    return voted
  })
  box.onOutcome((outcome) => outcomes.push(outcome))
  box.add(skip('a'))
  box.add(skip('b'))
  await box.settled()
  expect(outcomes.map((outcome) => ('fault' in outcome ? outcome.fault.status : 'voted'))).toEqual([409, 'voted'])
})
