/**
 * Replays GRPO and RLOO runs of TRL 1.16 with attune's passes, objective and optimizer.
 * Completions, advantages and old log-probs are TRL's. Compared are loss, gradient norm and metrics of each step, the gradient of
 * the first step, the final weights, and advantages computed from rewards. Completions of a prompt share a pass, as in training.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { packs } from '../../src/data/batch.ts'
import { groupAdvantages, leaveOneOut, normalized, type RewardScale } from '../../src/objectives/advantages.ts'
import { tokenWeights } from '../../src/objectives/aggregation.ts'
import {
  type LossType,
  lossTypes,
  type PolicyLossSettings,
  policyGradientObjective,
} from '../../src/recipes/rl/policyLoss.ts'
import { openPolicy, type Policy } from '../../src/recipes/trainer/policy.ts'
import { sftSchema } from '../../src/recipes/trainer/schema.ts'
import type { BatchArray } from '../../src/train/loss.ts'
import type { MicroBatch } from '../../src/train/micro.ts'
import { trainStep } from '../../src/train/step.ts'
import { fixture, largestDifference } from '../support/golden.ts'
import type { Summary } from '../support/trl.ts'

// How TRL combines several rewards. attune leaves out a sample if one of its rewards failed (rewards/rewards.ts).

/**
 * A sample's reward from those of several functions: their weighted sum, without those that failed; NaN where all did.
 * @param rewards of each function, weighed by `weights`
 */
const weightedReward = (rewards: readonly number[], weights: readonly number[]): number =>
  rewards.every(Number.isNaN)
    ? Number.NaN
    : rewards.reduce((sum, reward, f) => (Number.isNaN(reward) ? sum : sum + weights[f] * reward), 0)

/**
 * Each function's rewards scaled within the group before they are added up, so that none drowns another by its scale;
 * the sums are then normalised over the batch (GDPO, arXiv 2601.05242; TRL's normalize_then_sum).
 * @param groups rewards by prompt, sample and function
 */
const normalizedThenSummed = (
  groups: readonly (readonly (readonly number[])[])[],
  weights: readonly number[],
): number[][] => {
  const of = weights.map((_, f) =>
    groupAdvantages(
      groups.map((group) => group.map((sample) => sample[f])),
      'group',
    ),
  )
  const sums = groups.map((group, g) => group.map((_, i) => weights.reduce((sum, w, f) => sum + w * of[f][g][i], 0)))
  return normalized(sums, (g, i) => groups[g][i].every(Number.isNaN))
}

type Row = {
  prompt: number[]
  completion: number[]
  advantage: number
  old?: number[]
  ref?: number[]
  old_logps?: number
}
type Rolled = { advantage: number; rewards: (number | null)[]; old_logps?: number; ref_logps?: number }
type Run = {
  name: string
  asked: {
    num_generations: number
    max_completion_length: number
    beta?: number
    temperature?: number
    loss_type?: LossType
    epsilon?: number
    epsilon_high?: number
    delta?: number
    importance_sampling_level?: 'token' | 'sequence'
    use_bias_correction_kl?: boolean
    top_entropy_quantile?: number
    entropy_coef?: number
    scale_rewards?: RewardScale
    reward_weights?: number[]
    multi_objective_aggregation?: string
    normalize_advantages?: boolean
    reward_clip_range?: [number, number]
  }
  optimizer: { learning_rate: number; max_grad_norm: number; steps: number }
  tolerance: Record<'loss' | 'grad_norm' | 'final' | 'first_gradient' | 'advantages', number>
  steps: ({ loss: number; grad_norm: number } & Record<string, number>)[]
  batches: Row[][][]
  rollouts: Rolled[][]
  first_gradient: Record<string, Summary>
  final: Record<string, Summary>
}

const all: Run[] = JSON.parse(gunzipSync(readFileSync(fixture('trl/policy.json.gz'))).toString())
const isRloo = ({ name }: Run) => name.startsWith('rloo')

