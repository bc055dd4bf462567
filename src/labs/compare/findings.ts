/**
 * From answers with their rewards to everything that a comparison tells. Peculiar: two questions are asked, which of the
 * policies is better and whether each is better than the SFT policy; the tests of a question, over all its pairs and
 * judges, are corrected together.
 */

import type { Interval } from '../../statistics/intervals.ts'
import { type Draws, holm, makeDraws, meanInterval } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import { countNgrams, distinct, selfBleu, wordsOf } from './diversity.ts'
import { type AtEqualKl, atEqualKl, bestOfN, type Path, type Stop } from './kl.ts'
import {
  type Answers,
  type Comparison,
  comparePair,
  countFailed,
  promptMeans,
  type Runs,
  type Scale,
  scaleOf,
  standardised,
} from './rewards.ts'

/** Answers of one model to all prompts. */
export type Sampled = {
  /** 'step 20'; 'end'. */
  name: string
  texts: Answers<string>
  tokens: Answers
  /** 1 where the answer was cut off at its greatest length. */
  cut: Answers
  /** Estimates of KL(policy || SFT), nats; undefined for the SFT policy, and where it cannot be known. */
  kl?: { k1: Answers; k3: Answers }
  /** By judge. */
  rewards: ReadonlyMap<string, Answers>
}

type PolicyMaterial = {
  name: string
  /** Of each training seed its checkpoints in order, the end last. */
  runs: readonly (readonly Sampled[])[]
}

export type JudgeMaterial = {
  name: string
  /** Policies that were trained on it. */
  trained: readonly string[]
}

export type Material = {
  sft: Sampled
  policies: readonly PolicyMaterial[]
  judges: readonly JudgeMaterial[]
  seed: number
}

export type PolicyFindings = {
  name: string
  runs: number
  tokens: Interval
  /** Share of answers that were cut off. */
  cut: number
  kl?: { k1: Interval; k3: Interval }
  /** Distinct words, pairs and triples, as shares of equally many. */
  distinct: number[]
  selfBleu: Interval
}

export type Cell = { policy: string; judge: string; reward: Interval; standardised?: Interval; failed: number }

export type PairFindings = Comparison & {
  /** Of the two the one that has moved farther, at the other's distance. */
  equalKl?: AtEqualKl & { farther: string }
}

type PathPoint = { name: string; kl: Interval; reward: Interval }

export type Frontier = {
  judge: string
  paths: { policy: string; points: PathPoint[] }[]
  best: { n: number; kl: number; reward: Interval }[]
}

export type CompareFindings = {
  sft: string
  prompts: number
  samples: number
  judges: (JudgeMaterial & { scale?: Scale; failed: number })[]
  policies: PolicyFindings[]
  table: Cell[]
  between: PairFindings[]
  against: PairFindings[]
  frontiers: Frontier[]
}

const ends = (policy: PolicyMaterial): Sampled[] => policy.runs.map((run) => run.at(-1)!)
const runsOf = (policy: PolicyMaterial, of: (sampled: Sampled) => Answers): Runs => ends(policy).map(of)
const rewardsOf = (judge: string) => (sampled: Sampled) => sampled.rewards.get(judge) ?? []
const charactersOf = ({ texts }: Sampled): Answers => texts.map((row) => row.map((text) => text.length))

/** @param material the SFT policy is compared under its own name */
export const findingsOf = (material: Material, draws: Draws = makeDraws(material.seed)): CompareFindings => {
  const base: PolicyMaterial = { name: material.sft.name, runs: [[material.sft]] }
  const scales = new Map(material.judges.map(({ name }) => [name, scaleOf(runsOf(base, rewardsOf(name)))]))
  const all = [base, ...material.policies]
  const names = material.judges.map(({ name }) => name)
  const judged = { judges: names, scales, draws }
  const pairs = material.policies.flatMap((a, i) => material.policies.slice(i + 1).map((b) => [a, b] as const))
  return {
    sft: base.name,
    prompts: material.sft.texts.length,
    samples: material.sft.texts[0]?.length ?? 0,
    judges: material.judges.map((judge) => ({
      ...judge,
      scale: scales.get(judge.name),
      failed: all.reduce((sum, policy) => sum + countFailed(runsOf(policy, rewardsOf(judge.name))), 0),
    })),
    policies: policiesOf(all, draws),
    table: all.flatMap((policy) => names.map((judge) => cellOf(policy, judge, scales.get(judge), draws))),
    between: corrected(pairs.flatMap(([a, b]) => comparisons(a, b, judged))),
    against: corrected(material.policies.flatMap((policy) => comparisons(policy, sameOften(base, policy), judged))),
    frontiers: names.flatMap((judge) => frontierOf(base, material.policies, judge, scales.get(judge), draws) ?? []),
  }
}

/** The SFT policy has one run, whichever seed it is compared with. */
const sameOften = (base: PolicyMaterial, { runs }: PolicyMaterial): PolicyMaterial => ({
  ...base,
  runs: runs.map(() => base.runs[0]),
})

