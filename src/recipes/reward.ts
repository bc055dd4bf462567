/**
 * Reward models: pairwise, best-of-N, all pairs of a ranking, Plackett-Luce, and distributions over scores. The K responses of
 * a prompt are packed into one tree behind it, and each is scored once, at its last token.
 */

import type { RankedExample } from '../data/examples.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { methods } from './methods.ts'
import { rewardBatches } from './reward/collate.ts'
import { openEvaluation } from './reward/evaluation.ts'
import { rewardObjective } from './reward/objective.ts'
import { paddingOf } from './reward/padding.ts'
import { trainPairRanker } from './reward/pair.ts'
import { rewardSchema } from './reward/schema.ts'
import { openScoreHead } from './reward/scoreHead.ts'
import { rankedNumTokens } from './trainer/collate.ts'
import { makeExamples, openDataset } from './trainer/dataset.ts'
import { rewardRule } from './trainer/exampleRules.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { runTrainer } from './trainer/trainer.ts'

export const reward = recipe(methods.reward, rewardSchema, async function* (config, context) {
  if (config.kind === 'pair') return yield* trainPairRanker(config, context)
  const { signal, own, run, loading } = context
  // data
  const folders = await resolveModel(config, loading)
  const dataset = own(await openDataset('ranking', config))
  // model
  const head = await openScoreHead(config, dataset)
  const opened = own(await openPolicy(config, folders, { ...loading, withHead: head.withHead }))
  const tokenization = await openTokenization(folders, opened.pretrained, config)
  const padding = await paddingOf(folders.dir, tokenization.encoder)
  const policy = {
    ...opened,
    pretrained: padding.applied(opened.pretrained),
    files: [...opened.files, ...head.files],
  }
  // reference: none
  // objective
  const { kind, why } = head.chosen()
  if (why)
    yield {
      event: 'warning',
      code: 'kind',
      message: `learns by --kind ${kind}, since ${why}; give --kind for another`,
    }
  const loss = rewardObjective({
    kind,
    center: config.centerRewards,
    labelSmoothing: config.labelSmoothing,
    prob: dataset.rows.probable || dataset.evalRows?.probable === true,
    margins: config.margins !== 'none' && (kind === 'pairwise' || kind === 'ranking'),
    bias: config.initBias,
  })
  // batches
  const how = { oneBest: kind === 'best-of-n', byRatings: config.margins === 'ratings' }
  const examples = makeExamples(dataset, config, tokenization, rewardRule(tokenization, how))
  const { bias, evaluation, files } = await openEvaluation(policy, kind, examples, config)
  const collate = async (microBatches: RankedExample[][]) =>
    rewardBatches(microBatches, { bias, margins: config.margins })
  // loop
  yield* runTrainer({
    policy,
    examples,
    settings: config,
    run,
    signal,
    loss,
    objective: kind,
    collate,
    numTokens: rankedNumTokens,
    evaluateFirst: true,
    evaluation,
    resultFiles: async () => ({ ...(await files()), ...padding.files }),
  })
})
