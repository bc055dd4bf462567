/** A task in the making: what is said so far, in which order the responses stand, which one has the focus, and the way back. */
import { useReducer } from 'react'
import type { TaskView, VoteValue } from '../../../studio/labels/api.ts'
import { orderBy } from './ranks.ts'
import type { Start } from './value.ts'

export type Work = {
  value: VoteValue
  /** Stored indices, as they stand on the screen now. */
  order: readonly number[]
  /** The response that keys act on, as a stored index. */
  active: number
  /** rate: the scale that number keys act on. */
  scale: number
  touched: boolean
  /** Earlier states, for undo. */
  past: readonly Pick<Work, 'value' | 'order' | 'touched' | 'active'>[]
  /** What changed last; one undo takes back all typing into one field. */
  last: string | undefined
}

export type Step =
  /** `moves`: the screen follows the ranks. `field`: typing into a field is one change. */
  | { do: 'change'; value: VoteValue; moves?: boolean; field?: string }
  | { do: 'accept' }
  | { do: 'undo' }
  | { do: 'focus'; response: number; scale?: number }

export const begin = (view: TaskView, start: Start): Work => ({
  value: start.value,
  order: view.shown,
  active: view.shown[0],
  scale: 0,
  touched: start.touched,
  past: [],
  last: undefined,
})

export const step = (work: Work, action: Step): Work => {
  switch (action.do) {
    case 'focus':
      return { ...work, active: action.response, scale: action.scale ?? 0 }
    case 'undo': {
      const before = work.past.at(-1)
      return before ? { ...work, ...before, past: work.past.slice(0, -1), last: undefined } : work
    }
    case 'accept':
      return { ...work, touched: true, past: [...work.past, keep(work)], last: undefined }
    case 'change': {
      const { value, moves = false, field } = action
      const same = field !== undefined && field === work.last
      return {
        ...work,
        value,
        order: moves && value.ranks ? orderBy(value.ranks, work.order) : work.order,
        touched: true,
        past: same ? work.past : [...work.past, keep(work)],
        last: field,
      }
    }
  }
}

const keep = ({ value, order, touched, active }: Work) => ({ value, order, touched, active })

export const useWork = (view: TaskView, start: Start) => useReducer(step, undefined, () => begin(view, start))
