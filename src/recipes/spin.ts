/**
 * SPIN (arXiv 2401.01335) and T-SPIN: self-play. In each iteration the policy completes the prompts of the data and then learns
 * to rank the data's completions above its own. Its opponent is the policy as it was before the iteration.
 */

import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { methods } from './methods.ts'
import { selfPlayRows } from './selfplay/context.ts'
import { noHelperModels } from './selfplay/helperModels.ts'
import { spinSchema } from './selfplay/schema.ts'
import { runSelfPlay } from './selfplay/trainer.ts'
import { valueAt } from './selfplay/training.ts'
import { openDataset } from './trainer/dataset.ts'
import { rankedObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'

export const spin = recipe(methods.spin, spinSchema, async function* (config, { signal, own, run, loading }) {
  // data
  const folders = await resolveModel(config, loading)
  const dataset = own(await openDataset('completion', config))
  const { rows, evalRows } = selfPlayRows(dataset, config)
  // model
  const policy = own(await openPolicy(config, folders, loading))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  // reference: the policy before each iteration, by its log-probs in the lists; T-SPIN has none
  const tspin = config.loss === 't-spin'
  // objective
  const loss = (iteration: number) =>
    rankedObjective({
      losses: [{ name: 'plackett-luce', weight: 1 }],
      options: { beta: valueAt(config.beta, iteration) },
      reference: !tspin,
      lists: true,
      prob: false,
      prompts: false,
      historicWeight: tspin ? config.historicWeight : undefined,
    })
  // batches: lists of the data's completion, the policy's own and, with --historic, that of the model before training
  const historic = config.historic || tspin
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
    helpers: noHelperModels,
    loss,
    tspin,
    historic,
  })
})
