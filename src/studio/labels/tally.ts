/**
 * What the votes of a project add up to, kept in memory for its agreement page: read once, and again only of tasks that
 * changed. Tasks are counted in up to 200 clusters, which a bootstrap resamples as wholes, so that its cost does not grow with
 * the votes.
 */
import type { Db } from '../../store/database.node.ts'
import type { Mode, ProjectSettings, VoteValue } from './api.ts'
import { isRight, ranksOf, unsaid, verdictsOf } from './verdicts.ts'

/** Characters by which two responses must differ for one to count as the longer: as in feedback/bias. */
const sameLength = 30
const mostClusters = 200
/** Classes of verdicts: the first is better, a tie, the second. */
export const classes = 3

/** What is counted of one annotator, and of one judge, in this order. */
export const personFigures = [
  'same',
  'compared',
  'first',
  'decided',
  'longer',
  'differing',
  'selfSame',
  'self',
  'goldRight',
  'gold',
] as const
type PersonFigure = (typeof personFigures)[number]

type TaskVotes = {
  people: number[]
  verdicts: number[][]
  /** Classes of the ordinal alpha, by response or rating; -1 where nothing is said. */
  places: number[][]
  seconds: number[]
  /** Of each vote: first, decided, longer, differing. */
  leanings: [number, number, number, number][]
  /** Of second passes: who, how many verdicts are the same, of how many. */
  again: { person: number; same: number; compared: number }[]
  gold: { person: number; right: boolean }[]
  judges: { maker: string; same: number; compared: number; leaning: [number, number, number, number] }[]
}

export type Tally = {
  tasks: Map<number, TaskVotes>
  /** Counts of each cluster; shorter than `size` where nothing was counted behind their end. */
  clusters: (Float64Array | undefined)[]
  /** How many counts there are, and where each stands. */
  size: number
  /** By two annotators (pairKey): where the table of their verdicts begins. */
  pairs: Map<number, number>
  people: Map<number, number>
  judges: Map<string, number>
  coincidences: number
  places: number
  placeClasses: number
  tauSum: number
  taus: number
}

export type Tallies = {
  /** What a project's votes add up to now. Gives others their turn while it reads. */
  of(project: number, settings: ProjectSettings): Promise<Tally & { version: number }>
  touch(project: number, task: number): void
  forget(project: number): void
}

type Known = {
  tally: Tally
  dirty: Set<number>
  version: number
  inCluster: Map<number, Set<number>>
  busy: Promise<unknown>
}

export const makeTallies = (db: Db): Tallies => {
  const known = new Map<number, Known>()
  let versions = 0
  return {
    async of(project, settings) {
      const own = known.get(project) ?? begin(db, project, settings)
      known.set(project, own)
      // One reader at a time
      const work = own.busy.then(async () => {
        if (await refresh(db, project, settings, own)) own.version = ++versions
      })
      own.busy = work.catch(() => {})
      await work
      const { pairs, people, judges } = own.tally
      const kept = { pairs: new Map(pairs), people: new Map(people), judges: new Map(judges) }
      return { ...own.tally, ...kept, clusters: [...own.tally.clusters], version: own.version }
    },
    touch: (project, task) => void known.get(project)?.dirty.add(task),
    forget: (project) => void known.delete(project),
  }
}

const begin = (db: Db, project: number, { mode, scales }: ProjectSettings): Known => {
  const widest = db.get<{ n: number | null }>(
    'SELECT max(json_array_length(lengths)) AS n FROM task WHERE project = ?',
    project,
  )!.n
  const placeClasses = mode === 'rate' ? Math.max(...scales.map(({ min, max }) => max - min + 1)) : (widest ?? 0)
  let size = 0
  const take = (n: number) => (size += n) - n
  const fixed = { taus: take(1), tauSum: take(1), coincidences: take(classes ** 2), places: take(placeClasses ** 2) }
  const voted = db.all<{ id: number }>('SELECT id FROM task WHERE project = ? AND votes > 0 ORDER BY id', project)
  return {
    tally: {
      ...fixed,
      size,
      placeClasses,
      tasks: new Map(),
      clusters: [],
      pairs: new Map(),
      people: new Map(),
      judges: new Map(),
    },
    dirty: new Set(voted.map(({ id }) => id)),
    version: 0,
    inCluster: new Map(),
    busy: Promise.resolve(),
  }
}

