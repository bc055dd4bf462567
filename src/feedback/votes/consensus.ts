/**
 * One verdict from the votes of several annotators, and how far each annotator agrees with it.
 *
 * Rankings are compared pair by pair. With more than two responses a response is the higher, the more of the others it
 * beats, a tie counting half (Copeland).
 */
import { bradleyTerry } from '../../statistics/bradleyTerry.ts'
import { accuracyOf, dawidSkene, type NumberedVote } from '../../statistics/dawidSkene.ts'
import { type Comparison, comparisonsOf, type Ranks, type Task } from './tasks.ts'

export const consensusMethods = ['majority', 'bradley-terry', 'dawid-skene'] as const
export type ConsensusMethod = (typeof consensusMethods)[number]

export type Quality = {
  annotator: string
  /** Comparisons, or labels, that the annotator gave. */
  votes: number
  /** Share of them that are the consensus. */
  agreement: number
  /** Dawid-Skene's estimate of how often the annotator is right. */
  accuracy?: number
}

export type Consensus = {
  /** By task; all null where the votes decide nothing. */
  ranks: Ranks[]
  /** Of two responses, by the methods that estimate it: P(the first is better). */
  probs: (number | undefined)[]
  annotators: Quality[]
}

type Pair = { i: number; j: number; verdicts: { annotator: number; verdict: Comparison['verdict'] }[] }
const first = 0
const tie = 1
const second = 2

export const consensusOf = (tasks: readonly Task[], method: ConsensusMethod): Consensus => {
  const names = new Map<string, number>()
  const numberOf = (name: string) => names.get(name) ?? names.set(name, names.size).get(name)!
  const pairs = tasks.map(({ votes }) => {
    const found = new Map<string, Pair>()
    for (const { ranks, vote } of votes) {
      const annotator = numberOf(vote?.annotator === undefined ? 'unknown' : String(vote.annotator))
      for (const { i, j, verdict } of comparisonsOf(ranks)) {
        const key = `${i} ${j}`
        const pair = found.get(key) ?? found.set(key, { i, j, verdicts: [] }).get(key)!
        pair.verdicts.push({ annotator, verdict })
      }
    }
    return [...found.values()]
  })
  const { ranks, probs, accuracy } = deciders[method](tasks, pairs, names.size)
  const counts = Array.from({ length: names.size }, () => ({ votes: 0, same: 0 }))
  for (const [t, of] of pairs.entries())
    for (const { i, j, verdicts } of of)
      for (const { annotator, verdict } of verdicts) {
        counts[annotator].votes++
        if (comparisonsOf([ranks[t][i], ranks[t][j]])[0]?.verdict === verdict) counts[annotator].same++
      }
  return {
    ranks,
    probs,
    annotators: Array.from(names, ([annotator, n]) => ({
      annotator,
      votes: counts[n].votes,
      agreement: counts[n].same / counts[n].votes,
      ...(accuracy && { accuracy: accuracy(n) }),
    })),
  }
}

type Decided = { ranks: Ranks[]; probs: (number | undefined)[]; accuracy?: (annotator: number) => number }
type Decide = (tasks: readonly Task[], pairs: readonly Pair[][], annotators: number) => Decided

const majority: Decide = (tasks, pairs) => ({
  ranks: tasks.map(({ responses }, t) =>
    ranksOf(
      responses.length,
      pairs[t].map(({ i, j, verdicts }) => ({ i, j, verdict: mostFrequent(verdicts.map(({ verdict }) => verdict)) })),
    ),
  ),
  probs: tasks.map(() => undefined),
})

/** A tie where two verdicts share the lead. */
const mostFrequent = (verdicts: readonly Comparison['verdict'][]): Comparison['verdict'] => {
  const counts = [first, tie, second].map((one) => verdicts.filter((verdict) => verdict === one).length)
  const most = Math.max(...counts)
  const leaders = ([first, tie, second] as const).filter((one) => counts[one] === most)
  return leaders.length === 1 ? leaders[0] : tie
}

/** Strengths of the responses of each task. One tie of every pair that was compared is added, so that they are finite. */
const byStrength: Decide = (tasks, pairs) => {
  const strengths = tasks.map(({ responses }, t) => strengthsOf(responses.length, pairs[t]))
  return {
    ranks: strengths.map((of) => byValue(of)),
    probs: strengths.map((of) =>
      of.length === 2 && of[0] !== null && of[1] !== null ? 1 / (1 + Math.exp(of[1] - of[0])) : undefined,
    ),
  }
}

const strengthsOf = (responses: number, pairs: readonly Pair[]): (number | null)[] => {
  const compared = [...new Set(pairs.flatMap(({ i, j }) => [i, j]))]
  const wins = compared.map(() => compared.map(() => 0))
  for (const { i, j, verdicts } of pairs) {
    const [a, b] = [compared.indexOf(i), compared.indexOf(j)]
    const won = verdicts.reduce((sum, { verdict }) => sum + (second - verdict) / 2, 0)
    wins[a][b] = won + 0.5
    wins[b][a] = verdicts.length - won + 0.5
  }
  const fit = compared.length ? bradleyTerry(wins) : undefined
  return Array.from({ length: responses }, (_, i) => {
    const at = compared.indexOf(i)
    return at < 0 || !fit ? null : fit.strengths[at]
  })
}

