/** Win rates of models from judgements of pairs, in percent: wins, ties, losses, standard error, and at equal length. */
import { clusteredError } from '../../statistics/clusters.ts'
import { wilson } from '../../statistics/intervals.ts'
import { normalQuantile } from '../../statistics/quantiles.ts'
import { mean } from '../../statistics/summary.ts'
import { badInput } from '../../util/fault.ts'
import type { JudgedPair } from './judgements.ts'
import { type LengthControlled, lengthControl, type Regularizer, simpleLengthControl } from './lengthControl.ts'

/** A win rate with what is known of its error. */
type Rate = Pick<WinRate, 'win_rate' | 'standard_error' | 'win_rate_low' | 'win_rate_high'>

export type WinRate = {
  model: string
  /** Whom it was compared with; null where these are several. */
  baseline: string | null
  /** 100 x the mean of its share of each comparison, a tie being one half. */
  win_rate: number
  standard_error: number
  /** Its interval of 95 %: by the standard error, and where all comparisons have the same result Wilson's. NaN of one prompt. */
  win_rate_low: number
  win_rate_high: number
  /** Comparisons with a verdict. */
  n: number
  n_wins: number
  n_wins_base: number
  n_draws: number
  /** Comparisons without a verdict, which count nowhere else. */
  n_dropped: number
  discrete_win_rate: number
  /** Mean length of its answers in code points, cut to an integer; null where lengths are not known. */
  avg_length: number | null
  /** null where lengths are not known, or the fit has no optimum. */
  length_controlled_winrate: number | null
  lc_standard_error: number | null
  /** Which form of length control: that of AlpacaEval 2, or the simple one of two terms. */
  length_control: 'alpaca_eval' | 'simple' | null
  C?: number
  categories?: Record<string, Rate & { n: number }>
}

export type WinRateOptions = {
  /** Takes the published form of length control in place of the simple one. */
  regularizer?: Regularizer
  C?: number
}

/** A comparison seen from one of its models. */
type Seen = {
  item: string
  against: string
  share?: number
  length?: number
  other?: number
  category?: string
  index?: number
}

/**
 * A row for each model, the best first. In rows of a benchmark with a baseline, only the models compared with it have one, and each row is a prompt of
 * its own; in other rows the judgements of one prompt count as one cluster for the standard error.
 */
export const winRates = (judgements: readonly JudgedPair[], { regularizer, C }: WinRateOptions = {}): WinRate[] => {
  const controlled = regularizer && lengthControl(regularizer)
  const rows = [...groupsOf(judgements)].map(([, { model, seen, apart }]) => {
    const known = seen.filter((each): each is Seen & { share: number } => each.share !== undefined)
    return { ...winRateOf(model, seen, known, apart), ...controlledOf(model, known, controlled, regularizer, C) }
  })
  return rows.sort((x, y) => y.win_rate - x.win_rate)
}

type Group = { model: string; seen: Seen[]; apart: boolean }

const groupsOf = (judgements: readonly JudgedPair[]): Map<string, Group> => {
  const groups = new Map<string, Group>()
  const add = (key: string, model: string, apart: boolean, seen: Seen) => {
    const group = groups.get(key)
    if (group) group.seen.push(seen)
    else groups.set(key, { model, seen: [seen], apart })
  }
  for (const { a, b, item, preferred, lengths, category, baseline, index } of judgements) {
    const ofB: Seen = { item, against: a, share: preferred, length: lengths?.[1], other: lengths?.[0], category, index }
    if (baseline) {
      add(JSON.stringify([a, b]), b, true, ofB)
      continue
    }
    const share = preferred === undefined ? undefined : 1 - preferred
    add(JSON.stringify(a), a, false, { item, against: b, share, length: lengths?.[0], other: lengths?.[1], category })
    add(JSON.stringify(b), b, false, ofB)
  }
  return groups
}

