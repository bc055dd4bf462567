/** Settings of `attune critique`. */
import { z } from 'zod'
import type { EndpointOptions } from '../../endpoint/open.node.ts'
import { keepable } from '../../feedback/constitution/transcript.ts'
import {
  count,
  dataFields,
  engineFields,
  flag,
  probability,
  quantizeField,
  text,
  weight,
} from '../../recipes/trainer/fields.ts'

export const critiqueSchema = z.object({
  model: text('MODEL').describe(
    "the model that responds and revises: a folder, a hub id, a run's name, or the address of an OpenAI-compatible server (URL or URL#NAME)",
  ),
  adapter: text('DIR').optional().describe('a PEFT adapter of that model, or a run that trained one'),
  judge: text('MODEL')
    .optional()
    .describe('the model that criticises, and compares with --preferences; given as --model is (default: --model)'),
  constitution: text('FILE')
    .optional()
    .describe('principles in YAML (default: those of attune, which --print-constitution shows)'),
  data: dataFields.data.describe('prompts: rows with a prompt, a text or messages; repeatable'),
  column: dataFields.column,
  maxSamples: count().optional().describe('use the first so many prompts'),
  output: text('DIR')
    .default('attune-critique')
    .describe('folder of the rows, the transcripts and the report; what was written there already is not asked again'),
  rounds: count()
    .default(1)
    .describe('critiques and revisions of each response, each under a principle that is drawn anew'),
  preferences: flag().describe(
    'the second phase: sample pairs from --model, which has learnt from its revisions, and let the judge prefer one of each under a principle',
  ),
  pairs: count().default(1).describe('with --preferences: pairs of each prompt'),
  keep: z
    .array(z.enum(keepable))
    .optional()
    .meta({ value: 'REASON' })
    .describe(
      'keep rows that are dropped otherwise: those with a text that was cut at --max-new-tokens, or a revision that changed nothing; repeatable',
    ),
  chat: z
    .boolean()
    .optional()
    .describe(
      'ask by messages, in the chat template of the model; --no-chat asks by plain text (default: if it has a template)',
    ),
  maxNewTokens: count().default(512).describe('maximum number of tokens of a response, a critique and a revision'),
  temperature: weight().default(1).describe('of sampling responses, critiques and revisions; 0 is greedy'),
  topP: probability().default(1).describe('sample from the likeliest tokens with this total probability'),
  batchSize: count().default(16).describe('texts that a local model writes at the same time'),
  quantize: quantizeField,
  device: engineFields.device,
  threads: engineFields.threads,
  seed: engineFields.seed.describe('of the principles that are drawn and of sampling'),
})

/** How servers are asked, beside their addresses. */
export type ServerSettings = {
  /** Names of --model and of --judge on their servers. */
  modelName?: string
  judgeModel?: string
} & Pick<EndpointOptions, 'keyEnv' | 'concurrency' | 'timeout' | 'retries' | 'price' | 'onRetry'>
export type CritiqueSettings = z.output<typeof critiqueSchema> & ServerSettings
