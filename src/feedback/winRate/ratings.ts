/**
 * Ratings of models from judgements of pairs, with intervals: Bradley-Terry, whose order of votes does not matter, and Elo, the mean over
 * random orders. Both on the scale of Elo (1960s; FIDE): 400 points are odds of 10 to 1.
 */
import { bradleyTerry } from '../../statistics/bradleyTerry.ts'
import { bootstrapGroups, percentileInterval, type Resample } from '../../statistics/resampling.ts'
import { fillUniform, type Stream } from '../../util/rng.ts'
import type { JudgedPair } from './judgements.ts'

/** Points of one unit of natural log-odds. */
const points = 400 / Math.LN10
/** The mean rating by Bradley-Terry, and where Elo begins. */
const centre = 1000
/** How far one vote moves an Elo rating. */
const K = 32

export type Rating = {
  model: string
  /** null where it has no finite value: the model won or lost all, or was never compared with some others. */
  rating: number | null
  /** Of 95 %; null where there is none. */
  rating_low: number | null
  rating_high: number | null
}

/** A vote between players by number: the share of the win that the first gets, 1, 0.5 or 0. */
export type Vote = { a: number; b: number; score: number }

/** Ratings [players] by Bradley-Terry, of mean 1000; undefined where there is no finite maximum. */
export const bradleyTerryRatings = (votes: readonly Vote[], players: number): number[] | undefined => {
  const wins = Array.from({ length: players }, () => Array<number>(players).fill(0))
  for (const { a, b, score } of votes) {
    wins[a][b] += score
    wins[b][a] += 1 - score
  }
  return bradleyTerry(wins)?.strengths.map((strength) => centre + points * strength)
}

/** Elo's ratings [players] after votes in this order; a vote moves 32 points between a certain loser and the winner. */
export const eloRatings = (
  votes: readonly Vote[],
  players: number,
  order: Iterable<number> = votes.keys(),
): number[] => {
  const ratings = Array<number>(players).fill(centre)
  for (const i of order) {
    const { a, b, score } = votes[i]
    const expected = 1 / (1 + Math.exp((ratings[b] - ratings[a]) / points))
    const change = K * (score - expected)
    ratings[a] += change
    ratings[b] -= change
  }
  return ratings
}

/** The rating that a win rate against a baseline amounts to. @param share of wins, 0 to 1, ties one half */
export const ratingOfShare = (share: number, baseline: number): number =>
  baseline + points * Math.log(share / (1 - share))

/** Votes that Elo goes through at most, over all orders; so many take a second. */
const budget = 2e7

/** The mean of Elo's ratings over random orders. @param orders of all votes */
const meanElo = (votes: readonly Vote[], players: number, orders: number, stream: number): number[] => {
  const total = Array<number>(players).fill(0)
  for (let k = 0; k < orders; k++) {
    const ratings = eloRatings(
      votes,
      players,
      shuffled(votes.length, { seed: stream, stream: orderStream, substream: k }),
    )
    ratings.forEach((rating, i) => {
      total[i] += rating / orders
    })
  }
  return total
}

const orderStream = 0x656c6f

/** 0 to n - 1 in a random order (Fisher-Yates). `permutation` of util/rng draws its numbers one by one, which takes ten times as long. */
const shuffled = (n: number, stream: Stream): Uint32Array => {
  const random = fillUniform(new Float32Array(n), stream, 0, 1)
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    // A float may be rounded up to 1
    const j = Math.min(i, Math.floor(random[i] * (i + 1)))
    const moved = order[i]
    order[i] = order[j]
    order[j] = moved
  }
  return order
}

const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, Math.floor(x)))

export const ratingKinds = ['bt', 'elo'] as const
export type RatingKind = (typeof ratingKinds)[number]

export type Rated = {
  ratings: Rating[]
  /** Resamples of prompts that have ratings, of those that were drawn. */
  resamples: { used: number; drawn: number }
}

const drawn = { bt: 1000, elo: 300 }

/**
 * Ratings of all models of these judgements, the best first, with percentile intervals over resamples of prompts: all judgements of one
 * prompt are drawn together. Judgements without a verdict are left out.
 */
export const rateModels = (judgements: readonly JudgedPair[], kind: RatingKind): Rated => {
  const known = judgements.filter(({ preferred }) => preferred !== undefined)
  const models = [...new Set(known.flatMap(({ a, b }) => [a, b]))]
  const numbers = new Map(models.map((model, i) => [model, i]))
  const items = new Map<string, Vote[]>()
  for (const { item, a, b, preferred } of known) {
    const vote = { a: numbers.get(a)!, b: numbers.get(b)!, score: 1 - preferred! }
    const there = items.get(item)
    if (there) there.push(vote)
    else items.set(item, [vote])
  }
  const groups = [...items.values()]
  const N = models.length
  const ordersEach = clamp(budget / drawn.elo / known.length, 1, 10)
  let stream = 1
  const rate = (votes: readonly Vote[], orders: number) =>
    kind === 'bt' ? bradleyTerryRatings(votes, N) : meanElo(votes, N, orders, stream++)
  const value = rate(groups.flat(), clamp(budget / known.length, 20, 1000))
  const resampled = bootstrapGroups(drawn[kind], (resample: Resample) => rate(resample(groups).flat(), ordersEach))
  const used = resampled.filter((ratings) => ratings !== undefined)
  const ratings = models.map((model, i): Rating => {
    if (!value) return { model, rating: null, rating_low: null, rating_high: null }
    if (groups.length < 2 || !used.length) return { model, rating: value[i], rating_low: null, rating_high: null }
    const { low, high } = percentileInterval(used.map((all) => all[i]))
    return { model, rating: value[i], rating_low: low, rating_high: high }
  })
  return {
    ratings: ratings.sort((x, y) => (y.rating ?? 0) - (x.rating ?? 0)),
    resamples: { used: used.length, drawn: drawn[kind] },
  }
}
