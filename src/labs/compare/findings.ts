/**
 * All numbers of a comparison, from completions and their rewards.
 *
 * Two questions are asked: which of the policies is better, and whether each is better than the base model. The tests of a
 * question, over all its pairs and judges, are corrected together (Holm).
 */
import type { Interval } from '../../statistics/intervals.ts'
import { type Clusters, type Draws, holm, makeDraws, meanInterval, picked } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import { countNgrams, distinctNgrams, selfBleu, tokenize13a } from './diversity.ts'
import { type AtEqualKl, bestOfN, type PathPoint, rewardAtEqualKl, type TrainingPath } from './kl.ts'
import {
  commonestShare,
  countFailed,
  type PerCompletion,
  promptMeans,
  type Runs,
  type Scale,
  scaleOf,
  standardized,
} from './rewards.ts'
import { type Comparison, comparePair } from './winRates.ts'

/** The completions of one model and what was measured on them. */
export type ScoredCompletions = {
  /** 'step 20', or 'end' for a final model. */
  name: string
  texts: PerCompletion<string>
  tokens: PerCompletion
  /** 1 where the completion was cut off at the maximum length. */
  cut: PerCompletion
  /** Estimates of KL(policy || base), nats; undefined for the base model, and where the tokenizers differ. */
  kl?: { k1: PerCompletion; k3: PerCompletion }
  /** By judge. */
  rewards: ReadonlyMap<string, PerCompletion>
}

type PolicyCompletions = {
  name: string
  /** [training seeds][checkpoints] by step; the final model is the last. */
  runs: readonly (readonly ScoredCompletions[])[]
}

export type JudgeInfo = {
  name: string
  /** Names of the policies that were trained on it. */
  trained: readonly string[]
}

export type ComparisonData = {
  sft: ScoredCompletions
  policies: readonly PolicyCompletions[]
  judges: readonly JudgeInfo[]
  seed: number
  /** A column of the data, and its value in each prompt's row: prompts of one value are drawn together. */
  clusters?: { column: string; of: readonly string[] }
}

export type PolicyFindings = {
  name: string
  runs: number
  tokens: Interval
  /** Share of completions that were cut off. */
  cut: number
  kl?: { k1: Interval; k3: Interval }
  /** distinct-1, distinct-2 and distinct-3. */
  distinct: number[]
  selfBleu: Interval
}

/**
 * The mean reward of one policy under one judge; `standardised` in standard deviations of the base model's rewards, from their
 * mean. `failed`: completions that the judge could not score.
 */
export type Cell = { policy: string; judge: string; reward: Interval; standardised?: Interval; failed: number }

export type PairFindings = Comparison & {
  /** The reward of the policy of higher KL, at the KL of the other one. */
  equalKl?: AtEqualKl & { farther: string }
}

/** The mean KL and the mean standardized reward of a checkpoint, with intervals over prompts. */
type FrontierPoint = { name: string; kl: Interval; reward: Interval }

/** Reward against KL under one judge: one path for each training run, and best-of-n of the base model. */
export type Frontier = {
  judge: string
  paths: { policy: string; points: FrontierPoint[] }[]
  best: { n: number; kl: number; reward: Interval }[]
}

/** What findings.json holds. `between` compares each pair of policies, `against` each policy with the base model. */
export type CompareFindings = {
  sft: string
  prompts: number
  /** By what prompts are drawn together, and how many clusters of them there are. */
  clusters?: { column: string; count: number }
  samples: number
  judges: (JudgeInfo & {
    /** Mean and standard deviation of its rewards of the base model. */
    scale?: Scale
    /** Share of the base model's completions that have the commonest of its rewards; null where it gave none. */
    commonest: number | null
    /** Prompts on which it gave every model a reward. */
    prompts: number
    failed: number
  })[]
  policies: PolicyFindings[]
  table: Cell[]
  between: PairFindings[]
  against: PairFindings[]
  frontiers: Frontier[]
}

const finalModels = (policy: PolicyCompletions): ScoredCompletions[] => policy.runs.map((run) => run.at(-1)!)
/** A value for each completion of a policy's final models. */
const runsOf = (policy: PolicyCompletions, of: (completions: ScoredCompletions) => PerCompletion): Runs =>
  finalModels(policy).map(of)
const rewardsOf =
  (judge: string) =>
  ({ rewards }: ScoredCompletions) =>
    rewards.get(judge) ?? []
