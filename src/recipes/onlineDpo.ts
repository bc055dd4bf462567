/**
 * Online DPO (arXiv 2402.04792): the policy's own samples, ranked by their rewards, are the preferences that it learns from.
 * The samples of a prompt are one list for Plackett-Luce, which for two samples is DPO's logistic loss. Prompts whose
 * samples all have the same reward are left out.
 */

import { sum } from '../statistics/summary.ts'
import { methods } from './methods.ts'
import { openRlContext, requireSeveralGenerations } from './rl/context.ts'
import type { ComputedAdvantages, Experience, ExperienceBatch } from './rl/method.ts'
import { onlineDpoSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks, microBatches, microBatchTokens, rankedBatches, rankedTokens } from './trainer/collate.ts'
import { rankedObjective } from './trainer/objectives.ts'
import { recipe } from './trainer/recipe.ts'

export const onlineDpo = recipe(methods.onlineDpo, onlineDpoSchema, async function* (config, context) {
  // data, policy, reference, rewards
  requireSeveralGenerations(config)
  const rl = await openRlContext(config, context, { usesReference: true })
  // advantages: here the ranks of a prompt's samples
  const computeAdvantages = ({ rollout, rewards, refLogps }: Experience): ComputedAdvantages => ({
    // rows.jsonl has them as `places` and `ref_sums`
    columns: {
      places: chunks(rewards, rollout.perPrompt).flatMap(ranksOf),
      refSums: refLogps!.map(sum),
    },
  })
  // objective
  const objective = rankedObjective({
    losses: [{ name: 'plackett-luce', weight: 1 }],
    options: { beta: config.beta },
    reference: true,
    lists: true,
    prob: false,
    prompts: false,
  })
  const tokensAtOnce = microBatchTokens(rl.policy, objective)
  // loop
  yield* runRlTrainer(rl, {
    needs: { oldLogps: false, refLogps: true },
    computeAdvantages,
    loss: objective,
    aggregation: 'sum',
    batches: (batch, promptNumbers) => rankedMinibatches(batch, promptNumbers, config.batchSize, tokensAtOnce),
  })
})

/** Ranks of a prompt's samples: 1 for the highest reward, equal rewards share a rank; 0 where the reward failed. */
const ranksOf = (rewards: readonly number[]): number[] =>
  rewards.map((reward) => (Number.isNaN(reward) ? 0 : 1 + rewards.filter((other) => other > reward).length))

/** The micro-batches of one update: a list for each prompt, best first, without samples that failed or do not count. */
const rankedMinibatches = (
  { rollout, columns, mask }: ExperienceBatch,
  promptNumbers: readonly number[],
  batchSize: number,
  tokensAtOnce: number,
) => {
  const { prompts, samples, perPrompt } = rollout
  const ranks = columns.places as number[]
  const refLogps = columns.refSums as number[]
  const lists = promptNumbers.map((g) => {
    const all = Array.from({ length: perPrompt }, (_, k) => g * perPrompt + k)
    const counted = all.filter((i) => mask[i] && ranks[i] > 0).sort((a, b) => ranks[a] - ranks[b] || a - b)
    const hasPreference = new Set(counted.map((i) => ranks[i])).size > 1
    // Two of one rank have the loss 0 and no gradient, so an update on such prompts alone is still an update
    const listed = hasPreference ? counted : all.slice(0, 2)
    const example = {
      prompt: prompts[g].ids,
      responses: listed.map((i) => samples[i].ids),
      ranks: listed.map((i) => (hasPreference ? ranks[i] : 1)),
      truncated: false,
    }
    return { hasPreference, example, refLogps: listed.map((i) => refLogps[i]) }
  })
  const informative = lists.filter(({ hasPreference }) => hasPreference)
  const tokens = ({ example }: (typeof lists)[number]) => rankedTokens(example)
  const micros = microBatches(informative.length ? informative : lists.slice(0, 1), batchSize, tokens, tokensAtOnce)
  return rankedBatches(
    micros.map((micro) => micro.map(({ example }) => example)),
    micros.map((micro) => micro.map((list) => list.refLogps)),
    { prompts: false },
  )
}