/** Tasks that are read without giving others their turn. */
const atOnce = 200

const refresh = async (db: Db, project: number, settings: ProjectSettings, own: Known) => {
  if (!own.dirty.size) return false
  const changed = new Set<number>()
  while (own.dirty.size) {
    const ids = [...own.dirty].slice(0, atOnce)
    for (const id of ids) own.dirty.delete(id)
    for (const row of readRows(db, project, ids)) {
      const cluster = (row.position - 1) % mostClusters
      const members = own.inCluster.get(cluster) ?? own.inCluster.set(cluster, new Set()).get(cluster)!
      members.add(row.id)
      own.tally.tasks.set(row.id, votesOf(row, settings))
      changed.add(cluster)
    }
    await new Promise((done) => setImmediate(done))
  }
  for (const cluster of changed) {
    const members = [...own.inCluster.get(cluster)!].map((id) => own.tally.tasks.get(id)!)
    own.tally.clusters[cluster] = countCluster(own.tally, members)
  }
  return true
}

// ---- reading -----------------------------------------------------------------------------------------------------------

type Row = {
  id: number
  position: number
  lengths: string
  gold: string | null
  said: string | null
  predicted: string | null
}

/** All votes of a task in one text: reading a row for each vote takes many times as long. */
const readRows = (db: Db, project: number, ids: readonly number[]): Row[] =>
  db.all<Row>(
    `SELECT t.id, t.position, t.lengths, t.gold,
       (SELECT group_concat('[' || c.person || ',' || c.pass || ',' || v.value || ',' || v.shown || ',' || c.seconds || ']')
        FROM current c JOIN vote v ON v.id = c.vote WHERE c.task = t.id AND c.kind = 'vote') AS said,
       (SELECT group_concat('[' || maker || ',' || value || ']') FROM prediction WHERE task = t.id) AS predicted
     FROM task t WHERE t.id IN (SELECT value FROM json_each(?)) AND +t.project = ?`,
    JSON.stringify(ids),
    project,
  )

type Said = [person: number, pass: number, value: VoteValue, shown: number[], seconds: number]

const votesOf = (row: Row, { mode, scales }: ProjectSettings): TaskVotes => {
  const lengths = JSON.parse(row.lengths) as number[]
  const said = JSON.parse(`[${row.said ?? ''}]`) as Said[]
  const gold = row.gold === null ? undefined : (JSON.parse(row.gold) as VoteValue)
  const firsts = said.filter(([, pass]) => pass === 0)
  const verdicts = firsts.map(([, , value]) => verdictsOf(mode, value, lengths.length))
  const leaning = (of: number[], shown: number[]) => leaningOf(mode, of, lengths, shown)
  return {
    people: firsts.map(([person]) => person),
    verdicts,
    places: firsts.map(([, , value]) => placesOf(mode, value, scales)),
    seconds: firsts.map(([, , , , seconds]) => seconds),
    leanings: firsts.map(([, , , shown], i) => leaning(verdicts[i], shown)),
    again: said.flatMap(([person, pass, value]) => {
      const at = firsts.findIndex(([other]) => other === person)
      if (pass === 0 || at < 0) return []
      return [{ person, ...alike(verdicts[at], verdictsOf(mode, value, lengths.length)) }]
    }),
    gold: gold
      ? firsts.map(([person, , value]) => ({ person, right: isRight(mode, value, gold, lengths.length) }))
      : [],
    judges: (JSON.parse(`[${row.predicted ?? ''}]`) as [string, VoteValue][]).map(([maker, value]) => {
      const own = verdictsOf(mode, value, lengths.length)
      const with_ = verdicts.map((other) => alike(own, other))
      return {
        maker,
        same: with_.reduce((sum, { same }) => sum + same, 0),
        compared: with_.reduce((sum, { compared }) => sum + compared, 0),
        leaning: leaning(
          own,
          lengths.map((_, i) => i),
        ),
      }
    }),
  }
}

