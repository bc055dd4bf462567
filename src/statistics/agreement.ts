/**
 * Coefficients of agreement between annotators. Written here because no library on npm has them all, with missing votes:
 * Cohen (1960, 1968), Scott (1955), Fleiss (1971), Gwet (2008), Brennan and Prediger (1981), Krippendorff (2011), Kendall
 * (1945). All take counts, so that a bootstrap adds up counts and reads no vote again. A coefficient that is not defined is NaN.
 */

/** How often each pair of labels was given. Labels are numbers of classes from 0, in the order of the classes. */
export type Cells = { x: readonly number[]; y: readonly number[]; count: ArrayLike<number> }

/** How far apart two classes are counted: all alike, by their distance in the order of classes, or by its square. */
export type Weights = 'none' | 'linear' | 'quadratic'

const distanceOf: Record<Weights, (difference: number) => number> = {
  none: (difference) => (difference === 0 ? 0 : 1),
  linear: Math.abs,
  quadratic: (difference) => difference * difference,
}

/** The cells of two annotators' labels, item by item. */
export const cellsOf = (a: readonly number[], b: readonly number[]): Cells => {
  const places = new Map<string, number>()
  const cells = { x: [] as number[], y: [] as number[], count: [] as number[] }
  for (const [i, label] of a.entries()) {
    const key = `${label} ${b[i]}`
    const place = places.get(key) ?? places.set(key, places.size).get(key)!
    cells.x[place] = label
    cells.y[place] = b[i]
    cells.count[place] = (cells.count[place] ?? 0) + 1
  }
  return cells
}

const marginals = ({ x, y, count }: Cells, classes: number) => {
  const [ofX, ofY] = [new Float64Array(classes), new Float64Array(classes)]
  let total = 0
  for (let i = 0; i < x.length; i++) {
    ofX[x[i]] += count[i]
    ofY[y[i]] += count[i]
    total += count[i]
  }
  return { ofX, ofY, total }
}

/** One minus observed disagreement over that of chance; disagreements are of one unit. NaN where chance has none. */
const beyondChance = (observed: number, expected: number) => (expected > 0 ? 1 - observed / expected : Number.NaN)

/**
 * Cohen's kappa of two annotators, weighted by the distance of the classes or not; as scikit-learn's `cohen_kappa_score`.
 * @param classes how many there are; with weights their numbers are an order
 */
export const cohenKappa = (cells: Cells, classes: number, weights: Weights = 'none'): number => {
  const { ofX, ofY, total } = marginals(cells, classes)
  const distance = distanceOf[weights]
  let observed = 0
  for (let i = 0; i < cells.x.length; i++) observed += cells.count[i] * distance(cells.x[i] - cells.y[i])
  let expected = 0
  for (let i = 0; i < classes; i++)
    if (ofX[i]) for (let j = 0; j < classes; j++) expected += ofX[i] * ofY[j] * distance(i - j)
  return beyondChance(observed * total, expected)
}

/** Scott's pi of two annotators: as Cohen's kappa, but both have the same shares of classes. */
export const scottPi = (cells: Cells, classes: number): number => {
  const { ofX, ofY, total } = marginals(cells, classes)
  let [observed, same] = [0, 0]
  for (let i = 0; i < cells.x.length; i++) if (cells.x[i] !== cells.y[i]) observed += cells.count[i]
  for (let i = 0; i < classes; i++) same += (ofX[i] + ofY[i]) ** 2
  return beyondChance(observed / total, 1 - same / (4 * total * total))
}

/** What many annotators said, added up over items. */
export type Tally = {
  /** Items with two votes or more. */
  items: number
  /** Over these items, the share of an item's pairs of votes that agree. */
  agreeing: number
  /** By class, the share of an item's votes, added up over all items with a vote. */
  shares: ArrayLike<number>
}

const tallied = ({ items, agreeing, shares }: Tally, chance: (shares: number[]) => number): number => {
  const all = Array.from(shares)
  const total = all.reduce((a, b) => a + b, 0)
  return beyondChance(1 - agreeing / items, 1 - chance(all.map((share) => share / total)))
}