/** @param apart each row is a prompt of its own, whatever its text */
const winRateOf = (
  model: string,
  seen: readonly Seen[],
  known: readonly (Seen & { share: number })[],
  apart: boolean,
) => {
  const shares = known.map(({ share }) => share)
  const count = (test: (share: number) => boolean) => shares.filter(test).length
  const [n_wins, n_wins_base, n_draws] = [count((p) => p > 0.5), count((p) => p < 0.5), count((p) => p === 0.5)]
  const rate = (of: typeof known): Rate => {
    const values = of.map(({ share }) => share)
    const clusters = of.map(({ item }, i) => (apart ? String(i) : item))
    const win_rate = 100 * mean(values)
    const standard_error = 100 * clusteredError(values, clusters)
    const count = new Set(clusters).size
    const alike = count > 1 && values.every((value) => value === values[0])
    const half = normalQuantile(0.975) * standard_error
    const { low, high } = alike
      ? wilson(values[0] * count, count)
      : { low: (win_rate - half) / 100, high: (win_rate + half) / 100 }
    return { win_rate, standard_error, win_rate_low: 100 * low, win_rate_high: 100 * high }
  }
  const opponents = new Set(seen.map(({ against }) => against))
  const lengths = known.flatMap(({ length }) => length ?? [])
  const categories = [...new Set(known.flatMap(({ category }) => category ?? []))].sort()
  const inCategory = (name: string) => {
    const of = known.filter(({ category }) => category === name)
    return { ...rate(of), n: of.length }
  }
  return {
    model,
    baseline: opponents.size === 1 ? [...opponents][0] : null,
    ...rate(known),
    n: shares.length,
    n_wins,
    n_wins_base,
    n_draws,
    n_dropped: seen.length - known.length,
    discrete_win_rate: (100 * (n_wins + n_draws / 2)) / shares.length,
    avg_length: lengths.length ? Math.trunc(mean(lengths)) : null,
    ...(categories.length && { categories: Object.fromEntries(categories.map((name) => [name, inCategory(name)])) }),
  }
}

const controlledOf = (
  model: string,
  known: readonly (Seen & { share: number })[],
  controlled: ReturnType<typeof lengthControl> | undefined,
  regularizer: Regularizer | undefined,
  C: number | undefined,
): Pick<WinRate, 'length_controlled_winrate' | 'lc_standard_error' | 'length_control' | 'C'> => {
  const none = { length_controlled_winrate: null, lc_standard_error: null, length_control: null }
  const [baseline, own] = [known.flatMap(({ other }) => other ?? []), known.flatMap(({ length }) => length ?? [])]
  if (!known.length || own.length < known.length || baseline.length < known.length) {
    if (!controlled) return none
    throw badInput(
      'no-lengths',
      `the rows of ${model} have no lengths or texts of the answers, which length control needs`,
      {
        flag: '--regularizer',
      },
    )
  }
  const rows = { baseline, model: own, preferred: known.map(({ share }) => share) }
  const fit: LengthControlled | undefined = regularizer
    ? controlled!(rows, placesOf(model, known, regularizer), C)
    : simpleLengthControl(rows)
  if (!fit) return none
  return {
    length_controlled_winrate: fit.winRate,
    lc_standard_error: fit.standardError,
    length_control: controlled ? 'alpaca_eval' : 'simple',
    ...(fit.C !== undefined && { C: fit.C }),
  }
}

/**
 * Which prompt of the regulariser each row is about: its `index`, or its place among the rows that were judged, as the published figures
 * have it.
 */
const placesOf = (model: string, known: readonly Seen[], { difficulty }: Regularizer): number[] => {
  const places = known.map(({ index }, i) => index ?? i)
  const most = Math.max(...places)
  if (most < difficulty.length) return places
  throw badInput(
    'bad-flag',
    `has ${difficulty.length} prompts, and ${model} has a judgement of prompt ${most + 1}; give the file of the same benchmark`,
    { flag: '--regularizer' },
  )
}