const alike = (a: readonly number[], b: readonly number[]) => {
  let [same, compared] = [0, 0]
  for (let at = 0; at < a.length; at++) {
    if (a[at] === unsaid || b[at] === unsaid) continue
    compared++
    if (a[at] === b[at]) same++
  }
  return { same, compared }
}

const placesOf = (mode: Mode, value: VoteValue, scales: ProjectSettings['scales']): number[] => {
  if (mode === 'rate')
    return (value.ratings ?? []).flatMap((rating) =>
      scales.map(({ name, min }) => (rating[name] === undefined ? -1 : Math.round(rating[name] - min))),
    )
  return (ranksOf(value) ?? []).map((rank) => (rank === null ? -1 : rank - 1))
}

/** How often what was shown first won, of decided pairs; how often the longer one did, of those that differ in length. */
const leaningOf = (
  mode: Mode,
  verdicts: readonly number[],
  lengths: number[],
  shown: number[],
): [number, number, number, number] => {
  const found: [number, number, number, number] = [0, 0, 0, 0]
  if (mode === 'good') return found
  const place = new Array<number>(lengths.length)
  for (const [at, i] of shown.entries()) place[i] = at
  let at = 0
  for (let i = 0; i < lengths.length; i++)
    for (let j = i + 1; j < lengths.length; j++, at++) {
      const verdict = verdicts[at]
      if (verdict !== 0 && verdict !== 2) continue
      found[1]++
      if ((verdict === 0) === place[i] < place[j]) found[0]++
      if (Math.abs(lengths[i] - lengths[j]) <= sameLength) continue
      found[3]++
      if ((verdict === 0) === lengths[i] > lengths[j]) found[2]++
    }
  return found
}

// ---- counting ----------------------------------------------------------------------------------------------------------

const place = <K>(tally: Tally, places: Map<K, number>, key: K, size: number): number => {
  const known = places.get(key)
  if (known !== undefined) return known
  const at = tally.size
  tally.size += size
  places.set(key, at)
  return at
}

const countCluster = (tally: Tally, tasks: readonly TaskVotes[]): Float64Array => {
  // Places first, so that the counts of the cluster have their length
  for (const { people, again, judges } of tasks) {
    for (const person of [...people, ...again.map(({ person }) => person)])
      place(tally, tally.people, person, personFigures.length)
    for (let i = 0; i < people.length; i++)
      for (let j = i + 1; j < people.length; j++) place(tally, tally.pairs, pairKey(people[i], people[j]), classes ** 2)
    for (const { maker } of judges) place(tally, tally.judges, maker, personFigures.length)
  }
  const counts = new Float64Array(tally.size)
  for (const task of tasks) countTask(tally, counts, task)
  return counts
}

/** One number of two ids; a small one where ids are, as maps are faster with those. */
const pairKey = (a: number, b: number) => (a < b ? a + (b * (b - 1)) / 2 : b + (a * (a - 1)) / 2)
const figure = (name: PersonFigure) => personFigures.indexOf(name)
const [same, compared, first, selfSame, self, goldRight, goldAsked] = (
  ['same', 'compared', 'first', 'selfSame', 'self', 'goldRight', 'gold'] as const
).map(figure)