const bySkill: Decide = (tasks, pairs, annotators) => {
  const flat = pairs.flat()
  const votes: NumberedVote[] = flat.flatMap(({ verdicts }, item) =>
    verdicts.map(({ annotator, verdict }) => ({ item, annotator, label: verdict })),
  )
  const fit = dawidSkene(votes, { items: flat.length, annotators, classes: 3 })
  let at = 0
  const posteriors = pairs.map((of) => of.map(() => fit.posterior[at++]))
  return {
    ranks: tasks.map(({ responses }, t) =>
      ranksOf(
        responses.length,
        pairs[t].map(({ i, j }, p) => ({ i, j, verdict: likeliest(posteriors[t][p]) })),
      ),
    ),
    probs: tasks.map(({ responses }, t) =>
      responses.length === 2 && pairs[t].length ? posteriors[t][0][first] + posteriors[t][0][tie] / 2 : undefined,
    ),
    accuracy: (annotator) => accuracyOf(fit, annotator),
  }
}

/** A tie where two verdicts are as likely. */
const likeliest = (shares: readonly number[]): Comparison['verdict'] => {
  const most = Math.max(...shares)
  const leaders = ([first, tie, second] as const).filter((one) => most - shares[one] < 1e-9)
  return leaders.length === 1 ? leaders[0] : tie
}

const deciders: Record<ConsensusMethod, Decide> = {
  majority,
  'bradley-terry': byStrength,
  'dawid-skene': bySkill,
}

/** Ranks by how many others each response beats; null for one that was never compared. */
const ranksOf = (responses: number, comparisons: readonly Comparison[]): Ranks => {
  const points = new Array<number | null>(responses).fill(null)
  for (const { i, j, verdict } of comparisons) {
    points[i] = (points[i] ?? 0) + (second - verdict) / 2
    points[j] = (points[j] ?? 0) + verdict / 2
  }
  return byValue(points)
}

/** Rank 1 for the highest value; equal values share a rank and use up those behind it. */
const byValue = (values: readonly (number | null)[]): Ranks =>
  values.map((value) =>
    value === null ? null : 1 + values.filter((other) => other !== null && other > value + 1e-9).length,
  )

export type LabelConsensus = {
  items: { item: string; label: string | null; share: number; votes: number }[]
  annotators: Quality[]
}

/**
 * Consensus of labels. The label is null where two share the lead; `share` is the part of the votes, or by Dawid-Skene the
 * probability, that the label has.
 */
export const labelConsensus = (
  votes: readonly { item: string; annotator: string; label: string }[],
  method: Exclude<ConsensusMethod, 'bradley-terry'>,
): LabelConsensus => {
  const numbered = (names: readonly string[]) => [...new Set(names)]
  const items = numbered(votes.map(({ item }) => item))
  const annotators = numbered(votes.map(({ annotator }) => annotator))
  const labels = numbered(votes.map(({ label }) => label))
  const place = (names: readonly string[]) => new Map(names.map((name, i) => [name, i]))
  const [itemAt, annotatorAt, labelAt] = [place(items), place(annotators), place(labels)]
  const flat = votes.map(({ item, annotator, label }) => ({
    item: itemAt.get(item)!,
    annotator: annotatorAt.get(annotator)!,
    label: labelAt.get(label)!,
  }))
  const counts = items.map(() => labels.map(() => 0))
  for (const { item, label } of flat) counts[item][label]++
  const total = counts.map((row) => row.reduce((a, b) => a + b, 0))
  const fit =
    method === 'dawid-skene'
      ? dawidSkene(flat, { items: items.length, annotators: annotators.length, classes: labels.length })
      : undefined
  const shares = fit?.posterior ?? counts.map((row, i) => row.map((n) => n / total[i]))
  const decided = shares.map((row) => {
    const most = Math.max(...row)
    const leaders = row.flatMap((share, k) => (most - share < 1e-9 ? [k] : []))
    return { label: leaders.length === 1 ? leaders[0] : undefined, share: most }
  })
  const own = annotators.map(() => ({ votes: 0, same: 0 }))
  for (const { item, annotator, label } of flat) {
    own[annotator].votes++
    if (decided[item].label === label) own[annotator].same++
  }
  return {
    items: items.map((item, i) => ({
      item,
      label: decided[i].label === undefined ? null : labels[decided[i].label],
      share: decided[i].share,
      votes: total[i],
    })),
    annotators: annotators.map((annotator, n) => ({
      annotator,
      votes: own[n].votes,
      agreement: own[n].same / own[n].votes,
      ...(fit && { accuracy: accuracyOf(fit, n) }),
    })),
  }
}
