/** What a person says of a task, while it is being made: how it starts, what is still missing, and what is sent. */
import type { Mode, ProjectSettings, Scale, TaskView, VoteValue } from '../../../studio/labels/api.ts'
import { compact, groupsOf } from './ranks.ts'

/** Settings that say what a vote needs. */
type Rules = Pick<ProjectSettings, 'mode' | 'scales' | 'strengths'>

export type Start = {
  value: VoteValue
  /** A draft was changed by this person before; a prediction or an earlier vote has not been yet. */
  touched: boolean
  from: 'nothing' | 'draft' | 'prediction' | 'vote'
}

export const startOf = ({ draft, vote, prediction }: Pick<TaskView, 'draft' | 'vote' | 'prediction'>): Start => {
  if (draft && Object.keys(draft).length > 0) return { value: draft, touched: true, from: 'draft' }
  if (vote && (vote.kind === 'vote' || vote.kind === 'adjudicate'))
    return { value: vote.value, touched: false, from: 'vote' }
  if (prediction) {
    const { by: _, ...value } = prediction
    return { value, touched: false, from: 'prediction' }
  }
  return { value: {}, touched: false, from: 'nothing' }
}

/** A, B, ...: responses are called by their place when the task was opened, so that one keeps its name when it moves. */
export const letterOf = (shown: readonly number[], response: number): string => {
  const place = shown.indexOf(response)
  return place < 26 ? String.fromCharCode(65 + place) : String(place + 1)
}

export const ranksOf = (value: VoteValue, count: number): (number | null)[] => value.ranks ?? Array(count).fill(null)

/** pair: a preference as ranks. Negative: the first stored response is better. */
export const ranksOfPreference = (preference: number): number[] =>
  preference === 0 ? [1, 1] : preference < 0 ? [1, 2] : [2, 1]

/** best: the chosen one alone has a rank. */
export const ranksOfBest = (best: number, count: number): (number | null)[] =>
  Array.from({ length: count }, (_, i) => (i === best ? 1 : null))

export const bestOf = (value: VoteValue): number | undefined => {
  const best = value.ranks?.indexOf(1) ?? -1
  return best < 0 ? undefined : best
}

/** pair, as seen on the screen: negative is for what stands first there. Both ways. */
export const onScreen = (preference: number, shown: readonly number[]): number =>
  preference === 0 ? 0 : shown[0] === 0 ? preference : -preference

export const strengthNames = ['slightly', 'clearly', 'much']

/** pair: the words of a step, seen from the screen. With one strength only: A is better. */
export const preferenceWords = (step: number, strengths: number): string => {
  if (step === 0) return 'Tie'
  const side = step < 0 ? 'A' : 'B'
  return strengths === 1 ? `${side} is better` : `${side} is ${strengthNames[Math.abs(step) - 1]} better`
}

/** The first scale that a response has no rating on. */
export const unrated = (value: VoteValue, scales: readonly Scale[], order: readonly number[]) => {
  for (const response of order)
    for (const { name } of scales) if (value.ratings?.[response]?.[name] === undefined) return { response, scale: name }
  return undefined
}

const firstSteps: Record<Mode, string> = {
  rank: 'Nothing is ranked yet: give the best response rank 1, or drag responses into order',
  pair: 'Say first which of the two is better, or that they tie',
  rate: 'Nothing is rated yet',
  best: 'Choose the best response first',
  good: 'Say first whether the response is good or bad',
  edit: 'The answer is as it was: change it, or accept it as it is',
}

const untouchedStart = 'You have not changed anything: change it, or accept it as it is'

/** @returns what must be done before this can be submitted, in words; undefined when nothing */
export const missing = (
  { mode, scales }: Rules,
  { value, touched, start }: { value: VoteValue; touched: boolean; start: Start['from'] },
  shown: readonly number[],
): string | undefined => {
  if (!touched) return start === 'prediction' || start === 'vote' ? untouchedStart : firstSteps[mode]
  // Who says that all are bad, or writes a better answer, need not compare the rest
  if (value.bothBad || value.edit) return undefined
  const ranked = value.ranks?.some((rank) => rank !== null) ?? false
  switch (mode) {
    case 'rank':
    case 'best':
      return ranked ? undefined : firstSteps[mode]
    case 'pair':
      return value.preference !== undefined ? undefined : firstSteps.pair
    case 'good':
      return value.good === undefined ? firstSteps.good : undefined
    case 'edit':
      return firstSteps.edit
    case 'rate': {
      const gap = unrated(value, scales, shown)
      return gap && `${letterOf(shown, gap.response)} has no rating yet on ${gap.scale}`
    }
  }
}

/** As it is sent: ranks without gaps, nothing that is empty. */
export const cleaned = (value: VoteValue): VoteValue => {
  const { ranks, spans, note, edit, bothBad, ...rest } = value
  return {
    ...rest,
    ...(ranks?.some((rank) => rank !== null) && { ranks: compact(ranks) }),
    ...(spans && spans.length > 0 && { spans }),
    ...(note?.trim() && { note: note.trim() }),
    ...(edit && { edit }),
    ...(bothBad && { bothBad }),
  }
}

/** The vote in one line, for a table of votes and for screen readers: B > A = C; slightly. */
export const summary = (value: VoteValue, shown: readonly number[], { mode, strengths }: Rules): string => {
  const parts: string[] = []
  const letter = (response: number) => letterOf(shown, response)
  if (value.bothBad) parts.push('all are bad')
  if (mode === 'pair' && value.preference !== undefined)
    parts.push(preferenceWords(onScreen(value.preference, shown), strengths))
  else if (value.ranks?.some((rank) => rank !== null)) {
    const places = groupsOf(value.ranks).map((group) =>
      shown
        .filter((i) => group.includes(i))
        .map(letter)
        .join(' = '),
    )
    const rest = value.ranks.filter((rank) => rank === null).length
    parts.push(
      mode === 'best' ? `${places[0]} is best` : `${places.join(' > ')}${rest > 0 ? `, ${rest} unranked` : ''}`,
    )
  }
  if (value.ratings)
    for (const i of shown) {
      const ratings = Object.entries(value.ratings[i] ?? {}).map(([name, rating]) => `${name} ${rating}`)
      if (ratings.length > 0) parts.push(`${letter(i)}: ${ratings.join(', ')}`)
    }
  if (value.good !== undefined) parts.push(value.good ? 'good' : 'bad')
  if (value.edit) parts.push(value.edit.from === null ? 'a better answer' : `an edit of ${letter(value.edit.from)}`)
  if (value.spans?.length) parts.push(`${value.spans.length} ${value.spans.length === 1 ? 'mark' : 'marks'}`)
  return parts.join('; ') || 'nothing'
}
