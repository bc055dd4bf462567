/** A vote in words. Responses are counted from 1 in the stored order. */
import type { VoteValue } from '../../studio/labels/api.ts'

export const valueWords = ({ ranks, preference, ratings, good, edit, spans, bothBad, note }: VoteValue): string[] =>
  [
    bothBad && 'all are bad',
    preference !== undefined ? preferenceWords(preference) : ranks && rankWords(ranks),
    ...(ratings ?? []).map((rating, i) => ratingWords(rating, i)),
    good !== undefined && (good ? 'good' : 'bad'),
    edit && `wrote: ${short(edit.text)}`,
    ...(spans ?? []).map(
      (span) =>
        `marked characters ${span.start} to ${span.end} of ${span.response + 1} as ${span.mark}${span.note ? `: ${span.note}` : ''}`,
    ),
    note && `note: ${note}`,
  ].filter((line) => typeof line === 'string')

/** 2 > 1 = 3, 4 unranked */
const rankWords = (ranks: readonly (number | null)[]): string => {
  const places = [...new Set(ranks.filter((rank) => rank !== null))].sort((a, b) => a - b)
  const at = (place: number | null) => ranks.flatMap((rank, i) => (rank === place ? [i + 1] : []))
  const ranked = places.map((place) => at(place).join(' = ')).join(' > ')
  const unranked = at(null)
  return unranked.length > 0 ? [ranked, `${unranked.join(', ')} unranked`].filter(Boolean).join('; ') : ranked
}

const preferenceWords = (preference: number): string => {
  if (preference === 0) return 'both equal'
  const steps = Math.abs(preference)
  return `${preference < 0 ? 1 : 2} is better${steps > 1 ? ` (strength ${steps})` : ''}`
}

const ratingWords = (rating: Record<string, number>, response: number): string =>
  `${response + 1}: ${Object.entries(rating)
    .map(([scale, value]) => `${scale} ${value}`)
    .join(', ')}`

const short = (text: string) => (text.length > 200 ? `${text.slice(0, 200)}…` : text)
