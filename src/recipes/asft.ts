/**
 * aSFT: self-play with helper models. In each iteration the policy completes the prompts of the data and then learns to rank the
 * data's completion first, then those of the helper models, then its own (Plackett-Luce).
 */

import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { methods } from './methods.ts'
import { selfPlayRows } from './selfplay/context.ts'
import { helperColumns, openHelperModels } from './selfplay/helperModels.ts'
import { asftSchema } from './selfplay/schema.ts'
import { runSelfPlay } from './selfplay/trainer.ts'
import { valueAt } from './selfplay/training.ts'
import { openDataset } from './trainer/dataset.ts'
import { rankedObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'

export const asft = recipe(methods.asft, asftSchema, async function* (config, { signal, own, run, loading }) {
  // data
  const folders = await resolveModel(config, loading)
  const dataset = own(await openDataset('completion', config, { beside: helperColumns(config.helper) }))
  const { rows, evalRows } = selfPlayRows(dataset, config)
  // model
  const policy = own(await openPolicy(config, folders, loading))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  const helpers = await openHelperModels(config, { own, tokenization, runDir: run.dir, sharing: loading.sharing })
  // reference: the policy before each iteration, by its log-probs in the lists
  // objective
  const loss = (iteration: number) =>
    rankedObjective({
      losses: [{ name: 'plackett-luce', weight: 1 }],
      options: { beta: valueAt(config.beta, iteration) },
      reference: true,
      lists: true,
      prob: false,
      prompts: false,
    })
  // batches: lists of the completions of the data, of the helper models and of the policy
  const { historic } = config
  // loop
  yield* runSelfPlay({
    settings: config,
    run,
    signal,
    own,
    dataset,
    rows,
    evalRows,
    policy,
    tokenization,
    helpers,
    loss,
    tspin: false,
    historic,
  })
})