/** Fleiss' kappa. Items may have different numbers of votes, as in the R package irrCAC. */
export const fleissKappa = (tally: Tally): number =>
  tallied(tally, (shares) => shares.reduce((total, share) => total + share * share, 0))

/** Gwet's AC1, which does not fall where nearly all votes are of one class. */
export const gwetAc1 = (tally: Tally): number =>
  tallied(
    tally,
    (shares) => shares.reduce((total, share) => total + share * (1 - share), 0) / Math.max(1, shares.length - 1),
  )

/** Brennan and Prediger's coefficient: chance takes every class alike. */
export const brennanPrediger = (tally: Tally): number => tallied(tally, (shares) => 1 / shares.length)

/**
 * Krippendorff's alpha, for any number of annotators and with votes missing; as the Python package krippendorff.
 * @param coincidences pairs of votes on one item, both ways round, each counted 1 / (votes on the item - 1)
 * @param level nominal: classes differ or not. ordinal: by how many votes lie between them
 */
export const krippendorffAlpha = (coincidences: Cells, classes: number, level: 'nominal' | 'ordinal'): number => {
  const { x, y, count } = coincidences
  const { ofX: votes, total } = marginals(coincidences, classes)
  // Classes stand at the middle of their votes, where all votes are in a row
  const places = new Float64Array(classes)
  let before = 0
  for (let i = 0; i < classes; i++) {
    places[i] = before + votes[i] / 2
    before += votes[i]
  }
  let observed = 0
  for (let i = 0; i < x.length; i++)
    if (x[i] !== y[i]) observed += count[i] * (level === 'nominal' ? 1 : (places[x[i]] - places[y[i]]) ** 2)
  return beyondChance(observed * (total - 1), expectedOf(votes, total, level === 'nominal' ? undefined : places))
}

/** The disagreement of all ordered pairs of votes. */
const expectedOf = (votes: Float64Array, total: number, places: Float64Array | undefined): number => {
  let [same, first, second] = [0, 0, 0]
  for (let i = 0; i < votes.length; i++) {
    same += votes[i] * votes[i]
    if (!places) continue
    first += votes[i] * places[i]
    second += votes[i] * places[i] ** 2
  }
  if (!places) return total * total - same
  // Sum of n_i n_j (g_i - g_j)^2; exactly 0 where all votes are of one class
  return same === total * total ? 0 : 2 * (total * second - first * first)
}

/**
 * Kendall's tau-b of two rankings with ties, -1 to 1; as scipy's `kendalltau`. NaN where either side ties everything.
 * @param classes of y
 */
export const kendallTauB = (cells: Cells, classes: number): number => {
  const { x, y, count } = cells
  const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b] || y[a] - y[b])
  const below = sums(classes)
  let [concordant, discordant, total, sameX, sameY, seen] = [0, 0, 0, 0, 0, 0]
  for (let from = 0; from < order.length; ) {
    let to = from
    while (to < order.length && x[order[to]] === x[order[from]]) to++
    let group = 0
    for (const i of order.slice(from, to)) {
      const lower = below.upTo(y[i])
      concordant += count[i] * lower
      discordant += count[i] * (seen - below.upTo(y[i] + 1))
      group += count[i]
    }
    for (const i of order.slice(from, to)) below.add(y[i], count[i])
    sameX += (group * (group - 1)) / 2
    seen += group
    from = to
  }
  total = (seen * (seen - 1)) / 2
  for (let i = 0; i < classes; i++) {
    const group = below.upTo(i + 1) - below.upTo(i)
    sameY += (group * (group - 1)) / 2
  }
  const scale = Math.sqrt(total - sameX) * Math.sqrt(total - sameY)
  return scale > 0 ? (concordant - discordant) / scale : Number.NaN
}

/** Running sums of counts by class (Fenwick 1994). */
const sums = (classes: number) => {
  const tree = new Float64Array(classes + 1)
  return {
    add: (at: number, count: number) => {
      for (let i = at + 1; i <= classes; i += i & -i) tree[i] += count
    },
    /** The sum over classes below `at`. */
    upTo: (at: number) => {
      let total = 0
      for (let i = at; i > 0; i -= i & -i) total += tree[i]
      return total
    },
  }
}
