/** The settings of `attune selfreward`. */
import { z } from 'zod'
import { blockedWords } from '../../feedback/selfReward/selfInstruct.ts'
import {
  count,
  dataFields,
  engineFields,
  evalFields,
  grouped,
  learningFields,
  loraFields,
  modelFields,
  numbers,
  outputFields,
  positive,
  probability,
  rateField,
  text,
  texts,
} from '../trainer/fields.ts'
import { defaultsNote, learningRates } from '../trainer/learningRates.ts'
import { betaField } from '../trainer/schema.ts'

const { evalData, evalSplit } = evalFields

export const selfRewardSchema = z.object({
  ...grouped('Method', {
    iterations: count()
      .default(2)
      .describe(
        'number of iterations; in each the model writes new prompts, answers them, scores its answers and learns from the best against the worst',
      ),
    beta: betaField,
    judge: text('JUDGE')
      .optional()
      .describe(
        'who scores the answers instead of the model itself: a folder, hub id or run of a chat model, a reward model or a pair ranker, or a server (URL#MODEL)',
      ),
    helper: text('JUDGE').optional().describe('the same as --judge'),
    numPrompts: count().default(256).describe('new prompts to write in each iteration'),
    numGenerations: z.number().int().min(2).default(4).describe('answers to each prompt'),
    numJudgements: count()
      .default(3)
      .describe('how often a judge that writes text scores an answer; the scores that can be read are averaged'),
    temperature: positive().default(0.7).describe('sampling temperature of answers and judgements'),
    topP: probability().default(0.9).describe('nucleus sampling of answers and judgements'),
    promptTemperature: positive().default(0.6).describe('sampling temperature of new prompts'),
    promptTopP: probability().default(0.9).describe('nucleus sampling of new prompts'),
    maxNewTokens: count().default(256).describe('maximum number of tokens of an answer, and of a new prompt'),
    judgeMaxNewTokens: count().default(256).describe('maximum number of tokens of a judgement'),
    judgePrompt: text('FILE')
      .optional()
      .describe("a text file with the judge's prompt, in which {prompt} and {response} stand for the two texts"),
    instructPrompt: text('FILE')
      .optional()
      .describe('a text file with the prompt for new prompts, in which {tasks} stands for the examples'),
    blockWords: z
      .array(z.string().min(1))
      .default([...blockedWords])
      .meta({ value: 'WORDS', separator: ',', otherwise: 'words such as image, file, video' })
      .describe('new prompts with one of these words are left out'),
    outsideJudge: text('JUDGE')
      .optional()
      .describe(
        'another chat model or server that says after each iteration how often the new model answers better than the one before; nothing is learnt from it',
      ),
  }),
  ...modelFields,
  ...dataFields,
  ...grouped('Data', {
    eftData: texts('FILE')
      .optional()
      .describe('rows that teach judging: prompt (the judge prompt) and completion (reasons and score); repeatable'),
    rankings: texts('FILE')
      .optional()
      .describe(
        'answers that people ranked or rated, from which such rows are made: the model judges them, and what agrees with the people is kept; repeatable',
      ),
  }),
  ...learningFields(learningRates.selfreward),
  ...grouped('Learning', {
    epochs: positive().default(3).describe('passes over the pairs in each iteration'),
    maxSteps: count().optional().describe('maximum number of optimizer steps of each iteration'),
    learningRate: rateField(numbers(), learningRates.selfreward).describe(
      'peak learning rate of the iterations; several are for one iteration each, the last for all later ones',
    ),
    sftEpochs: positive().default(3).describe('passes over the seed rows, from which the first model learns'),
    sftMaxSteps: count().optional().describe('maximum number of optimizer steps on the seed rows'),
    sftLearningRate: positive()
      .optional()
      .meta({ otherwise: defaultsNote(learningRates.sft) })
      .describe('peak learning rate on the seed rows'),
  }),
  ...loraFields(0),
  ...grouped('Evaluation', {
    evalData: evalData.describe(
      'answers that people ranked, not learnt from: how far the judge agrees with them, and prompts to compare models on; repeatable',
    ),
    evalSplit: evalSplit.describe('instead of --eval-data: the fraction of --rankings to hold out'),
  }),
  ...outputFields,
  ...engineFields,
})

export type SelfRewardSettings = z.output<typeof selfRewardSchema>