const charactersOf = ({ texts }: ScoredCompletions): PerCompletion => texts.map((row) => row.map((text) => text.length))

export const findingsOf = (data: ComparisonData, draws: Draws = makeDraws(data.seed)): CompareFindings => {
  const sft: PolicyCompletions = { name: data.sft.name, runs: [[data.sft]] }
  const all = [sft, ...data.policies]
  const judges = data.judges.map(({ name }) => name)
  const scales = new Map(judges.map((judge) => [judge, scaleOf(runsOf(sft, rewardsOf(judge)))]))
  const units: Units = { draws, clusters: data.clusters?.of }
  const context: JudgeContext = { judges, scales, units }
  const pairs = data.policies.flatMap((a, i) => data.policies.slice(i + 1).map((b) => [a, b] as const))
  return {
    sft: sft.name,
    prompts: data.sft.texts.length,
    ...(data.clusters && {
      clusters: { column: data.clusters.column, count: new Set(data.clusters.of).size },
    }),
    samples: data.sft.texts[0]?.length ?? 0,
    judges: data.judges.map((judge) => ({
      ...judge,
      scale: scales.get(judge.name),
      commonest: orNull(commonestShare(runsOf(sft, rewardsOf(judge.name)))),
      prompts: judgedPrompts(all.map((policy) => promptMeans(runsOf(policy, rewardsOf(judge.name))))),
      failed: all.reduce((sum, policy) => sum + countFailed(runsOf(policy, rewardsOf(judge.name))), 0),
    })),
    policies: policiesOf(all, units),
    table: all.flatMap((policy) => judges.map((judge) => cellOf(policy, judge, scales.get(judge), units))),
    between: corrected(pairs.flatMap(([a, b]) => comparePolicies(a, b, context))),
    against: corrected(
      data.policies.flatMap((policy) => comparePolicies(policy, repeated(sft, policy.runs.length), context)),
    ),
    frontiers: judges.flatMap((judge) => frontierOf(sft, data.policies, judge, scales.get(judge), units) ?? []),
  }
}

const orNull = (value: number) => (Number.isFinite(value) ? value : null)

/** @param means [policies][prompts] */
const judgedPrompts = ([first, ...others]: readonly (readonly number[])[]): number =>
  first.filter((mean, i) => [mean, ...others.map((means) => means[i])].every(Number.isFinite)).length

/** The base model as if it had one run for each training seed of a policy: it is compared with every one of them. */
const repeated = (sft: PolicyCompletions, times: number): PolicyCompletions => ({
  name: sft.name,
  runs: Array.from({ length: times }, () => sft.runs[0]),
})

type JudgeContext = { judges: readonly string[]; scales: ReadonlyMap<string, Scale | undefined>; units: Units }

/** Compares two policies under each judge. */
const comparePolicies = (
  a: PolicyCompletions,
  b: PolicyCompletions,
  { judges, scales, units }: JudgeContext,
): PairFindings[] =>
  judges.map((judge) => {
    const judged = (policy: PolicyCompletions) => ({
      name: policy.name,
      rewards: runsOf(policy, rewardsOf(judge)),
      lengths: runsOf(policy, charactersOf),
    })
    const scale = scales.get(judge)
    const comparison = comparePair(judged(a), judged(b), judge, { ...units, scale })
    const equalKl = scale && equalKlOf(a, b, judge, scale, units)
    return { ...comparison, ...(equalKl && { equalKl }) }
  })

/** Undefined where the KL of neither policy is clearly larger, or where a KL is not known. */
const equalKlOf = (a: PolicyCompletions, b: PolicyCompletions, judge: string, scale: Scale, units: Units) => {
  const [pathsA, pathsB] = [a, b].map(({ runs }) => runs.map((run) => trainingPathOf(run, judge, scale)))
  for (const [far, near, farther] of [
    [pathsA, pathsB, a.name],
    [pathsB, pathsA, b.name],
  ] as const) {
    const atEqualKl = rewardAtEqualKl(far, near, judge, units.draws, units.clusters)
    if (atEqualKl) return { ...atEqualKl, farther }
  }
  return undefined
}

