/**
 * KTO and APO-zero on single responses that are only good or bad. Peculiar: each prompt also carries another's response,
 * from which the batch estimates how far the policy has moved (kto only); both share one pass over the prompt.
 */
import { type UnpairedExample, unpairedExample } from '../data/examples.ts'
import { openEncoder, resolveModel } from '../models/resolve.node.ts'
import { badInput } from '../util/fault.ts'
import { methods } from './methods.ts'
import { eachExample, unpairedBatches, unpairedTrees } from './trainer/collate.ts'
import { examplesOf, limitsOf, openDataset, vocabularyOf } from './trainer/dataset.ts'
import { ktoObjective } from './trainer/losses.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { openReference } from './trainer/reference.ts'
import { ktoSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const kto = recipe(methods.kto, ktoSchema, async function* (config, { signal, own, run }) {
  // data
  const folders = await resolveModel(config)
  if (config.loss === 'kto' && config.batchSize < 2)
    throw badInput('bad-flag', 'kto compares each response with another of its batch; give 2 or more', {
      flag: '--batch-size',
    })
  const data = own(await openDataset('unpaired', config))
  const encoder = await openEncoder(folders)
  // model
  const policy = own(await openPolicy(config, folders))
  const limits = limitsOf(config, policy)
  const examples = examplesOf(data, config, vocabularyOf(policy, encoder), {
    example: (row, count) => unpairedExample(encoder, row, limits, count),
    truncated: ({ truncated }) => truncated,
    ids: ({ prompt, completion }) => [prompt, completion],
  })
  // reference
  const reference = await openReference(policy)
  const rotated = config.loss === 'kto'
  const trees = (micro: UnpairedExample[]) => unpairedTrees(micro, rotated, limits.maxLength)
  // objective
  const { beta, desirableWeight, undesirableWeight } = config
  const loss = ktoObjective({ beta, desirableWeight, undesirableWeight, lossType: config.loss })
  // loop
  yield* runTrainer({
    ...{ policy, examples, settings: config, run, signal, loss, reference },
    collate: async (micros) => {
      const planted = micros.map(trees)
      return unpairedBatches(micros, planted, await eachExample(planted, (tree) => reference.sums(tree)))
    },
    tokens: ({ prompt, completion }) => prompt.length + completion.length,
  })
})
