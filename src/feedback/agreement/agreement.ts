/**
 * How far annotators agree, with intervals by the bootstrap over items. Everything is counts of items: what an item adds is
 * worked out once, and a resample only adds up.
 */
import {
  brennanPrediger,
  type Cells,
  cohenKappa,
  fleissKappa,
  gwetAc1,
  kendallTauB,
  krippendorffAlpha,
  scottPi,
  type Weights,
} from '../../statistics/agreement.ts'
import { defaultResamples, percentileInterval } from '../../statistics/resampling.ts'
import { rng } from '../../util/rng.ts'

/** What annotators said of one thing: classes by annotator, both numbered from 0. */
export type Unit = ReadonlyMap<number, number>

/** What is resampled as a whole: one labelled item, or all pairs and places of one ranking. */
export type AgreementItem = {
  /** What coefficients of classes count. */
  units: readonly Unit[]
  /** What the ordinal alpha counts, where that is another thing: the places of responses. */
  places?: readonly Unit[]
  /** Rankings of the same responses: Kendall's tau-b of each two annotators. */
  taus?: readonly number[]
}

export type AgreementInput = {
  items: readonly AgreementItem[]
  /** How many classes `units` have. */
  classes: number
  /** Whether the numbers of classes are an order. Without one, what needs it is NaN. */
  ordered: boolean
  /** How many classes `places` have. */
  placeClasses?: number
  /** The class of a tie: agreement is then given without ties too. */
  tie?: number
}

/** Values in the order in which they are printed; NaN where one is not defined. */
export type AgreementFigures = {
  /** Share of comparisons in which both votes are the same. */
  agreement: number
  /** The same over comparisons without a tie on either side. */
  agreement_no_ties: number
  /** Cohen's kappa of each two annotators, averaged by the number of items that both have (Light 1971). */
  kappa: number
  weighted_kappa: number
  /** Of two annotators; for more, Fleiss' kappa is the same idea. */
  scott_pi: number
  fleiss: number
  ac1: number
  brennan_prediger: number
  alpha_nominal: number
  alpha_ordinal: number
  tau_b: number
}
export type FigureName = keyof AgreementFigures

export type Agreement = {
  figures: AgreementFigures
  /** The 2.5 % and 97.5 % quantiles over resamples; NaN of fewer than two items. */
  intervals: Record<FigureName, { low: number; high: number }>
  /** Comparisons: pairs of votes on one unit. */
  n: number
  /** Those without a tie on either side. */
  nNoTies: number
  /** Items with two votes or more. */
  items: number
  /** Units that two annotators share, averaged over those that share any. */
  sharedItems: number
}

/** A stream of random numbers of its own. */
const agreementStream = 0xa62ee

export const agreement = (
  input: AgreementInput,
  { weights = 'quadratic', resamples = defaultResamples, seed = 0 }: AgreementOptions = {},
): Agreement => {
  const items = input.items.filter(({ units }) => units.some((unit) => unit.size > 1))
  const table = layout({ ...input, items })
  const of = (counts: Float64Array) => figuresOf(table, counts, input, weights)
  const all = new Float64Array(table.size)
  for (const item of table.items) addTo(all, item, 1)
  const drawn = items.length < 2 ? [] : Array.from({ length: resamples }, (_, k) => of(drawnCounts(table, seed, k)))
  const figures = of(all)
  const names = Object.keys(figures) as FigureName[]
  return {
    figures,
    intervals: Object.fromEntries(
      names.map((name) => [name, percentileInterval(drawn.map((figure) => figure[name]).filter(Number.isFinite))]),
    ) as Agreement['intervals'],
    n: all[table.compared],
    nNoTies: all[table.comparedNoTies],
    items: items.length,
    sharedItems: all[table.compared] / table.pairs.length,
  }
}

export type AgreementOptions = {
  /** How far apart classes are for the weighted kappa. */
  weights?: Exclude<Weights, 'none'>
  resamples?: number
  seed?: number
}

/** Counts of as many items as there are, drawn with replacement. */
const drawnCounts = ({ items, size }: Layout, seed: number, k: number): Float64Array => {
  const random = rng(seed, agreementStream, k)
  const times = new Uint32Array(items.length)
  for (let i = 0; i < items.length; i++) times[Math.floor(random.uniform(i) * items.length)]++
  const counts = new Float64Array(size)
  for (let i = 0; i < items.length; i++) if (times[i]) addTo(counts, items[i], times[i])
  return counts
}

// ---- what items add --------------------------------------------------------------------------------------------------

/** Places in one array of counts, and how much is added there. */
type Added = { at: number[]; count: number[] }

/** Cells of a table that stand at these places of the array. */
type CellPlaces = { x: number[]; y: number[]; at: number[] }

type Layout = {
  size: number
  items: Added[]
  compared: number
  agreed: number
  comparedNoTies: number
  agreedNoTies: number
  units: number
  agreeing: number
  shares: number
  taus: number
  tauSum: number
  pairs: CellPlaces[]
  coincidences: CellPlaces
  places: CellPlaces
}

const addTo = (counts: Float64Array, { at, count }: Added, times: number) => {
  for (let i = 0; i < at.length; i++) counts[at[i]] += times * count[i]
}

