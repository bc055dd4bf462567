/**
 * DPO and its family on pairs, and K-wise Plackett-Luce on ranked lists. Peculiar: the K responses of a prompt are one
 * packed row that passes over the prompt once; and lists choose their loss by themselves.
 */
import type { z } from 'zod'
import { type RankedExample, rankedExample } from '../data/examples.ts'
import { openEncoder, resolveModel } from '../models/resolve.node.ts'
import { checkRows, type LossSpec, type PreferenceOptions, preferenceLoss } from '../objectives/preference.ts'
import { methods } from './methods.ts'
import { bestFirst, eachExample, lengthWeights, rankedBatches, rankedTree } from './trainer/collate.ts'
import { type Dataset, examplesOf, limitsOf, openDataset, vocabularyOf } from './trainer/dataset.ts'
import { needsReference, rankedObjective } from './trainer/losses.ts'
import { parseLosses } from './trainer/lossFlag.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { openReference } from './trainer/reference.ts'
import { preferenceSchema } from './trainer/schema.ts'
import { runTrainer } from './trainer/trainer.ts'

export const preference = recipe(
  methods.dpo,
  preferenceSchema,
  async function* (config, { signal, own, run, loss: custom }) {
    // data
    const folders = await resolveModel(config)
    const data = own(await openDataset('ranking', config))
    const encoder = await openEncoder(folders)
    const losses = lossesFor(config, data)
    const listwise = data.rows.widest > 2 || losses.some(({ name }) => name === 'plackett-luce')
    // model
    const policy = own(await openPolicy(config, folders))
    const limits = limitsOf(config, policy)
    const examples = examplesOf(data, config, vocabularyOf(policy, encoder), {
      example: (row, count) => {
        const example = rankedExample(encoder, row, limits, count)
        if (typeof example === 'string') return example
        return isTie(example) && !listwise ? 'tie' : bestFirst(example)
      },
      truncated: ({ truncated }) => truncated,
      ids: ({ prompt, responses }) => [prompt, ...responses],
    })
    // reference
    const compared = !config.referenceFree && (custom !== undefined || needsReference(losses))
    const reference = compared ? await openReference(policy) : undefined
    const weights = (example: RankedExample) =>
      config.ldAlpha === undefined ? undefined : lengthWeights(example, config.ldAlpha)
    const refLogps = (example: RankedExample) => reference!.sums(rankedTree(example), weights(example))
    // objective
    const batching = { ldAlpha: config.ldAlpha, prompts: config.orpoPrompt }
    const loss = rankedObjective({
      ...batching,
      losses,
      options: lossOptions(config),
      reference: reference !== undefined,
      lists: listwise,
      prob: data.rows.probable || data.evalRows?.probable === true,
      custom,
    })
    // loop
    yield* runTrainer({
      ...{ policy, examples, settings: config, run, signal, loss, reference },
      collate: async (micros) => rankedBatches(micros, reference && (await eachExample(micros, refLogps)), batching),
      objective: custom ? undefined : lossNames(losses),
      tokens: ({ prompt, responses }) => responses.reduce((n, response) => n + prompt.length + response.length, 0),
    })
  },
)

/** `--loss`, or plackett-luce for lists; what does not go together is refused before a model is opened. */
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

/** One rank for all says nothing to a loss on pairs. */
const isTie = ({ ranks }: RankedExample) => ranks.every((rank) => rank === ranks[0])
