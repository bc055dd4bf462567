/**
 * Supervised fine-tuning. The loss is one mean over all target tokens of the optimizer step, so that gradient accumulation
 * does not change it.
 */

import type { TextExample } from '../data/examples.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { methods } from './methods.ts'
import { textBatches } from './trainer/collate.ts'
import { makeExamples, openDataset } from './trainer/dataset.ts'
import { textRule } from './trainer/exampleRules.ts'
import { sftObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { sftSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const sft = recipe(methods.sft, sftSchema, async function* (config, { signal, own, run, loading }) {
  // data
  const folders = await resolveModel(config, loading)
  const dataset = own(await openDataset('sft', config))
  // model
  const policy = own(await openPolicy(config, folders, loading))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  // reference: none
  // objective
  const loss = sftObjective(config.loss)
  // batches
  const options = { assistantOnly: config.assistantOnlyLoss, completionOnly: config.completionOnlyLoss }
  const examples = makeExamples(dataset, config, tokenization, textRule(tokenization, options))
  const collate = async (microBatches: TextExample[][]) => textBatches(microBatches)
  // loop
  yield* runTrainer({
    policy,
    tokenization,
    examples,
    settings: config,
    run,
    signal,
    loss,
    head: { labelSmoothing: config.labelSmoothing },
    collate,
    numTokens: ({ ids }) => ids.length,
    evaluateFirst: true,
  })
})
