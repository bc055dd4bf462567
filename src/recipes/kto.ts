/**
 * KTO (arXiv 2402.01306) and APO-zero (arXiv 2408.06266) on single completions that are marked good or bad. For kto each
 * prompt also carries the completion of another prompt, from which the batch estimates KL(policy || reference); both
 * completions share one pass over the prompt.
 */

import type { UnpairedExample } from '../data/examples.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { badInput } from '../util/fault.ts'
import { methods } from './methods.ts'
import { unpairedBatches, unpairedTrees } from './trainer/collate.ts'
import { makeExamples, openDataset } from './trainer/dataset.ts'
import { unpairedRule } from './trainer/exampleRules.ts'
import { ktoObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { openReference } from './trainer/reference.ts'
import { ktoSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const kto = recipe(methods.kto, ktoSchema, async function* (config, { signal, own, run, loading }) {
  // data
  const folders = await resolveModel(config, loading)
  if (config.loss === 'kto' && config.batchSize < 2)
    throw badInput('bad-flag', 'kto compares each completion with another of its batch; give 2 or more', {
      flag: '--batch-size',
    })
  const dataset = own(await openDataset('unpaired', config))
  // model
  const policy = own(await openPolicy(config, folders, loading))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  // reference
  const reference = await openReference(policy)
  // objective
  const { beta, desirableWeight, undesirableWeight } = config
  const loss = ktoObjective({ beta, desirableWeight, undesirableWeight, lossType: config.loss })
  // batches
  const { limits } = tokenization
  const examples = makeExamples(dataset, config, tokenization, unpairedRule(tokenization))
  const treeOptions = { rotated: config.loss === 'kto', maxLength: limits.maxLength }
  const collate = async (microBatches: UnpairedExample[][]) => {
    const trees = microBatches.map((examples) => unpairedTrees(examples, treeOptions))
    return unpairedBatches(
      microBatches,
      trees,
      await reference.sums(trees.map((batch) => batch.map((tree) => ({ tree })))),
    )
  }
  // loop
  yield* runTrainer({
    policy,
    tokenization,
    examples,
    settings: config,
    run,
    signal,
    loss,
    reference,
    collate,
    numTokens: ({ prompt, completion }) => prompt.length + completion.length,
  })
})
