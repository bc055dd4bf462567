/** The settings of the methods that learn from rows of a file: `attune sft`, `attune dpo` and `attune kto`. */
import { z } from 'zod'
import { preferenceLossNames } from '../../objectives/preferenceLosses.ts'
import { flag, fraction, grouped, labelFields, on, positive, sharedFields, text, weight } from './fields.ts'
import { learningRates } from './learningRates.ts'
import { withLike } from './trlDefaults.ts'

const sftSettings = z.object({
  ...grouped('Method', {
    loss: z
      .enum(['nll', 'dft'])
      .default('nll')
      .describe("negative log-likelihood, or dynamic fine-tuning, which weights each token by the model's probability"),
    labelSmoothing: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe('probability mass that is spread evenly over the vocabulary'),
    completionOnlyLoss: on('learn the prompts too, not only the completions').describe(
      'of rows with a prompt, learn only the completion',
    ),
    assistantOnlyLoss: flag().describe("of rows with messages, learn only the assistant's turns"),
  }),
  ...sharedFields({ rates: learningRates.sft, loraDropout: 0.05 }),
  ...labelFields,
})

export const sftSchema = withLike('sft', sftSettings)

/** So that policy and reference model agree to the last bit before training, and the first loss is ln 2. */
const noDropout = { loraDropout: 0 }

/** The beta of the DPO family. */
export const betaField = positive()
  .default(0.1)
  .describe('how strongly the policy is kept close to the reference model; larger stays closer')

const preferenceSettings = z.object({
  ...grouped('Method', {
    loss: text('LOSS')
      .default('sigmoid')
      .describe(`one of ${preferenceLossNames.join(', ')}, or several with weights: sigmoid:0.8,sft:0.2`),
    beta: betaField,
    labelSmoothing: fraction()
      .optional()
      .describe('probability that the preference of a row is wrong (default: 0; exo_pair 0.001)'),
    simpoGamma: z.number().default(0.5).describe('target reward margin of simpo'),
    cpoAlpha: weight()
      .optional()
      .describe("weight of the chosen response's negative log-likelihood (default: cpo 1, simpo 0)"),
    alpha: z
      .number()
      .default(0)
      .describe('alpha of AlphaPO, which reshapes the rewards of cpo and simpo; 0 leaves them unchanged'),
    orpoPrompt: flag().describe('count the prompt in the likelihood term of orpo, as TRL does'),
    ldAlpha: fraction()
      .optional()
      .describe('weight of the tokens of a response beyond the length of the shorter one (LD-DPO)'),
    referenceFree: flag().describe("compare the policy's log-probs alone, without a reference model, as SLiC does"),
    wpo: flag().describe('weight each row by how likely its responses are under the policy (WPO)'),
    fDivergence: z
      .enum(['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'])
      .default('reverse_kl')
      .describe('divergence between policy and reference model (f-DPO)'),
    fAlpha: z.number().default(0.5).describe('alpha of the alpha divergence'),
    discopopTau: positive().default(0.05).describe('temperature of discopop'),
    ties: z
      .enum(['marginal', 'breslow'])
      .default('marginal')
      .describe('how plackett-luce treats responses of equal rank'),
  }),
  ...sharedFields({ rates: learningRates.dpo, ...noDropout }),
})

export const preferenceSchema = withLike('dpo', preferenceSettings)

const ktoSettings = z.object({
  ...grouped('Method', {
    loss: z.enum(['kto', 'apo_zero_unpaired']).default('kto').describe('the objective'),
    beta: betaField,
    desirableWeight: weight().default(1).describe('weight of good completions in the loss'),
    undesirableWeight: weight().default(1).describe('weight of bad completions in the loss'),
  }),
  ...sharedFields({ rates: learningRates.kto, ...noDropout }),
  ...labelFields,
})

export const ktoSchema = withLike('kto', ktoSettings)
