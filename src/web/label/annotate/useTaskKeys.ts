/** What each key does to a task, by the mode of its project. */
import type { ProjectSettings, TaskView } from '../../../studio/labels/api.ts'
import { digitsOf } from './digits.ts'
import type { Action, actions as table } from './keys.ts'
import type { Actions } from './useActions.ts'
import { useKeys } from './useKeys.ts'
import { onScreen } from './value.ts'
import type { Work } from './work.ts'

type Named =
  | 'submit'
  | 'undo'
  | 'skip'
  | 'accept'
  | 'better'
  | 'note'
  | 'guidelines'
  | 'help'
  | 'expand'
  | 'compare'
  | 'sentence'

type Options = {
  settings: ProjectSettings
  view: TaskView
  work: Work
  actions: Actions
  single: boolean
  focus(response: number, scale?: number): void
  /** Esc in a field goes back to the responses. */
  leave(): void
  /** Marks the selected text. @returns whether some is selected */
  mark(kind: 'good' | 'bad'): boolean
  has: { edits: boolean; marking: boolean }
  run: Record<Named, () => void>
}

export const useTaskKeys = (options: Options): ((action: keyof typeof table) => string) => {
  const { settings, view, work, actions, single, focus, leave, mark, has, run } = options
  const { mode, scales, strengths } = settings
  const { shown, responses } = view
  const { value, order, active } = work

  const go = (by: -1 | 1) => {
    if (mode !== 'rate') return focus(order[(order.indexOf(active) + by + order.length) % order.length])
    const cell = order.indexOf(active) * scales.length + work.scale + by
    const at = (cell + order.length * scales.length) % (order.length * scales.length)
    focus(order[Math.floor(at / scales.length)], at % scales.length)
  }

  const rate = (response: number, scale: number, rating: number | undefined) => {
    actions.rate(response, scales[scale], rating)
    if (rating === undefined) return
    const cell = order.indexOf(response) * scales.length + scale + 1
    if (cell < order.length * scales.length) focus(order[Math.floor(cell / scales.length)], cell % scales.length)
  }

  const number = (n: number): boolean => {
    if (mode === 'rank' && n <= responses.length) actions.rank(active, n)
    else if (mode === 'pair' && n <= 2 * strengths + 1) actions.prefer(n - 1 - strengths)
    else if (mode === 'best' && n <= order.length) actions.best(order[n - 1])
    else if (mode === 'good' && n <= 2) actions.good(n === 1)
    else if (mode === 'rate' && n >= scales[work.scale].min && n <= scales[work.scale].max) rate(active, work.scale, n)
    else return false
    return true
  }
  /** rate: one step more or less. */
  const nudge = (by: -1 | 1): void => {
    if (mode === 'rank') {
      actions.move(active, by)
      return
    }
    const { name, min, max } = scales[work.scale]
    const now = value.ratings?.[active]?.[name] ?? min + by
    actions.rate(active, scales[work.scale], Math.min(max, Math.max(min, now - by)))
  }
  const slide = (by: -1 | 1): void => {
    const now = value.preference === undefined ? 0 : onScreen(value.preference, shown)
    actions.prefer(Math.max(-strengths, Math.min(strengths, now + by)))
  }

  const judge = (kind: 'good' | 'bad'): boolean => {
    if (mark(kind)) return true
    if (mode !== 'good') return false
    actions.good(kind === 'good')
    return true
  }

  const here: Partial<Record<Action, boolean>> = {
    tie: mode === 'pair' || mode === 'rank',
    moveUp: mode === 'rank' || mode === 'rate',
    moveDown: mode === 'rank' || mode === 'rate',
    better: has.edits,
    allBad: settings.bothBad,
    sentence: has.marking,
    good: has.marking || mode === 'good',
    bad: has.marking || mode === 'good',
    compare: responses.length > 1,
    next: responses.length > 1 || mode === 'rate',
    previous: responses.length > 1 || mode === 'rate',
  }

  const act = (action: Action, { key }: KeyboardEvent): boolean => {
    if (here[action] === false) return false
    switch (action) {
      case 'next':
      case 'previous': {
        const by = action === 'next' ? 1 : -1
        if (mode === 'pair' && (key === 'ArrowLeft' || key === 'ArrowRight')) slide(by)
        else go(by)
        return true
      }
      case 'moveUp':
      case 'moveDown':
        nudge(action === 'moveUp' ? -1 : 1)
        return true
      case 'clear':
        if (key !== '0' || mode !== 'rate' || !number(0)) actions.clear()
        return true
      case 'tie':
        if (mode === 'pair') actions.prefer(0)
        else actions.tie(active)
        return true
      case 'good':
      case 'bad':
        return judge(action)
      case 'allBad':
        actions.allBad()
        return true
      default:
        if (!(action in run)) return number(Number(action.slice('number'.length)))
        run[action as Named]()
        return true
    }
  }

  const digits = digitsOf(settings, responses.length, work.scale)
  return useKeys({ own: settings.keys, single, act, leave, digits, has: (action) => here[action] ?? true })
}
