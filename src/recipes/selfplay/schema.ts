/** The settings of the self-play methods, `attune spin` and `attune asft`. */
import { z } from 'zod'
import {
  count,
  dataFields,
  engineFields,
  evalFields,
  flag,
  grouped,
  learningFields,
  loraFields,
  modelFields,
  numbers,
  on,
  optimizers,
  outputFields,
  positive,
  probability,
  rateField,
  texts,
  weight,
  workersFields,
} from '../trainer/fields.ts'
import { learningRates, type MethodRates } from '../trainer/learningRates.ts'

const selfPlayFields = {
  iterations: count()
    .default(3)
    .describe(
      'number of iterations; in each the model completes the prompts, then learns to rank the data above its completions',
    ),
  beta: numbers()
    .default([0.1])
    .describe(
      'how strongly the policy is kept close to the snapshot of the last iteration; several are for one iteration each, the last for all later ones',
    ),
  mixIterations: flag().describe('train on the completions of the last two iterations, as SPIN did'),
  onEqual: z
    .enum(['drop', 'tie'])
    .default('drop')
    .describe('of completions with the same text keep the best-ranked one (drop), or give all of them its rank (tie)'),
  maxNewTokens: count().default(256).describe("maximum number of tokens of the model's own completions"),
  temperature: z
    .number()
    .nonnegative()
    .default(1)
    .describe('sampling temperature of its own completions; 0 is greedy decoding'),
  topP: probability()
    .default(1)
    .describe('nucleus sampling: draw from the most likely tokens that together have this probability'),
  stopMargin: flag().describe('stop after an iteration whose margin on the evaluation rows is not different from 0'),
  exactMatch: on('do not measure how often greedy completions of the evaluation prompts equal the data').describe(
    'measure how often greedy completions of the evaluation prompts equal the data',
  ),
}

const { evalData, evalSplit } = evalFields

/** The optimizer is that of uclaml/SPIN; each iteration may have a learning rate of its own. */
const selfPlayShared = (rates: MethodRates) => ({
  ...modelFields,
  ...dataFields,
  ...grouped('Learning', {
    ...learningFields(rates),
    epochs: positive().default(3).describe('passes over the rows in each iteration'),
    maxSteps: count().optional().describe('maximum number of optimizer steps of each iteration'),
    learningRate: rateField(numbers(), rates).describe(
      'peak learning rate; several are for one iteration each, the last for all later ones',
    ),
    optimizer: z
      .enum(optimizers)
      .default('rmsprop')
      .describe('the optimizer, with the default settings of torch.optim'),
  }),
  ...loraFields(0),
  evalData,
  evalSplit,
  ...outputFields,
  ...engineFields,
  ...workersFields,
})

const historic = flag().describe('also rank a completion of the original model, behind all others')

export const spinSchema = z.object({
  ...grouped('Method', {
    ...selfPlayFields,
    loss: z
      .enum(['plackett-luce', 't-spin'])
      .default('plackett-luce')
      .describe(
        'plackett-luce on two completions is the logistic loss of SPIN; t-spin has no reference model and turns --historic on',
      ),
    historic,
    historicWeight: weight().default(1).describe('weight of the historical advantage in t-spin'),
  }),
  ...selfPlayShared(learningRates.spin),
})

export const asftSchema = z.object({
  ...grouped('Method', {
    helper: texts('SOURCE').describe(
      'a stronger model whose completions are ranked between the data and its own: a folder, hub id or run, a server (URL#MODEL), or column:NAME of the data; repeatable, the best first',
    ),
    helperRanks: z
      .array(count())
      .min(1)
      .optional()
      .meta({ value: 'NUMBERS', separator: ',' })
      .describe('rank of each helper; the data has rank 1, equal ranks tie (default: 2,3,... in their order)'),
    ...selfPlayFields,
    historic,
  }),
  ...selfPlayShared(learningRates.asft),
})