const layout = ({ items, classes, tie }: AgreementInput): Layout => {
  let size = 0
  const take = (n = 1) => (size += n) - n
  const fixed = {
    compared: take(),
    agreed: take(),
    comparedNoTies: take(),
    agreedNoTies: take(),
    units: take(),
    agreeing: take(),
    taus: take(),
    tauSum: take(),
    shares: take(classes),
  }
  const tables = new Map<string, { cells: CellPlaces; places: Map<string, number> }>()
  const cellAt = (table: string, x: number, y: number): number => {
    const { cells, places } =
      tables.get(table) ?? tables.set(table, { cells: noCells(), places: new Map() }).get(table)!
    const key = `${x} ${y}`
    const known = places.get(key)
    if (known !== undefined) return known
    const at = take()
    places.set(key, at)
    cells.x.push(x)
    cells.y.push(y)
    cells.at.push(at)
    return at
  }
  const added = items.map(({ units, places = [], taus = [] }): Added => {
    const counts = new Map<number, number>()
    const add = (at: number, count = 1) => counts.set(at, (counts.get(at) ?? 0) + count)
    for (const unit of units) {
      for (const label of unit.values()) add(fixed.shares + label, 1 / unit.size)
      if (unit.size < 2) continue
      const votes = [...unit].sort(([a], [b]) => a - b)
      const pairs = (votes.length * (votes.length - 1)) / 2
      add(fixed.units)
      eachPair(votes, ([a, x], [b, y]) => {
        add(fixed.compared)
        add(cellAt(`pair ${a} ${b}`, x, y))
        if (x === y) {
          add(fixed.agreed)
          add(fixed.agreeing, 1 / pairs)
        }
        if (x === tie || y === tie) return
        add(fixed.comparedNoTies)
        if (x === y) add(fixed.agreedNoTies)
      })
      coincide(unit, 'nominal')
    }
    for (const unit of places) if (unit.size > 1) coincide(unit, 'places')
    for (const tau of taus) {
      add(fixed.taus)
      add(fixed.tauSum, tau)
    }
    return { at: [...counts.keys()], count: [...counts.values()] }

    function coincide(unit: Unit, table: string) {
      eachPair([...unit.values()], (x, y) => {
        add(cellAt(table, x, y), 1 / (unit.size - 1))
        add(cellAt(table, y, x), 1 / (unit.size - 1))
      })
    }
  })
  return {
    ...fixed,
    size,
    items: added,
    pairs: [...tables].filter(([name]) => name.startsWith('pair ')).map(([, { cells }]) => cells),
    coincidences: tables.get('nominal')?.cells ?? noCells(),
    places: tables.get('places')?.cells ?? noCells(),
  }
}

const noCells = (): CellPlaces => ({ x: [], y: [], at: [] })

const eachPair = <T>(values: readonly T[], visit: (a: T, b: T) => void) => {
  for (const [i, a] of values.entries()) for (const b of values.slice(i + 1)) visit(a, b)
}

// ---- what counts say -------------------------------------------------------------------------------------------------

const figuresOf = (
  table: Layout,
  counts: Float64Array,
  { classes, ordered, placeClasses = 0 }: AgreementInput,
  weights: Weights,
): AgreementFigures => {
  const filled = ({ x, y, at }: CellPlaces): Cells => ({ x, y, count: at.map((place) => counts[place]) })
  const coincidences = filled(table.coincidences)
  const pairs = table.pairs.map(filled)
  const average = (coefficient: (cells: Cells) => number) => averageOver(pairs, coefficient)
  const tally = {
    items: counts[table.units],
    agreeing: counts[table.agreeing],
    shares: counts.subarray(table.shares, table.shares + classes),
  }
  const ofPlaces = table.places.x.length > 0
  return {
    agreement: counts[table.agreed] / counts[table.compared],
    agreement_no_ties: counts[table.agreedNoTies] / counts[table.comparedNoTies],
    kappa: average((cells) => cohenKappa(cells, classes)),
    weighted_kappa: ordered ? average((cells) => cohenKappa(cells, classes, weights)) : Number.NaN,
    scott_pi: pairs.length === 1 ? scottPi(pairs[0], classes) : Number.NaN,
    fleiss: fleissKappa(tally),
    ac1: gwetAc1(tally),
    brennan_prediger: brennanPrediger(tally),
    alpha_nominal: krippendorffAlpha(coincidences, classes, 'nominal'),
    alpha_ordinal: ofPlaces
      ? krippendorffAlpha(filled(table.places), placeClasses, 'ordinal')
      : ordered
        ? krippendorffAlpha(coincidences, classes, 'ordinal')
        : Number.NaN,
    tau_b: ofPlaces
      ? counts[table.tauSum] / counts[table.taus]
      : ordered
        ? average((cells) => kendallTauB(cells, classes))
        : Number.NaN,
  }
}

/** The mean over pairs of annotators, by the items that both have; pairs for which it is not defined are left out. */
export const averageOver = (pairs: readonly Cells[], coefficient: (cells: Cells) => number): number => {
  let [total, weight] = [0, 0]
  for (const cells of pairs) {
    const shared = (cells.count as readonly number[]).reduce((a, b) => a + b, 0)
    const value = shared ? coefficient(cells) : Number.NaN
    if (!Number.isFinite(value)) continue
    total += shared * value
    weight += shared
  }
  return weight ? total / weight : Number.NaN
}
