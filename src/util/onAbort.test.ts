/** Many actions behind one abort signal, without a warning of Node. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { onAbort } from './onAbort.ts'

describe('onAbort', () => {
  it('has one listener for any number of actions, and none when all are forgotten', () => {
    const { signal } = new AbortController()
    const forget = Array.from({ length: 20 }, () => onAbort(signal, () => {}))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (const each of forget) each()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('runs what is not forgotten, once', () => {
    const controller = new AbortController()
    const ran: string[] = []
    onAbort(controller.signal, () => ran.push('a'))
    const forgetB = onAbort(controller.signal, () => ran.push('b'))
    const forgetC = onAbort(controller.signal, () => ran.push('c'))
    forgetB()
    controller.abort()
    controller.abort()
    forgetC()
    expect(ran).toEqual(['a', 'c'])
  })
})
