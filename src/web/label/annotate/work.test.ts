/** A task in the making. */
import { expect, it } from 'vitest'
import type { TaskView } from '../../../studio/labels/api.ts'
import { begin, step } from './work.ts'

const view = { shown: [2, 0, 1] } as TaskView
const start = begin(view, { value: {}, touched: false, from: 'nothing' })

it('keeps the screen when a rank is typed, and follows the ranks when a response is moved', () => {
  const typed = step(start, { do: 'change', value: { ranks: [1, null, 2] } })
  expect([typed.order, typed.touched]).toEqual([[2, 0, 1], true])
  expect(step(start, { do: 'change', value: { ranks: [1, null, 2] }, moves: true }).order).toEqual([0, 2, 1])
})

it('goes back one change at a time, to untouched at the end; typing into a field is one change', () => {
  const ranked = step(start, { do: 'change', value: { ranks: [1, 2, 3] }, moves: true })
  const noted = 'so'
    .split('')
    .reduce(
      (work, _, i) => step(work, { do: 'change', value: { ...work.value, note: 'so'.slice(0, i + 1) }, field: 'note' }),
      ranked,
    )
  expect(noted.value.note).toBe('so')
  const once = step(noted, { do: 'undo' })
  expect(once.value).toEqual({ ranks: [1, 2, 3] })
  const twice = step(once, { do: 'undo' })
  expect([twice.value, twice.order, twice.touched, twice.past]).toEqual([{}, [2, 0, 1], false, []])
  expect(step(twice, { do: 'undo' })).toBe(twice)
})

it('is touched once what is there was accepted', () => {
  expect(step(start, { do: 'accept' }).touched).toBe(true)
})