type Judged = { judges: readonly string[]; scales: ReadonlyMap<string, Scale | undefined>; draws: Draws }

const comparisons = (a: PolicyMaterial, b: PolicyMaterial, { judges, scales, draws }: Judged): PairFindings[] =>
  judges.map((judge) => {
    const side = (policy: PolicyMaterial) => ({
      name: policy.name,
      rewards: runsOf(policy, rewardsOf(judge)),
      lengths: runsOf(policy, charactersOf),
    })
    const scale = scales.get(judge)
    const compared = comparePair(side(a), side(b), judge, { draws, scale })
    const equalKl = scale && atSameKl(a, b, judge, scale, draws)
    return { ...compared, ...(equalKl && { equalKl }) }
  })

const atSameKl = (a: PolicyMaterial, b: PolicyMaterial, judge: string, scale: Scale, draws: Draws) => {
  const [pathsA, pathsB] = [a, b].map(({ runs }) => runs.map((run) => pathOf(run, judge, scale)))
  for (const [far, near, farther] of [
    [pathsA, pathsB, a.name],
    [pathsB, pathsA, b.name],
  ] as const) {
    const found = atEqualKl(far, near, judge, draws)
    if (found) return { ...found, farther }
  }
  return undefined
}

/** Without a divergence there is no place for it. */
const pathOf = (run: readonly Sampled[], judge: string, scale: Scale): Path =>
  run.flatMap(({ name, kl, rewards }): Stop[] => {
    if (!kl) return []
    const values = promptMeans([standardised(rewards.get(judge) ?? [], scale)])
    return [{ name, kl: promptMeans([kl.k1]), rewards: new Map([[judge, values]]) }]
  })

/** Tests of one prompt have no p, and are none. */
const corrected = (pairs: PairFindings[]): PairFindings[] => {
  const tested = pairs.filter(({ p }) => Number.isFinite(p))
  const ps = new Map(holm(tested.map(({ p }) => p)).map((p, i) => [tested[i], p]))
  return pairs.map((pair) => ({ ...pair, corrected: ps.get(pair) ?? pair.p }))
}

const finite = (values: readonly number[]) => values.filter(Number.isFinite)

const cellOf = (policy: PolicyMaterial, judge: string, scale: Scale | undefined, draws: Draws): Cell => {
  const rewards = runsOf(policy, rewardsOf(judge))
  const over = (runs: Runs) => meanInterval(finite(promptMeans(runs)), draws)
  return {
    policy: policy.name,
    judge,
    reward: over(rewards),
    standardised: scale && over(rewards.map((run) => standardised(run, scale))),
    failed: countFailed(rewards),
  }
}

const policiesOf = (all: readonly PolicyMaterial[], draws: Draws): PolicyFindings[] => {
  const words = new Map(
    all.map((policy) => [policy, ends(policy).map(({ texts }) => texts.map((row) => row.map(wordsOf)))] as const),
  )
  const flat = (policy: PolicyMaterial) => words.get(policy)!.map((run) => run.flat())
  const fewest = [1, 2, 3].map((n) =>
    Math.min(...all.flatMap((policy) => flat(policy).map((texts) => countNgrams(texts, n)))),
  )
  return all.map((policy) => {
    const over = (of: (sampled: Sampled) => Answers) => meanInterval(finite(promptMeans(runsOf(policy, of))), draws)
    const repeats = words.get(policy)!.map((run) => run.map((answers) => [selfBleu(answers)]))
    const known = ends(policy).every(({ kl }) => kl)
    return {
      name: policy.name,
      runs: policy.runs.length,
      tokens: over(({ tokens }) => tokens),
      cut: mean(promptMeans(runsOf(policy, ({ cut }) => cut))),
      ...(known && { kl: { k1: over(({ kl }) => kl!.k1), k3: over(({ kl }) => kl!.k3) } }),
      distinct: fewest.map((most, n) => mean(flat(policy).map((texts) => distinct(texts, n + 1, most)))),
      selfBleu: meanInterval(finite(promptMeans(repeats)), draws),
    }
  })
}

/** Undefined where the SFT policy's rewards do not vary, or where no divergence is known. */
const frontierOf = (
  base: PolicyMaterial,
  policies: readonly PolicyMaterial[],
  judge: string,
  scale: Scale | undefined,
  draws: Draws,
): Frontier | undefined => {
  if (!scale) return undefined
  const over = (values: readonly number[]) => meanInterval(finite(values), draws)
  const paths = policies.flatMap(({ name, runs }) =>
    runs.map((run) => ({
      policy: name,
      points: pathOf(run, judge, scale).map((stop) => ({
        ...{ name: stop.name, kl: over(stop.kl), reward: over(stop.rewards.get(judge) ?? []) },
      })),
    })),
  )
  if (!paths.some(({ points }) => points.length)) return undefined
  const own = runsOf(base, rewardsOf(judge)).map((run) => standardised(run, scale))
  return { judge, paths, best: bestOfN(own, draws) }
}
