/** Votes as what agreement is computed of: annotators, items and classes by number. */
import { cellsOf, kendallTauB } from '../../statistics/agreement.ts'
import { badInput } from '../../util/fault.ts'
import { comparisonsOf, type Ranks, type Task } from '../votes/tasks.ts'
import type { AgreementInput, AgreementItem, Unit } from './agreement.ts'
import type { LabelVote } from './votes.ts'

/** What agreement is of, for the line above the figures. */
export type Described = AgreementInput & {
  annotators: string[]
  /** Names of the classes; in their order, if they have one. */
  names: string[]
  votes: number
  /** Votes that do not count, by reason. */
  skipped: Record<string, number>
}

/** Words in the order of what they say. "tie (inconsistent)" of MT-bench is a tie. */
const orders = [
  ['first', 'tie', 'second'],
  ['a', 'tie', 'b'],
  ['left', 'tie', 'right'],
  ['model_a', 'tie', 'model_b'],
  ['model_1', 'tie', 'model_2'],
  ['win', 'tie', 'loss'],
  ['false', 'true'],
  ['no', 'yes'],
  ['bad', 'good'],
]

const classesOf = (labels: readonly string[]): { names: string[]; ordered: boolean } => {
  const names = [...new Set(labels)]
  if (names.every((name) => name.trim() !== '' && Number.isFinite(Number(name))))
    return { names: names.sort((a, b) => Number(a) - Number(b)), ordered: true }
  const order = orders.find((words) => names.every((name) => words.includes(name.toLowerCase())))
  const place = (name: string) => order!.indexOf(name.toLowerCase())
  return order
    ? { names: names.sort((a, b) => place(a) - place(b)), ordered: true }
    : { names: names.sort(), ordered: false }
}

/** More classes are no labels but free text or measurements. */
const mostClasses = 1000

/** @throws Fault one-annotator where no item has two votes; bad-value for labels that are no classes */
export const labelInput = (given: readonly LabelVote[], file: string): Described => {
  const items = new Map<string, Map<string, string>>()
  const skipped: Record<string, number> = {}
  for (const { item, annotator, label } of given) {
    const votes = items.get(item) ?? items.set(item, new Map()).get(item)!
    if (votes.has(annotator)) skipped['voted-twice'] = (skipped['voted-twice'] ?? 0) + 1
    votes.set(annotator, label)
  }
  const annotators = [...new Set(given.map(({ annotator }) => annotator))]
  requireTwo(
    [...items.values()].map(({ size }) => size),
    annotators,
    file,
  )
  const { names, ordered } = classesOf(given.map(({ label }) => label))
  if (names.length > mostClasses)
    throw badInput('bad-value', `has ${names.length} different labels; agreement is of at most ${mostClasses}`, {
      file,
    })
  const [numbers, classes] = [numbersOf(annotators), numbersOf(names)]
  const unit = (votes: ReadonlyMap<string, string>): Unit =>
    new Map(Array.from(votes, ([annotator, label]) => [numbers.get(annotator)!, classes.get(label)!]))
  return {
    items: Array.from(items.values(), (votes) => ({ units: [unit(votes)] })),
    classes: names.length,
    ordered,
    tie: tieOf(names),
    annotators,
    names,
    votes: given.length,
    skipped,
  }
}

const tieOf = (names: readonly string[]) => {
  const at = names.findIndex((name) => name.toLowerCase() === 'tie')
  return at < 0 ? undefined : at
}

const numbersOf = (names: readonly string[]) => new Map(names.map((name, i) => [name, i]))

/** Rankings: classes are of pairs of responses (first, tie, second), places are ranks. */
export const rankingInput = (tasks: readonly Task[], file: string): Described => {
  const nameOf = (task: Task) =>
    task.votes.flatMap(({ vote }) => (vote?.annotator === undefined ? [] : [String(vote.annotator)]))
  const annotators = [...new Set(tasks.flatMap(nameOf))]
  const nameless = tasks.reduce(
    (n, { votes }) => n + votes.filter(({ vote }) => vote?.annotator === undefined).length,
    0,
  )
  if (!annotators.length)
    throw badInput('one-annotator', 'has rankings without an annotator; agreement needs a column "annotator"', { file })
  requireTwo(
    tasks.map((task) => nameOf(task).length),
    annotators,
    file,
  )
  const numbers = numbersOf(annotators)
  return {
    items: tasks.map((task) => rankingItem(task, numbers)),
    classes: 3,
    ordered: true,
    tie: 1,
    placeClasses: tasks.reduce((most, { votes }) => Math.max(most, ...votes.map(({ ranks }) => worst(ranks))), 0),
    annotators,
    names: ['first', 'tie', 'second'],
    votes: tasks.reduce((n, { votes }) => n + votes.length, 0) - nameless,
    skipped: nameless ? { 'no-annotator': nameless } : {},
  }
}

const worst = (ranks: Ranks) => ranks.reduce<number>((most, rank) => Math.max(most, rank ?? 0), 0)

const rankingItem = ({ responses, votes }: Task, numbers: ReadonlyMap<string, number>): AgreementItem => {
  const known = votes.flatMap(({ vote, ranks }) =>
    vote?.annotator === undefined ? [] : [{ annotator: numbers.get(String(vote.annotator))!, ranks }],
  )
  const pairs = new Map<string, Map<number, number>>()
  for (const { annotator, ranks } of known)
    for (const { i, j, verdict } of comparisonsOf(ranks)) {
      const key = `${i} ${j}`
      const unit = pairs.get(key) ?? pairs.set(key, new Map()).get(key)!
      unit.set(annotator, verdict)
    }
  return {
    units: [...pairs.values()],
    places: responses.map(
      (_, i): Unit =>
        new Map(
          known.flatMap(({ annotator, ranks }) => (ranks[i] === null ? [] : [[annotator, ranks[i] - 1] as const])),
        ),
    ),
    taus: known
      .flatMap(({ ranks }, i) => known.slice(i + 1).map((other) => tauOf(ranks, other.ranks)))
      .filter(Number.isFinite),
  }
}

/** Responses without a rank are tied behind all others. */
const tauOf = (a: Ranks, b: Ranks): number => {
  const full = (ranks: Ranks) => ranks.map((rank) => (rank ?? worst(ranks) + 1) - 1)
  const [x, y] = [full(a), full(b)]
  return kendallTauB(cellsOf(x, y), Math.max(...y) + 1)
}

const requireTwo = (votes: readonly number[], annotators: readonly string[], file: string) => {
  if (votes.some((n) => n > 1)) return
  const who =
    annotators.length === 1
      ? `all votes are by one annotator (${annotators[0]})`
      : `its ${annotators.length} annotators voted on different items`
  throw badInput(
    'one-annotator',
    `has no item with votes of two annotators: ${who}; give a file, or several, in which two or more voted on the same items`,
    { file },
  )
}
