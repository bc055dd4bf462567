/** Supervised fine-tuning. Peculiar: the loss is one mean over the targets of the whole optimizer step. */
import { textExample } from '../data/examples.ts'
import { openEncoder, resolveModel } from '../models/resolve.node.ts'
import { methods } from './methods.ts'
import { textBatches } from './trainer/collate.ts'
import { examplesOf, limitsOf, openDataset, vocabularyOf } from './trainer/dataset.ts'
import { sftObjective } from './trainer/losses.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { sftSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const sft = recipe(methods.sft, sftSchema, async function* (config, { signal, own, run }) {
  // data
  const folders = await resolveModel(config)
  const data = own(await openDataset('sft', config))
  const encoder = await openEncoder(folders)
  // model
  const policy = own(await openPolicy(config, folders))
  const limits = limitsOf(config, policy)
  const options = { assistantOnly: config.assistantOnlyLoss, completionOnly: config.completionOnlyLoss }
  const examples = examplesOf(data, config, vocabularyOf(policy, encoder), {
    example: (row, count) => textExample(encoder, row, limits, options, count),
    truncated: ({ truncated }) => truncated,
    ids: ({ ids }) => [ids],
  })
  // objective
  const loss = sftObjective(config.loss)
  // loop
  yield* runTrainer({
    ...{ policy, examples, settings: config, run, signal, loss },
    head: { labelSmoothing: config.labelSmoothing },
    collate: async (micros) => textBatches(micros),
    tokens: ({ ids }) => ids.length,
  })
})
