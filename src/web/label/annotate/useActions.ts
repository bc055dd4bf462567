/** Everything that can be said of a task, as functions that change what is said so far and tell a screen reader. */
import type { Dispatch } from 'react'
import type { ProjectSettings, Scale, Span, TaskView, VoteValue } from '../../../studio/labels/api.ts'
import { moved, type Place, put, withRank } from './ranks.ts'
import { withoutSpan, withSpan } from './spans.ts'
import { bestOf, letterOf, onScreen, preferenceWords, ranksOf, ranksOfBest, ranksOfPreference } from './value.ts'
import type { Step, Work } from './work.ts'

type Context = {
  view: TaskView
  settings: ProjectSettings
  work: Work
  dispatch: Dispatch<Step>
  say(text: string): void
}

export const useActions = ({ view, settings, work, dispatch, say }: Context) => {
  const { shown, responses } = view
  const { mode, scales, strengths } = settings
  const { value, order, active } = work
  const count = responses.length
  const ranks = ranksOf(value, count)
  const letter = (response: number) => letterOf(shown, response)
  /** Keys act on it from now on. */
  const goTo = (response: number, scale = 0) => dispatch({ do: 'focus', response, scale })
  const change = (next: Partial<VoteValue>, rest: { moves?: boolean; field?: string } = {}) =>
    dispatch({ do: 'change', value: { ...value, ...next }, ...rest })

  const tellRank = (next: readonly (number | null)[], response: number) => {
    const rank = next[response]
    if (rank === null) return say(`${letter(response)} is unranked`)
    const equal = order.filter((other) => other !== response && next[other] === rank).map(letter)
    say(`${letter(response)} has rank ${rank}${equal.length > 0 ? `, tied with ${equal.join(' and ')}` : ''}`)
  }
  const setRanks = (next: (number | null)[], response: number, moves: boolean) => {
    if (next.some((rank, i) => rank !== ranks[i])) change({ ranks: next }, { moves })
    else if (moves && next[response] !== null) dispatch({ do: 'change', value: { ...value, ranks: next }, moves })
    tellRank(next, response)
  }

  const rate = (response: number, scale: Scale, rating: number | undefined) => {
    const { name } = scale
    goTo(response, scales.indexOf(scale))
    const ratings = responses.map((_, i) => ({ ...value.ratings?.[i] }))
    if (rating === undefined) delete ratings[response][name]
    else ratings[response][name] = rating
    change({ ratings })
    say(`${name} of ${letter(response)}: ${rating ?? 'not rated'}`)
  }

  return {
    goTo,
    rank(response: number, rank: number | null) {
      goTo(response)
      setRanks(withRank(ranks, response, rank), response, false)
    },
    move(response: number, by: -1 | 1) {
      goTo(response)
      setRanks(moved(ranks, response, by, order), response, true)
    },
    drop(response: number, other: number, place: Place) {
      setRanks(put(ranks, response, other, place, order), response, true)
      goTo(response)
    },
    /** With the response before it on the screen. */
    tie(response: number) {
      const before = order[order.indexOf(response) - 1]
      if (before === undefined) say(`${letter(response)} is the first; go to another one to tie it`)
      else setRanks(put(ranks, response, before, 'tie', order), response, false)
    },
    prefer(step: number) {
      const preference = onScreen(step, shown)
      change({ preference, ranks: ranksOfPreference(preference) })
      say(preferenceWords(step, strengths))
    },
    rate,
    best(response: number) {
      const again = bestOf(value) === response
      change({ ranks: again ? undefined : ranksOfBest(response, count) })
      say(again ? 'No choice' : `${letter(response)} is the best`)
    },
    good(good: boolean) {
      change({ good })
      say(good ? 'Good' : 'Bad')
    },
    clear() {
      if (mode === 'rank') setRanks(withRank(ranks, active, null), active, false)
      else if (mode === 'rate') rate(active, scales[work.scale], undefined)
      else {
        change({ ranks: undefined, preference: undefined, good: undefined })
        say('Nothing is chosen')
      }
    },
    allBad() {
      change({ bothBad: !value.bothBad })
      say(value.bothBad ? 'Not all are bad' : 'All are bad')
    },
    edit: (edit: VoteValue['edit']) => change({ edit }, { field: 'edit' }),
    note: (note: string) => change({ note }, { field: 'note' }),
    mark(span: Span) {
      change({ spans: withSpan(value.spans ?? [], span) })
      say(`Marked as ${span.mark}`)
    },
    changeMark(span: Span, to: Span | undefined) {
      const spans = value.spans ?? []
      if (to)
        change(
          { spans: spans.map((other) => (other === span ? to : other)) },
          { field: `mark ${span.response} ${span.start}` },
        )
      else {
        change({ spans: withoutSpan(spans, span) })
        say('The mark is removed')
      }
    },
    /** Takes over somebody's vote, to change it or leave it. */
    takeOver(from: VoteValue) {
      dispatch({ do: 'change', value: from, moves: false })
    },
  }
}

export type Actions = ReturnType<typeof useActions>