/** TRL's settings as options of attune. */
const settingsOf = (run: Run): PolicyLossSettings => {
  const { asked, batches } = run
  const epsilonLow = asked.epsilon ?? 0.2
  const shared = { epsilonLow, epsilonHigh: asked.epsilon_high ?? epsilonLow, klEstimator: 'k3' as const }
  // In RLOO the KL is part of the reward
  if (isRloo(run)) return { ...shared, loss: 'clip', ratio: 'completion', beta: 0, entropyCoef: 0, hasOldLogps: true }
  return {
    ...shared,
    loss: lossTypes[asked.loss_type ?? 'dapo'].loss,
    ratio: asked.importance_sampling_level ?? 'token',
    delta: asked.delta,
    beta: asked.beta ?? 0,
    useBiasCorrectionKl: asked.use_bias_correction_kl ?? true,
    entropyCoef: asked.entropy_coef ?? 0,
    topEntropyQuantile: asked.top_entropy_quantile,
    hasOldLogps: batches[0][0][0].old !== undefined,
  }
}

const floats = (values: readonly number[]): BatchArray => ({
  values: Float32Array.from(values),
  shape: [values.length],
})

/** Packs rows of one prompt as branches of a tree. */
const byPrompt = (rows: readonly Row[]): Row[][] => {
  const groups = new Map<string, Row[]>()
  for (const row of rows) groups.set(row.prompt.join(), [...(groups.get(row.prompt.join()) ?? []), row])
  return [...groups.values()]
}

/** Old log-probs of a completion. TRL's RLOO keeps only their sum. */
const oldOf = ({ old, old_logps = 0, completion }: Row) => old ?? completion.map((_, t) => (t === 0 ? old_logps : 0))

const microOf = (rows: readonly Row[], weights: readonly number[]): MicroBatch => {
  const groups = byPrompt(rows)
  const K = Math.max(...groups.map((group) => group.length))
  const trees = groups.map((group) => ({ trunk: group[0].prompt, branches: group.map((row) => row.completion) }))
  const packed = packs(trees, K)
  const sequence = packed.flatMap(({ targets }) => Array.from(targets.sequence))
  const cells = groups.flatMap((group) => Array.from({ length: K }, (_, k): Row | undefined => group[k]))
  const next = cells.map(() => 0)
  const places = sequence.map((s) => next[s]++)
  const along = (value: (row: Row, t: number) => number) => floats(sequence.map((s, m) => value(cells[s]!, places[m])))
  return {
    packs: packed,
    weight: rows.length,
    arrays: {
      lengths: floats(cells.map((row) => row?.completion.length ?? 0)),
      advantages: floats(cells.map((row) => row?.advantage ?? 0)),
      weights: along((row) => weights[rows.indexOf(row)]),
      oldLogps: along((row, t) => oldOf(row)[t]),
      ...(rows[0].ref && { refLogps: along((row, t) => row.ref![t]) }),
    },
  }
}

const stepBatches = (run: Run, step: number): MicroBatch[] => {
  const { asked, batches } = run
  const aggregation = isRloo(run) ? 'grpo' : lossTypes[asked.loss_type ?? 'dapo'].aggregation
  const lengths = batches[step].map((rows) => rows.map(({ completion }) => completion.length))
  const weights = tokenWeights(aggregation, lengths, asked.max_completion_length)
  return batches[step].map((rows, i) => microOf(rows, weights[i]))
}

/** Metrics of the objective; the others belong to the rollout. In RLOO the ratio metrics are means over completions too. */
const compared = [
  ...['entropy', 'clip_ratio/low_mean', 'clip_ratio/low_min', 'clip_ratio/high_mean', 'clip_ratio/high_max'],
  ...['clip_ratio/region_mean', 'kl'],
]

const expectStep = (actual: Record<string, number>, expected: Run['steps'][number], run: Run) => {
  const { tolerance } = run
  const close = (name: string, slack: number) => {
    if (!(Math.abs(actual[name] - expected[name]) <= slack))
      expect.fail(`step ${expected.step}: ${name} is ${actual[name]}, not ${expected[name]}`)
  }
  close('loss', Math.max(1e-5, 5 * tolerance.loss))
  close('grad_norm', Math.max(1e-4, 5 * tolerance.grad_norm) * expected.grad_norm)
  const own = compared.filter((name) => name in expected && !(isRloo(run) && name === 'kl'))
  for (const name of own) close(name, 1e-4 * Math.max(0.2, Math.abs(expected[name])))
}

