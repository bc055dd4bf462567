/**
 * `attune reward --kind pair`: trains a pair ranker, which reads two responses to a prompt at a time (PairRanker of LLM-Blender,
 * Jiang et al. 2023, arXiv 2306.02561), from an encoder or from a pair ranker. The result has PairRM's layout.
 */
import { openTokenization } from '../../generate/tokenization.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { badInput } from '../../util/fault.ts'
import { kebab } from '../../util/kebab.ts'
import { makeExamples, openDataset } from '../trainer/dataset.ts'
import { openPolicy } from '../trainer/policy.ts'
import type { Body } from '../trainer/recipe.ts'
import { runTrainer } from '../trainer/trainer.ts'
import { openPairModel } from './pairModel.ts'
import { pairBatches, pairEvaluation, pairObjective, pairRule, pairTokensOf } from './pairTraining.ts'
import type { RewardConfig, rewardSchema } from './schema.ts'

/** Settings of a reward model that scores one response, and of adapters. */
const others = {
  centerRewards: (value: unknown) => value !== 0,
  labelSmoothing: (value: unknown) => value !== 0,
  margins: (value: unknown) => value === 'ratings',
  head: (value: unknown) => value !== undefined,
  initBias: (value: unknown) => value === true,
  loraR: (value: unknown) => value !== undefined,
  quantize: (value: unknown) => value !== 'none',
  compute: (value: unknown) => value !== 'fp32',
  chat: (value: unknown) => value === true,
} satisfies Partial<Record<keyof RewardConfig, (value: unknown) => boolean>>

const refuseOthers = (config: RewardConfig): void => {
  const given = Object.entries(others).find(([key, isGiven]) => isGiven(config[key as keyof RewardConfig]))
  if (given)
    throw badInput('bad-flag', 'changes nothing with --kind pair, which trains all weights on pairs as they are', {
      flag: `--${kebab(given[0])}`,
    })
}

export const trainPairRanker: Body<typeof rewardSchema> = async function* (config, { signal, own, run, loading }) {
  refuseOthers(config)
  // data
  const folders = await resolveModel(config, loading)
  const dataset = own(await openDataset('ranking', config))
  if (dataset.rows.probable || dataset.evalRows?.probable)
    throw badInput('bad-flag', 'pair cannot use "prob", which rows have; use pairwise or probabilistic', {
      flag: '--kind',
    })
  // model
  const ranker = await openPairModel(folders, config)
  const policy = own(await openPolicy(config, folders, { ...loading, onCompute: undefined, withHead: ranker.asRanker }))
  const opened = await openTokenization(folders, policy.pretrained)
  const tokenization = {
    ...opened,
    ...(ranker.tokenizer && { tokenizer: ranker.tokenizer, encoder: ranker.tokenizer }),
  }
  // objective
  const loss = pairObjective(config.pairLoss)
  // batches
  const examples = makeExamples(dataset, config, tokenization, pairRule(ranker.tokens(), ranker.tokenizer))
  // loop
  yield* runTrainer({
    policy,
    examples,
    settings: config,
    run,
    signal,
    loss,
    objective: 'pair',
    collate: async (microBatches) => pairBatches(policy.model, microBatches),
    numTokens: pairTokensOf,
    evaluateFirst: true,
    evaluation: pairEvaluation,
    resultFiles: async () => ranker.files,
  })
}
