/** The agreement page: coefficients with intervals by the bootstrap over clusters of tasks, and figures of each annotator. */
import { averageOver } from '../../feedback/agreement/agreement.ts'
import { type Cells, cohenKappa, krippendorffAlpha } from '../../statistics/agreement.ts'
import { quantile } from '../../statistics/quantiles.ts'
import { percentileInterval } from '../../statistics/resampling.ts'
import type { Db } from '../../store/database.node.ts'
import { rng } from '../../util/rng.ts'
import type { Agreement, Interval } from './api.ts'
import { classes, personFigures, type Tally } from './tally.ts'

const resampleStream = 0x616772
/** Resamples at most; fewer where there is much to add up, so that the page takes well under a second. */
const mostResamples = 400
const fewestResamples = 100
const additions = 4e7

type Figures = {
  kappa: number
  alphaNominal: number
  alphaOrdinal: number
  tauB: number
  withSelf: number
  people: { first: number; longer: number }[]
  judges: { agreement: number; first: number; longer: number }[]
}

/** Whether the page takes long enough, some tenths of a second, not to be made anew at each vote. */
export const isLarge = ({ clusters, size }: Tally): boolean => clusters.length * size > 50_000

export const agreementOf = async (
  db: Db,
  project: number,
  tally: Tally,
  names: ReadonlyMap<number, string>,
): Promise<Agreement> => {
  const clusters = tally.clusters.filter((counts) => counts !== undefined)
  const cells = cellsOf(tally)
  const all = new Float64Array(tally.size)
  for (const counts of clusters) add(all, counts, 1)
  const figures = figuresOf(tally, cells, all)
  const drawn: Figures[] = []
  const resamples = Math.max(
    fewestResamples,
    Math.min(mostResamples, Math.floor(additions / (clusters.length * tally.size + 1))),
  )
  const counts = new Float64Array(tally.size)
  for (let k = 0; clusters.length > 1 && k < resamples; k++) {
    resample(clusters, k, counts.fill(0))
    drawn.push(figuresOf(tally, cells, counts))
    // Others get their turn
    if (k % 10 === 9) await new Promise((done) => setImmediate(done))
  }
  const interval = (of: (figures: Figures) => number): Interval => {
    const { low, high } = percentileInterval(drawn.map(of).filter(Number.isFinite))
    return { value: finite(of(figures)), low: finite(low), high: finite(high) }
  }
  const speeds = new Map<number, number[]>()
  let [votes, compared] = [0, 0]
  for (const { people, seconds } of tally.tasks.values()) {
    votes += people.length
    if (people.length > 1) compared++
    for (const [i, person] of people.entries()) {
      const of = speeds.get(person)
      if (of) of.push(seconds[i])
      else speeds.set(person, [seconds[i]])
    }
  }
  const skips = new Map(
    db
      .all<{ person: number; n: number }>(
        "SELECT person, count(*) AS n FROM current WHERE project = ? AND pass = 0 AND kind = 'skip' GROUP BY person",
        project,
      )
      .map(({ person, n }) => [person, n]),
  )
  const people = [...tally.people]
  return {
    tasks: compared,
    votes,
    kappa: interval(({ kappa }) => kappa),
    alphaNominal: interval(({ alphaNominal }) => alphaNominal),
    alphaOrdinal: interval(({ alphaOrdinal }) => alphaOrdinal),
    tauB: interval(({ tauB }) => tauB),
    withSelf: {
      ...interval(({ withSelf }) => withSelf),
      pairs: people.reduce((sum, [, at]) => sum + read(all, at).self, 0),
    },
    annotators: people
      .map(([person, at], i) => {
        const own = read(all, at)
        const seconds = (speeds.get(person) ?? []).sort((a, b) => a - b)
        return {
          name: names.get(person) ?? String(person),
          votes: seconds.length,
          skipped: skips.get(person) ?? 0,
          seconds: finite(quantile(seconds, 0.5)),
          agreement: finite(own.same / own.compared),
          first: interval(({ people }) => people[i].first),
          longer: interval(({ people }) => people[i].longer),
          gold: { right: own.goldRight, asked: own.gold },
          withSelf: finite(own.selfSame / own.self),
        }
      })
      .filter(({ votes, skipped }) => votes || skipped)
      .sort((a, b) => b.votes - a.votes),
    judges: [...tally.judges.keys()].map((name, i) => ({
      name,
      agreement: interval(({ judges }) => judges[i].agreement),
      first: interval(({ judges }) => judges[i].first),
      longer: interval(({ judges }) => judges[i].longer),
    })),
  }
}

const finite = (value: number) => (Number.isFinite(value) ? value : null)

const add = (all: Float64Array, counts: Float64Array, times: number) => {
  for (let i = 0; i < counts.length; i++) all[i] += times * counts[i]
}

/** Adds up as many clusters as there are, drawn with replacement. */
const resample = (clusters: readonly Float64Array[], k: number, counts: Float64Array): void => {
  const random = rng(0, resampleStream, k)
  const times = new Uint32Array(clusters.length)
  for (let i = 0; i < clusters.length; i++) times[Math.floor(random.uniform(i) * clusters.length)]++
  for (const [i, cluster] of clusters.entries()) if (times[i]) add(counts, cluster, times[i])
}

const read = (counts: Float64Array, at: number) =>
  Object.fromEntries(personFigures.map((name, i) => [name, counts[at + i] ?? 0])) as Record<
    (typeof personFigures)[number],
    number
  >

/** The cells of a square table. */
const square = (size: number) => ({
  x: Array.from({ length: size * size }, (_, i) => Math.floor(i / size)),
  y: Array.from({ length: size * size }, (_, i) => i % size),
})
const cellsOf = ({ placeClasses }: Tally) => ({ verdicts: square(classes), places: square(placeClasses) })

const figuresOf = (tally: Tally, { verdicts, places }: ReturnType<typeof cellsOf>, counts: Float64Array): Figures => {
  const table = (at: number): Cells => ({ ...verdicts, count: counts.subarray(at, at + classes ** 2) })
  const ranks: Cells = { ...places, count: counts.subarray(tally.places, tally.places + tally.placeClasses ** 2) }
  let [selfSame, self] = [0, 0]
  const people: Figures['people'] = []
  for (const at of tally.people.values()) {
    const own = read(counts, at)
    selfSame += own.selfSame
    self += own.self
    people.push({ first: own.first / own.decided, longer: own.longer / own.differing })
  }
  return {
    kappa: averageOver(Array.from(tally.pairs.values(), table), (cells) => cohenKappa(cells, classes)),
    alphaNominal: krippendorffAlpha(table(tally.coincidences), classes, 'nominal'),
    alphaOrdinal: krippendorffAlpha(ranks, tally.placeClasses, 'ordinal'),
    tauB: counts[tally.tauSum] / counts[tally.taus],
    withSelf: selfSame / self,
    people,
    judges: Array.from(tally.judges.values(), (at) => {
      const own = read(counts, at)
      return { agreement: own.same / own.compared, first: own.first / own.decided, longer: own.longer / own.differing }
    }),
  }
}
