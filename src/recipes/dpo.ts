/**
 * DPO (arXiv 2305.18290) and its family on pairs, and K-wise Plackett-Luce on ranked lists. The K responses of a prompt are
 * packed into one row behind it, so that the prompt passes through the model once. Rows with more than two responses are
 * learnt from by plackett-luce unless another loss is named.
 */

import type { z } from 'zod'
import type { RankedExample } from '../data/examples.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { checkRows, type LossSpec, type PreferenceOptions, preferenceLoss } from '../objectives/preference.ts'
import { methods } from './methods.ts'
import { lengthWeights, rankedBatches, rankedNumTokens, rankedTree } from './trainer/collate.ts'
import { type Dataset, makeExamples, openDataset } from './trainer/dataset.ts'
import { preferenceRule } from './trainer/exampleRules.ts'
import { needsReference, parseLosses, rankedObjective } from './trainer/objectives.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { openReference, type WeightedTree } from './trainer/reference.ts'
import { preferenceSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const dpo = recipe(
  methods.dpo,
  preferenceSchema,
  async function* (config, { signal, own, run, loading, loss: custom }) {
    // data
    const folders = await resolveModel(config, loading)
    const dataset = own(await openDataset('ranking', config))
    const losses = lossesFor(config, dataset)
    const listwise = dataset.rows.widest > 2 || losses.some(({ name }) => name === 'plackett-luce')
    // model
    const policy = own(await openPolicy(config, folders, loading))
    const tokenization = await openTokenization(folders, policy.pretrained, config)
    // reference
    const usesReference = !config.referenceFree && (custom !== undefined || needsReference(losses))
    const reference = usesReference ? await openReference(policy) : undefined
    // objective
    const { ldAlpha, orpoPrompt: prompts } = config
    const loss = rankedObjective({
      losses,
      options: lossOptions(config),
      reference: usesReference,
      lists: listwise,
      ldAlpha,
      prob: dataset.rows.probable || dataset.evalRows?.probable === true,
      prompts,
      custom,
    })
    // batches
    const examples = makeExamples(dataset, config, tokenization, preferenceRule(tokenization, listwise))
    const weighted = (example: RankedExample): WeightedTree => ({
      tree: rankedTree(example),
      weights: ldAlpha === undefined ? undefined : lengthWeights(example, ldAlpha),
    })
    const collate = async (microBatches: RankedExample[][]) =>
      rankedBatches(microBatches, await reference?.sums(microBatches.map((examples) => examples.map(weighted))), {
        ldAlpha,
        prompts,
      })
    // loop
    yield* runTrainer({
      policy,
      tokenization,
      examples,
      settings: config,
      run,
      signal,
      loss,
      objective: custom ? undefined : lossNames(losses),
      reference,
      collate,
      numTokens: rankedNumTokens,
    })
  },
)

/** The losses of --loss, by default plackett-luce for lists. Refuses what does not go together before a model is opened. */
const lossesFor = (config: z.output<typeof preferenceSchema>, { rows, evalRows }: Dataset<'ranking'>): LossSpec[] => {
  const losses = parseLosses(rows.widest > 2 && config.loss === 'sigmoid' ? 'plackett-luce' : config.loss)
  preferenceLoss(losses, lossOptions(config))
  checkRows(losses, rows)
  if (evalRows) checkRows(losses, evalRows, 'held-out rows')
  return losses
}

const lossNames = (losses: readonly LossSpec[]): string =>
  losses.map(({ name, weight }) => (weight === 1 ? name : `${name}:${weight}`)).join(',')

const lossOptions = (config: z.output<typeof preferenceSchema>): PreferenceOptions => {
  const { beta, labelSmoothing, simpoGamma, cpoAlpha, alpha, fDivergence, fAlpha, discopopTau, wpo, ties } = config
  return { beta, labelSmoothing, simpoGamma, cpoAlpha, alpha, fDivergence, fAlpha, discopopTau, wpo, ties }
}
