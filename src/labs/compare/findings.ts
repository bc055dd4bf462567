/**
 * All numbers of a comparison, from completions and their rewards.
 *
 * Two questions are asked: which of the policies is better, and whether each is better than the SFT policy. The tests of a
 * question, over all its pairs and judges, are corrected together (Holm).
 */
import type { Interval } from '../../statistics/intervals.ts'
import { type Draws, holm, makeDraws, meanInterval } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import { countNgrams, distinctNgrams, selfBleu, tokenize13a } from './diversity.ts'
import { type AtEqualKl, bestOfN, type PathPoint, rewardAtEqualKl, type TrainingPath } from './kl.ts'
import {
  countFailed,
  type PerCompletion,
  promptMeans,
  type Runs,
  type Scale,
  scaleOf,
  standardized,
} from './rewards.ts'
import { type Comparison, comparePair } from './winRates.ts'

/** The completions of one model, with what was measured of them. */
export type ScoredCompletions = {
  /** 'step 20', or 'end' for a final model. */
  name: string
  texts: PerCompletion<string>
  tokens: PerCompletion
  /** 1 where the completion was cut off at the maximum length. */
  cut: PerCompletion
  /** Estimates of KL(policy || SFT), nats; undefined for the SFT policy, and where the tokenizers differ. */
  kl?: { k1: PerCompletion; k3: PerCompletion }
  /** By judge. */
  rewards: ReadonlyMap<string, PerCompletion>
}

