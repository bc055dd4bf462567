/** Settings of `attune bias`, but for those that open the judge's model. */
import { z } from 'zod'
import { count, text, texts } from '../../recipes/trainer/fields.ts'

export const biasSchema = z.object({
  files: z
    .array(z.string().min(1))
    .default([])
    .meta({ value: 'FILE' })
    .describe("judgements of one judge: rows of attune judge, MT-bench's pair judgements, or votes; none with --judge"),
  judge: text('MODEL')
    .optional()
    .describe(
      "ask this judge: a folder, a hub id, a run's name, or the address of an OpenAI-compatible server (URL or URL#NAME)",
    ),
  data: texts('FILE')
    .optional()
    .describe(
      'with --judge: preference or ranking rows, or two answers to each prompt, as for attune judge; repeatable',
    ),
  against: texts('FILE').optional().describe('with --judge: answers of another model to the same prompts; repeatable'),
  column: z
    .record(z.string(), z.string())
    .default({})
    .meta({ value: 'NAME=COLUMN' })
    .describe('the name that a column has in your file, if another one is expected: chosen=good; repeatable'),
  maxSamples: count()
    .default(200)
    .describe('with --judge: the first so many pairs of the rows, and at most so many questions of mathematics'),
  votes: texts('FILE')
    .optional()
    .describe('votes of people on the same pairs (model_a, model_b, winner, and question_id or id); repeatable'),
  ownModel: text('NAME')
    .optional()
    .describe("the judge's own model among the models of the rows, to see whether it prefers itself"),
  mode: z
    .enum(['pairwise', 'options'])
    .default('pairwise')
    .describe('pairwise: the judge writes its reasons and a verdict; options: probabilities of (A) and (B), quick'),
  rephrase: z
    .enum(['rule', 'judge'])
    .default('rule')
    .describe('who says lists in other words for the attack on length: a simple rule, or the judge itself'),
  structured: z.boolean().default(false).describe('ask the server for JSON by a schema, where it offers that'),
  promptFile: text('FILE').optional().describe('a prompt of your own in place of that of attune judge'),
  maxNewTokens: count().default(1024).describe('maximum number of tokens of a reply; one that is cut has no verdict'),
  output: text('DIR')
    .default('attune-bias')
    .describe('folder of the report and the judgements; the same command goes on where it was stopped'),
})

export type BiasSettings = z.output<typeof biasSchema>
