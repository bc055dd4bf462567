/** The settings of generation: length, sampling, beam search. Flags of the commands that generate, and options of a loaded model. */
import { z } from 'zod'
import type { Encoder } from '../data/examples.ts'
import type { SamplingOptions } from '../generate/sampling.ts'
import { badInput } from '../util/fault.ts'

const group = 'Sampling'

export const generationFields = {
  maxNewTokens: z.number().int().nonnegative().default(256).describe('maximum number of tokens of a completion'),
  stop: z.array(z.string().min(1)).optional().meta({ value: 'TEXT' }).describe('stop before this text; repeatable'),
  seed: z
    .number()
    .int()
    .nonnegative()
    .default(42)
    .describe('random seed of the sampling; results do not depend on the batch size'),
}

export const samplingFields = {
  temperature: z
    .number()
    .nonnegative()
    .default(1)
    .meta({ group })
    .describe('sampling temperature; 0 is greedy decoding'),
  topK: z.number().int().positive().optional().meta({ group }).describe('draw from the K most likely tokens'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('nucleus sampling: draw from the most likely tokens that together have this probability'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('leave out tokens less likely than this fraction of the most likely one'),
  typicalP: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe(
      'locally typical sampling: draw from the tokens whose log-prob is nearest to the entropy, up to this probability',
    ),
  topH: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('top-H sampling: draw from the most likely tokens, up to this fraction of the entropy'),
  epsilonCutoff: z.number().gt(0).lt(1).optional().meta({ group }).describe('leave out tokens less likely than this'),
  repetitionPenalty: z
    .number()
    .positive()
    .optional()
    .meta({ group })
    .describe('above 1: make tokens of the prompt and the completion less likely to come again'),
  presencePenalty: z
    .number()
    .optional()
    .meta({ group })
    .describe('subtracted from the logit of every token that was generated'),
  frequencyPenalty: z
    .number()
    .optional()
    .meta({ group })
    .describe('subtracted from the logit of a token once for each time it was generated'),
  badWords: z
    .array(z.string().min(1))
    .optional()
    .meta({ group, value: 'TEXT' })
    .describe('never generate this text; repeatable'),
  minNewTokens: z
    .number()
    .int()
    .nonnegative()
    .optional()
    .meta({ group })
    .describe('minimum number of tokens of a completion'),
  logitBias: z
    .record(z.string(), z.number())
    .optional()
    .meta({ group, value: 'ID=BIAS' })
    .describe('added to the logit of a token id; repeatable'),
}

const beams = 'Beam search'

export const beamFields = {
  numBeams: z
    .number()
    .int()
    .positive()
    .default(1)
    .meta({ group: beams })
    .describe('above 1: beam search with this many beams instead of sampling'),
  lengthPenalty: z
    .number()
    .default(1)
    .meta({ group: beams })
    .describe('divide the log-probability of a beam by its length to this power; above 0 favours long completions'),
  earlyStopping: z
    .enum(['true', 'false', 'never'])
    .default('false')
    .meta({ group: beams })
    .describe(
      'stop as soon as enough beams have ended (true), when a better one is unlikely (false), or only when it is impossible (never)',
    ),
}

const samplingSchema = z.object(samplingFields)

/** What a loaded model takes beside a prompt. */
export const generateSchema = z.object({ ...generationFields, ...samplingFields })

/** The flags as generate/ takes them: texts become token ids. @param size ids of the model's vocabulary */
export const samplingOptions = (flags: z.output<typeof samplingSchema>, encoder: Encoder, size: number) => {
  const badWords = flags.badWords?.flatMap((word) => tokenizations(encoder, word))
  const logitBias = flags.logitBias && biasesById(flags.logitBias, size)
  return { ...flags, badWords, logitBias } satisfies SamplingOptions
}

/** The tokens of a word at the beginning of a text, and after a space. */
const tokenizations = (encoder: Encoder, word: string): number[][] => {
  const found = [word, ` ${word}`].map((text) => encoder.encode(text, { specialTokens: false }).ids)
  return found.filter((ids, i) => ids.length > 0 && (i === 0 || ids.join() !== found[0].join()))
}

const biasesById = (given: Record<string, number>, size: number): Map<number, number> =>
  new Map(
    Object.entries(given).map(([text, bias]) => {
      const id = Number(text)
      if (!/^\d+$/.test(text) || id >= size)
        throw badInput('bad-flag', `"${text}" is not a token id below ${size}`, { flag: '--logit-bias' })
      return [id, bias]
    }),
  )
