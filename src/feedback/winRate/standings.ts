/** What judgements say of the models in them: win rates and ratings of each, who is better in a sentence, and what to be careful about. */
import { percent, plural, whole } from '../../util/format.ts'
import type { JudgedPair } from './judgements.ts'
import { type Rating, type RatingKind, rateModels, ratingOfShare } from './ratings.ts'
import { type WinRate, type WinRateOptions, winRates } from './winRates.ts'

/** A model's win rate with its rating. A baseline has a rating alone. */
export type Standing = (WinRate & Partial<Rating> & { length_controlled_rating?: number }) | Rating

export type Standings = {
  standings: Standing[]
  /** Sentences: which model is better, and what the numbers do not say. */
  words: string[]
}

/** @param options settings of length control, and the kind of ratings */
export const standingsOf = (
  judgements: readonly JudgedPair[],
  { ratings, ...options }: WinRateOptions & { ratings?: RatingKind } = {},
): Standings => {
  const rows = winRates(judgements, options)
  const rated = ratings && rateModels(judgements, ratings)
  const byModel = new Map(rated?.ratings.map((rating) => [rating.model, rating]))
  const standings = rows.map((row): Standing => {
    const base = row.baseline === null ? null : byModel.get(row.baseline)?.rating
    const share = row.length_controlled_winrate
    const controlled = typeof base === 'number' &&
      share !== null && { length_controlled_rating: ratingOfShare(share / 100, base) }
    return { ...row, ...byModel.get(row.model), ...controlled }
  })
  const alone = rated?.ratings.filter(({ model }) => !rows.some((row) => row.model === model)) ?? []
  return {
    standings: [...standings, ...alone],
    words: [...who(rows), ...cautions(rows), ...(rated ? ratingCautions(rated) : [])],
  }
}

type Rate = Pick<WinRate, 'win_rate' | 'standard_error' | 'win_rate_low' | 'win_rate_high'>

/** 70.0 ± 6.4, or 100.0 (43.8 to 100.0) where all comparisons have the same result; without an interval where none is known. */
export const rateText = ({ win_rate, standard_error, win_rate_low, win_rate_high }: Rate, unit = ''): string => {
  const rate = `${win_rate.toFixed(1)}${unit}`
  if (!Number.isFinite(win_rate_low)) return rate
  return standard_error > 0
    ? `${rate} ± ${(win_rate_high - win_rate).toFixed(1)}`
    : `${rate} (${win_rate_low.toFixed(1)} to ${win_rate_high.toFixed(1)})`
}

/** Of two models, or of each against its baseline. Where models meet several others, the table is the answer. */
const who = (rows: readonly WinRate[]): string[] => {
  const models = new Set(rows.map(({ model }) => model))
  const isPair = rows.length === 2 && rows.every(({ baseline }) => baseline !== null && models.has(baseline))
  const told = isPair ? rows.slice(0, 1) : rows.filter(({ baseline }) => baseline !== null && !models.has(baseline))
  return told.slice(0, mostTold).map(sentence)
}

/** More models than that are read off the table. */
const mostTold = 5

const sentence = (row: WinRate): string => {
  const { model, baseline, win_rate: rate, n, length_controlled_winrate: equal } = row
  const interval = `${rateText(row, ' %')} of ${plural(n, 'comparison')}, ties one half`
  if (!Number.isFinite(row.win_rate_low)) return `One prompt does not tell whether ${model} is better than ${baseline}.`
  if (row.win_rate_low <= 50 && row.win_rate_high >= 50)
    return `These judgements do not tell whether ${model} is better than ${baseline}: it wins ${interval}, and 50 % lies within.`
  const better = rate > 50
  const [winner, loser] = better ? [model, baseline] : [baseline, model]
  const turns = equal !== null && equal > 50 !== better
  return [
    `${winner} is preferred to ${loser}: ${model} wins ${interval}.`,
    turns
      ? ` At equal length it is the other way round (${percent(equal / 100, 1)}): what wins is the longer answer.`
      : '',
  ].join('')
}

const cautions = (rows: readonly WinRate[]): string[] => {
  const dropped = rows.reduce((sum, row) => sum + row.n_dropped, 0)
  const all = rows.reduce((sum, row) => sum + row.n + row.n_dropped, 0)
  const empty = rows.filter(({ n }) => n === 0).map(({ model }) => model)
  return [
    ...(dropped ? [`${percent(dropped / all, 1)} of the judgements have no verdict and count nowhere.`] : []),
    ...(empty.length ? [`No verdict is about ${empty.join(', ')}.`] : []),
  ]
}

const ratingCautions = ({ ratings, resamples: { used, drawn } }: ReturnType<typeof rateModels>): string[] => {
  if (ratings.some(({ rating }) => rating === null))
    return [
      'There are no finite ratings by Bradley-Terry: some models won all, or never met some others. Elo has some.',
    ]
  if (used === drawn) return []
  return [
    `In ${whole(drawn - used)} of ${whole(drawn)} resamples some model won or lost all, so the true intervals of the ratings are wider.`,
  ]
}