type PolicyCompletions = {
  name: string
  /** Of each training seed its checkpoints by step, the final model last. */
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

/** One policy under one judge; `standardised` is in standard deviations of the SFT policy's rewards. */
export type Cell = { policy: string; judge: string; reward: Interval; standardised?: Interval; failed: number }

export type PairFindings = Comparison & {
  /** The reward of the policy of higher KL, at the KL of the other one. */
  equalKl?: AtEqualKl & { farther: string }
}

/** A point of reward against KL, with intervals over prompts. */
type FrontierPoint = { name: string; kl: Interval; reward: Interval }

export type Frontier = {
  judge: string
  paths: { policy: string; points: FrontierPoint[] }[]
  best: { n: number; kl: number; reward: Interval }[]
}

/** What findings.json holds. `between` compares the policies, `against` each of them with the SFT policy. */
export type CompareFindings = {
  sft: string
  prompts: number
  samples: number
  judges: (JudgeInfo & { scale?: Scale; failed: number })[]
  policies: PolicyFindings[]
  table: Cell[]
  between: PairFindings[]
  against: PairFindings[]
  frontiers: Frontier[]
}

const finalModels = (policy: PolicyCompletions): ScoredCompletions[] => policy.runs.map((run) => run.at(-1)!)
const runsOf = (policy: PolicyCompletions, of: (completions: ScoredCompletions) => PerCompletion): Runs =>
  finalModels(policy).map(of)
const rewardsOf =
  (judge: string) =>
  ({ rewards }: ScoredCompletions) =>
    rewards.get(judge) ?? []
const charactersOf = ({ texts }: ScoredCompletions): PerCompletion => texts.map((row) => row.map((text) => text.length))

export const findingsOf = (data: ComparisonData, draws: Draws = makeDraws(data.seed)): CompareFindings => {
  const sft: PolicyCompletions = { name: data.sft.name, runs: [[data.sft]] }
  const scales = new Map(data.judges.map(({ name }) => [name, scaleOf(runsOf(sft, rewardsOf(name)))]))
  const all = [sft, ...data.policies]
  const names = data.judges.map(({ name }) => name)
  const context = { judges: names, scales, draws }
  const pairs = data.policies.flatMap((a, i) => data.policies.slice(i + 1).map((b) => [a, b] as const))
  return {
    sft: sft.name,
    prompts: data.sft.texts.length,
    samples: data.sft.texts[0]?.length ?? 0,
    judges: data.judges.map((judge) => ({
      ...judge,
      scale: scales.get(judge.name),
      failed: all.reduce((sum, policy) => sum + countFailed(runsOf(policy, rewardsOf(judge.name))), 0),
    })),
    policies: policiesOf(all, draws),
    table: all.flatMap((policy) => names.map((judge) => cellOf(policy, judge, scales.get(judge), draws))),
    between: corrected(pairs.flatMap(([a, b]) => comparePolicies(a, b, context))),
    against: corrected(
      data.policies.flatMap((policy) => comparePolicies(policy, repeated(sft, policy.runs.length), context)),
    ),
    frontiers: names.flatMap((judge) => frontierOf(sft, data.policies, judge, scales.get(judge), draws) ?? []),
  }
}

/** The SFT policy has one run; it is compared with every training seed of a policy. */
const repeated = (sft: PolicyCompletions, times: number): PolicyCompletions => ({
  name: sft.name,
  runs: Array.from({ length: times }, () => sft.runs[0]),
})

type JudgeContext = { judges: readonly string[]; scales: ReadonlyMap<string, Scale | undefined>; draws: Draws }

const comparePolicies = (
  a: PolicyCompletions,
  b: PolicyCompletions,
  { judges, scales, draws }: JudgeContext,
): PairFindings[] =>
  judges.map((judge) => {
    const judged = (policy: PolicyCompletions) => ({
      name: policy.name,
      rewards: runsOf(policy, rewardsOf(judge)),
      lengths: runsOf(policy, charactersOf),
    })
    const scale = scales.get(judge)
    const comparison = comparePair(judged(a), judged(b), judge, { draws, scale })
    const equalKl = scale && equalKlOf(a, b, judge, scale, draws)
    return { ...comparison, ...(equalKl && { equalKl }) }
  })

const equalKlOf = (a: PolicyCompletions, b: PolicyCompletions, judge: string, scale: Scale, draws: Draws) => {
  const [pathsA, pathsB] = [a, b].map(({ runs }) => runs.map((run) => trainingPathOf(run, judge, scale)))
  for (const [far, near, farther] of [
    [pathsA, pathsB, a.name],
    [pathsB, pathsA, b.name],
  ] as const) {
    const atEqualKl = rewardAtEqualKl(far, near, judge, draws)
    if (atEqualKl) return { ...atEqualKl, farther }
  }
  return undefined
}

/** Empty where the KL is not known. */
const trainingPathOf = (run: readonly ScoredCompletions[], judge: string, scale: Scale): TrainingPath =>
  run.flatMap(({ name, kl, rewards }): PathPoint[] => {
    if (!kl) return []
    const values = promptMeans([standardized(rewards.get(judge) ?? [], scale)])
    return [{ name, kl: promptMeans([kl.k1]), rewards: new Map([[judge, values]]) }]
  })

/** Corrects the p of all tests together. A pair with a reward on fewer than two prompts has no p, and is not a test. */
const corrected = (pairs: PairFindings[]): PairFindings[] => {
  const tested = pairs.filter(({ p }) => Number.isFinite(p))
  const ps = new Map(holm(tested.map(({ p }) => p)).map((p, i) => [tested[i], p]))
  return pairs.map((pair) => ({ ...pair, corrected: ps.get(pair) ?? pair.p }))
}

const finite = (values: readonly number[]) => values.filter(Number.isFinite)

const cellOf = (policy: PolicyCompletions, judge: string, scale: Scale | undefined, draws: Draws): Cell => {
  const rewards = runsOf(policy, rewardsOf(judge))
  const over = (runs: Runs) => meanInterval(finite(promptMeans(runs)), draws)
  return {
    policy: policy.name,
    judge,
    reward: over(rewards),
    standardised: scale && over(rewards.map((run) => standardized(run, scale))),
    failed: countFailed(rewards),
  }
}

const policiesOf = (all: readonly PolicyCompletions[], draws: Draws): PolicyFindings[] => {
  const words = new Map(
    all.map((policy) => [policy, finalModels(policy).map(({ texts }) => texts.map((row) => row.map(tokenize13a)))]),
  )
  /** [runs] the words of all completions of a run, whatever the prompt. */
  const completionsOf = (policy: PolicyCompletions) => words.get(policy)!.map((run) => run.flat())
  const fewest = [1, 2, 3].map((n) =>
    Math.min(...all.flatMap((policy) => completionsOf(policy).map((texts) => countNgrams(texts, n)))),
  )
  return all.map((policy) => {
    const over = (of: (completions: ScoredCompletions) => PerCompletion) =>
      meanInterval(finite(promptMeans(runsOf(policy, of))), draws)
    const selfBleus = words.get(policy)!.map((run) => run.map((completions) => [selfBleu(completions)]))
    const hasKl = finalModels(policy).every(({ kl }) => kl)
    return {
      name: policy.name,
      runs: policy.runs.length,
      tokens: over(({ tokens }) => tokens),
      cut: mean(promptMeans(runsOf(policy, ({ cut }) => cut))),
      ...(hasKl && { kl: { k1: over(({ kl }) => kl!.k1), k3: over(({ kl }) => kl!.k3) } }),
      distinct: fewest.map((most, n) => mean(completionsOf(policy).map((texts) => distinctNgrams(texts, n + 1, most)))),
      selfBleu: meanInterval(finite(promptMeans(selfBleus)), draws),
    }
  })
}

/** Reward against KL of every run. Undefined where the SFT policy's rewards do not vary, or where no KL is known. */
const frontierOf = (
  sft: PolicyCompletions,
  policies: readonly PolicyCompletions[],
  judge: string,
  scale: Scale | undefined,
  draws: Draws,
): Frontier | undefined => {
  if (!scale) return undefined
  const over = (values: readonly number[]) => meanInterval(finite(values), draws)
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
  return { judge, paths, best: bestOfN(sftRewards, draws) }
}