const countTask = (tally: Tally, counts: Float64Array, task: TaskVotes) => {
  const { people, verdicts, places, leanings } = task
  const of = people.map((person) => tally.people.get(person)!)
  for (let i = 0; i < people.length; i++) {
    for (let n = 0; n < 4; n++) counts[of[i] + first + n] += leanings[i][n]
    for (let j = i + 1; j < people.length; j++) countPair(tally, counts, task, i, j)
  }
  const said = [0, 0, 0, 0]
  for (let at = 0; at < (verdicts[0]?.length ?? 0); at++) {
    said.fill(0)
    for (const own of verdicts) said[own[at]]++
    coincide(counts, tally.coincidences, classes, said)
    for (let i = 0; i < people.length; i++) {
      const own = verdicts[i][at]
      if (own === unsaid) continue
      const most = mostOfOthers(said, own)
      if (most === undefined) continue
      counts[of[i] + compared]++
      if (most === own) counts[of[i] + same]++
    }
  }
  const histogram = new Array<number>(tally.placeClasses)
  for (let at = 0; at < Math.max(0, ...places.map(({ length }) => length)); at++) {
    histogram.fill(0)
    for (const own of places) if (own[at] >= 0) histogram[Math.min(own[at], tally.placeClasses - 1)]++
    coincide(counts, tally.places, tally.placeClasses, histogram)
  }
  for (const { person, ...again } of task.again) {
    counts[tally.people.get(person)! + self] += again.compared
    counts[tally.people.get(person)! + selfSame] += again.same
  }
  for (const { person, right } of task.gold) {
    counts[tally.people.get(person)! + goldAsked]++
    if (right) counts[tally.people.get(person)! + goldRight]++
  }
  for (const { maker, leaning, ...judged } of task.judges) {
    const at = tally.judges.get(maker)!
    counts[at + same] += judged.same
    counts[at + compared] += judged.compared
    for (let n = 0; n < 4; n++) counts[at + first + n] += leaning[n]
  }
}

/** The table of two annotators' verdicts, and Kendall's tau-b of their rankings: unranked responses tie behind all others. */
const countPair = (
  tally: Tally,
  counts: Float64Array,
  { people, verdicts, places }: TaskVotes,
  i: number,
  j: number,
) => {
  const turned = people[i] > people[j]
  const [x, y] = turned ? [verdicts[j], verdicts[i]] : [verdicts[i], verdicts[j]]
  const table = tally.pairs.get(pairKey(people[i], people[j]))!
  let [concordant, ofX, ofY] = [0, 0, 0]
  for (let at = 0; at < x.length; at++) {
    const [a, b] = [x[at], y[at]]
    if (a !== unsaid && b !== unsaid) counts[table + classes * a + b]++
    const [signA, signB] = [a === unsaid ? 0 : a - 1, b === unsaid ? 0 : b - 1]
    concordant += signA * signB
    ofX += signA * signA
    ofY += signB * signB
  }
  if (!ofX || !ofY || !places[i].length || !places[j].length) return
  counts[tally.taus]++
  counts[tally.tauSum] += concordant / Math.sqrt(ofX * ofY)
}

/** Pairs of votes on one unit, both ways round, each counted 1 / (votes on it - 1). */
const coincide = (counts: Float64Array, table: number, size: number, said: readonly number[]) => {
  let votes = 0
  for (let a = 0; a < size; a++) votes += said[a]
  if (votes < 2) return
  for (let a = 0; a < size; a++) {
    if (!said[a]) continue
    for (let b = 0; b < size; b++) {
      const pairs = a === b ? said[a] * (said[a] - 1) : said[a] * said[b]
      if (pairs) counts[table + size * a + b] += pairs / (votes - 1)
    }
  }
}

/** What most of the others said; undefined where two verdicts share the lead. */
const mostOfOthers = (said: readonly number[], own: number): number | undefined => {
  let [most, leader] = [0, undefined as number | undefined]
  for (let verdict = 0; verdict < classes; verdict++) {
    const n = said[verdict] - (verdict === own ? 1 : 0)
    if (n > most) [most, leader] = [n, verdict]
    else if (n === most) leader = undefined
  }
  return leader
}
