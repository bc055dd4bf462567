/**
 * Online DPO (arXiv 2402.04792): the policy's own samples, ranked by their rewards, are the preferences that it learns
 * from. Peculiar: any number of samples is one list by Plackett-Luce, which for two is DPO's logistic loss; prompts whose
 * samples are all worth the same say nothing.
 */

import { openRlContext, requireSeveral } from './rl/context.ts'
import type { ExperienceBatch } from './rl/minibatches.ts'
import { onlineDpoSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks, microBatches, microBatchTokens, rankedBatches, rankedTokens } from './trainer/collate.ts'
import { rankedObjective } from './trainer/objectives.ts'
import { recipe } from './trainer/recipe.ts'

export const onlineDpo = recipe(
  'online-dpo',
  {
    summary: 'learn from its own samples, ranked by their rewards (online DPO, K-wise)',
    example:
      'attune online-dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --lora-r 32 --learning-rate 5e-5 --output runs/online',
  },
  onlineDpoSchema,
  async function* (config, context) {
    // data, policy, reference, rewards
    requireSeveral(config)
    const rl = await openRlContext(config, context, true)
    // objective
    const loss = rankedObjective({
      ...{ losses: [{ name: 'plackett-luce', weight: 1 }], options: { beta: config.beta } },
      ...{ reference: true, lists: true, prob: false, prompts: false },
    })
    // loop
    yield* runRlTrainer(rl, {
      needs: { old: false, ref: true },
      loss,
      aggregation: 'sum',
      batches: (batch, numbers) => listBatches(batch, numbers, config.batchSize, microBatchTokens(rl.policy, loss)),
      computeAdvantages: ({ rollout, scored, refLogps }, state) => {
        const places = chunks(scored.rewards, rollout.perPrompt).map(placesOf)
        const sums = refLogps!.map((tokens) => tokens.reduce((a, b) => a + b, 0))
        return { columns: { places: places.flat(), refSums: sums }, state }
      },
    })
  },
)

/** 1 for the most reward, equal ones share a place; 0 where the reward failed. */
const placesOf = (rewards: readonly number[]): number[] =>
  rewards.map((reward) => (Number.isNaN(reward) ? 0 : 1 + rewards.filter((other) => other > reward).length))

/** Lists of one step: best first, without samples that failed or count for nothing. */
const listBatches = (
  { rollout, columns, mask }: ExperienceBatch,
  numbers: readonly number[],
  batchSize: number,
  atOnce: number,
) => {
  const { prompts, samples, perPrompt } = rollout
  const [places, refSums] = [columns.places as number[], columns.refSums as number[]]
  const lists = numbers.map((g) => {
    const own = Array.from({ length: perPrompt }, (_, k) => g * perPrompt + k)
    const kept = own.filter((i) => mask[i] && places[i] > 0).sort((a, b) => places[a] - places[b] || a - b)
    const ranked = new Set(kept.map((i) => places[i])).size > 1
    // Two of one place have the loss 0 and no gradient; so a step of such prompts alone is still a step
    const list = ranked ? kept : own.slice(0, 2)
    const ranks = list.map((i) => (ranked ? places[i] : 1))
    const example = { prompt: prompts[g].ids, responses: list.map((i) => samples[i].ids), ranks, truncated: false }
    return { ranked, example, refs: list.map((i) => refSums[i]) }
  })
  const told = lists.filter(({ ranked }) => ranked)
  const tokens = ({ example }: (typeof lists)[number]) => rankedTokens(example)
  const micros = microBatches(told.length ? told : lists.slice(0, 1), batchSize, tokens, atOnce)
  return rankedBatches(
    micros.map((micro) => micro.map(({ example }) => example)),
    micros.map((micro) => micro.map(({ refs }) => refs)),
    { prompts: false },
  )
}
