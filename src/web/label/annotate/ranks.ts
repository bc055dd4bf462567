/** Ranks of responses while a person orders them: 1 is best, equal ranks tie, null is unranked. Lists are in the stored order. */

export type Ranks = readonly (number | null)[]

/** Where a response is put, seen from another one. */
export type Place = 'before' | 'after' | 'tie'

/** Responses that share a rank, best first. */
export const groupsOf = (ranks: Ranks): number[][] => {
  const byRank = new Map<number, number[]>()
  ranks.forEach((rank, response) => {
    if (rank !== null) byRank.set(rank, [...(byRank.get(rank) ?? []), response])
  })
  return [...byRank].sort(([a], [b]) => a - b).map(([, responses]) => responses)
}

const ranksOf = (groups: readonly (readonly number[])[], count: number): (number | null)[] => {
  const ranks: (number | null)[] = Array(count).fill(null)
  groups
    .filter((group) => group.length > 0)
    .forEach((group, i) => {
      for (const response of group) ranks[response] = i + 1
    })
  return ranks
}

/** Without gaps: 1, 3, 3 becomes 1, 2, 2. */
export const compact = (ranks: Ranks): (number | null)[] => ranksOf(groupsOf(ranks), ranks.length)

/** Gives one response a rank as typed; others keep theirs, so that equal ranks tie and gaps may stand until all is typed. */
export const withRank = (ranks: Ranks, response: number, rank: number | null): (number | null)[] =>
  ranks.map((before, i) => (i === response ? rank : before))

/**
 * Puts a response before or after another one, or ties the two. If the other one is unranked, the order of the screen counts
 * first: all unranked ones get their ranks from it (to tie two, only these).
 * @param order the responses as they stand on the screen
 */
export const put = (
  ranks: Ranks,
  response: number,
  other: number,
  place: Place,
  order: readonly number[],
): (number | null)[] => {
  if (response === other) return [...ranks]
  const groups = groupsOf(ranks).map((group) => group.filter((one) => one !== response))
  if (ranks[other] === null) {
    if (place === 'tie') groups.push([other])
    else for (const one of order) if (one !== response && ranks[one] === null) groups.push([one])
  }
  const at = groups.findIndex((group) => group.includes(other))
  if (place === 'tie') groups[at].push(response)
  else groups.splice(place === 'before' ? at : at + 1, 0, [response])
  return ranksOf(groups, ranks.length)
}

/**
 * Moves a response one place up (-1) or down (1). One of several that tie leaves the tie; an unranked one enters at the end,
 * or, if nothing is ranked yet, changes places with its neighbour on the screen.
 */
export const moved = (ranks: Ranks, response: number, by: -1 | 1, order: readonly number[]): (number | null)[] => {
  const groups = groupsOf(ranks)
  const at = groups.findIndex((group) => group.includes(response))
  if (at < 0) {
    if (groups.length > 0) return by < 0 ? ranksOf([...groups, [response]], ranks.length) : [...ranks]
    const at = order.indexOf(response)
    // The first one moved up, and the last one down, stay: the order on the screen becomes the ranking
    const neighbour = order[at + by] ?? order[at - by]
    if (neighbour === undefined) return [...ranks]
    return put(ranks, response, neighbour, by < 0 ? 'before' : 'after', order)
  }
  const rest = groups[at].filter((one) => one !== response)
  if (rest.length > 0)
    return ranksOf(groups.toSpliced(at, 1, ...(by < 0 ? [[response], rest] : [rest, [response]])), ranks.length)
  const to = at + by
  if (to < 0 || to >= groups.length) return compact(ranks)
  const swapped = [...groups]
  ;[swapped[at], swapped[to]] = [swapped[to], swapped[at]]
  return ranksOf(swapped, ranks.length)
}

/** The order of the screen after responses were moved: the ranked first, best first, then the rest as they stood. */
export const orderBy = (ranks: Ranks, order: readonly number[]): number[] =>
  [...order].sort((a, b) => (ranks[a] ?? Infinity) - (ranks[b] ?? Infinity) || order.indexOf(a) - order.indexOf(b))