const expectSummary = (values: ArrayLike<number>, { norm, first }: Summary, slack: number, name: string) => {
  expect(Math.abs(Math.hypot(...Array.from(values)) - norm), `norm of ${name}`).toBeLessThanOrEqual(1e-5 * norm + slack)
  expect(largestDifference(Array.from(values).slice(0, first.length), first), name).toBeLessThanOrEqual(slack)
}

describe('a GRPO or RLOO run of TRL is reproduced in every step and the final weights', () => {
  let policy: Policy
  afterEach(() => policy.close())

  // The other runs use the same code; ATTUNE_TRL=all includes them
  const few = /-(dapo-kl|gspo|cispo|sapo|vespo|delta|entropy|entropy-bonus|temperature|accum)$|^rloo$/
  const runs = all.filter(({ name }) => process.env.ATTUNE_TRL === 'all' || few.test(name))

  it.each(runs)('$name', async (run) => {
    const settings = sftSchema.parse({ model: '-', output: '-', data: ['-'], threads: 1 })
    policy = await openPolicy(settings, { dir: fixture('trl/model') })
    const trainer = {
      ...policy,
      loss: policyGradientObjective(settingsOf(run)),
      head: { temperature: run.asked.temperature },
    }
    const { learning_rate: learningRate, max_grad_norm: maxGradNorm } = run.optimizer
    const largest = Math.max(...Object.values(run.first_gradient).map(({ norm }) => norm))
    for (const [i, expected] of run.steps.entries()) {
      const at = { step: i + 1, seed: 0, learningRate, maxGradNorm, rows: [] }
      const measured = await trainStep(trainer, stepBatches(run, i), at)
      expectStep(measured, expected, run)
      if (i > 0) continue
      for (const [name, summary] of Object.entries(run.first_gradient)) {
        const values = await policy.backend.read(policy.gradients.get(name)!)
        expectSummary(
          values,
          summary,
          Math.max(1e-5, 5 * run.tolerance.first_gradient) * largest,
          `gradient of ${name}`,
        )
      }
    }
    const slack = Math.max(1e-5, 3 * run.tolerance.final)
    for (const [name, summary] of Object.entries(run.final))
      expectSummary(await policy.backend.read(policy.model.params.get(name)!), summary, slack, name)
  })
})

describe('advantages from rewards equal TRL', () => {
  const split = <T>(items: readonly T[], size: number): T[][] =>
    Array.from({ length: items.length / size }, (_, i) => items.slice(i * size, (i + 1) * size))

  const advantagesOf = ({ asked, name }: Run, rolled: readonly Rolled[]): number[][] => {
    const groups = split(rolled, asked.num_generations)
    const perFunction = groups.map((group) => group.map(({ rewards }) => rewards.map((r) => r ?? Number.NaN)))
    const weights = asked.reward_weights ?? perFunction[0][0].map(() => 1)
    if (asked.multi_objective_aggregation) return normalizedThenSummed(perFunction, weights)
    const rewards = perFunction.map((group) => group.map((sample) => weightedReward(sample, weights)))
    if (!name.startsWith('rloo')) return groupAdvantages(rewards, asked.scale_rewards ?? 'group')
    const [low, high] = asked.reward_clip_range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    const shaped = rewards.map((group, g) =>
      group.map((reward, i) => {
        const { old_logps = 0, ref_logps = 0 } = groups[g][i]
        const clipped = Math.min(high, Math.max(low, reward))
        return asked.beta ? clipped - asked.beta * (old_logps - ref_logps) : clipped
      }),
    )
    const advantages = leaveOneOut(shaped)
    return asked.normalize_advantages ? normalized(advantages, (g, i) => Number.isNaN(shaped[g][i])) : advantages
  }

  it.each(all)('$name', (run) => {
    for (const rolled of run.rollouts) {
      const expected = rolled.map(({ advantage }) => advantage)
      const slack = Math.max(1e-6, 3 * run.tolerance.advantages)
      expect(largestDifference(advantagesOf(run, rolled).flat(), expected)).toBeLessThan(slack)
    }
  })
})