/** The checkpoints of a run as points of reward against KL, without those of which no KL is known. */
const trainingPathOf = (run: readonly ScoredCompletions[], judge: string, scale: Scale): TrainingPath =>
  run.flatMap(({ name, kl, rewards }): PathPoint[] => {
    if (!kl) return []
    const values = promptMeans([standardized(rewards.get(judge) ?? [], scale)])
    return [{ name, kl: promptMeans([kl.k1]), rewards: new Map([[judge, values]]) }]
  })

/** Corrects the p of all tests together. A pair that has rewards for fewer than two prompts has no p and counts as no test. */
const corrected = (pairs: PairFindings[]): PairFindings[] => {
  const tested = pairs.filter(({ p }) => Number.isFinite(p))
  const ps = new Map(holm(tested.map(({ p }) => p)).map((p, i) => [tested[i], p]))
  return pairs.map((pair) => ({ ...pair, corrected: ps.get(pair) ?? pair.p }))
}

/** What is drawn for intervals and tests: prompts, or clusters of them. */
type Units = { draws: Draws; clusters: Clusters }

/** The mean of the values that are known, one for each prompt. */
const meanOfKnown = (values: readonly number[], { draws, clusters }: Units): Interval => {
  const known = values.flatMap((value, i) => (Number.isFinite(value) ? [i] : []))
  return meanInterval(picked(values, known), draws, clusters && picked(clusters, known))
}

const cellOf = (policy: PolicyCompletions, judge: string, scale: Scale | undefined, units: Units): Cell => {
  const rewards = runsOf(policy, rewardsOf(judge))
  const over = (runs: Runs) => meanOfKnown(promptMeans(runs), units)
  return {
    policy: policy.name,
    judge,
    reward: over(rewards),
    standardised: scale && over(rewards.map((run) => standardized(run, scale))),
    failed: countFailed(rewards),
  }
}

const policiesOf = (all: readonly PolicyCompletions[], units: Units): PolicyFindings[] => {
  /** Of each policy [runs][prompts][samples] the words of a completion. */
  const words = new Map(
    all.map((policy) => [policy, finalModels(policy).map(({ texts }) => texts.map((row) => row.map(tokenize13a)))]),
  )
  /** [runs][prompts * samples] */
  const completionsOf = (policy: PolicyCompletions) => words.get(policy)!.map((run) => run.flat())
  // distinct-n compares policies only over the same number of n-grams: that of the run with the fewest
  const ngramLimits = [1, 2, 3].map((n) => ({
    n,
    most: Math.min(...all.flatMap((policy) => completionsOf(policy).map((texts) => countNgrams(texts, n)))),
  }))
  return all.map((policy) => {
    const over = (of: (completions: ScoredCompletions) => PerCompletion) =>
      meanOfKnown(promptMeans(runsOf(policy, of)), units)
    const selfBleus = words.get(policy)!.map((run) => run.map((completions) => [selfBleu(completions)]))
    const hasKl = finalModels(policy).every(({ kl }) => kl)
    return {
      name: policy.name,
      runs: policy.runs.length,
      tokens: over(({ tokens }) => tokens),
      cut: mean(promptMeans(runsOf(policy, ({ cut }) => cut))),
      ...(hasKl && { kl: { k1: over(({ kl }) => kl!.k1), k3: over(({ kl }) => kl!.k3) } }),
      distinct: ngramLimits.map(({ n, most }) =>
        mean(completionsOf(policy).map((texts) => distinctNgrams(texts, n, most))),
      ),
      selfBleu: meanOfKnown(promptMeans(selfBleus), units),
    }
  })
}

/** Reward against KL of every run. Undefined where the base model's rewards do not vary, or where no KL is known. */
const frontierOf = (
  sft: PolicyCompletions,
  policies: readonly PolicyCompletions[],
  judge: string,
  scale: Scale | undefined,
  units: Units,
): Frontier | undefined => {
  if (!scale) return undefined
  const over = (values: readonly number[]) => meanOfKnown(values, units)
  const paths = policies.flatMap(({ name, runs }) =>
    runs.map((run) => ({
      policy: name,
      points: trainingPathOf(run, judge, scale).map((point) => ({
        name: point.name,
        kl: over(point.kl),
        reward: over(point.rewards.get(judge) ?? []),
      })),
    })),
  )
  if (!paths.some(({ points }) => points.length)) return undefined
  const sftRewards = runsOf(sft, rewardsOf(judge)).map((run) => standardized(run, scale))
  return { judge, paths, best: bestOfN(sftRewards, units.draws, units.clusters) }
}
