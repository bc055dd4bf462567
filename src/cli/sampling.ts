/** Flags of sampling, for the commands that generate. Peculiar: words are texts here and token ids further in. */
import { z } from 'zod'
import type { Encoder } from '../data/examples.ts'
import type { SamplingOptions } from '../generate/sampling.ts'
import { badInput } from '../util/fault.ts'

const group = 'Sampling'

export const samplingFields = {
  temperature: z.number().nonnegative().default(1).meta({ group }).describe('0 takes the likeliest token'),
  topK: z.number().int().positive().optional().meta({ group }).describe('keep the k likeliest tokens'),
  topP: z.number().gt(0).max(1).optional().meta({ group }).describe('keep the likeliest tokens with this probability'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('drop what is less likely than this part of the top'),
  typicalP: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('keep the tokens whose surprise is nearest the entropy, with this probability'),
  topH: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ group })
    .describe('keep the likeliest with this share of the entropy'),
  epsilonCutoff: z.number().gt(0).lt(1).optional().meta({ group }).describe('drop tokens less likely than this'),
  repetitionPenalty: z
    .number()
    .positive()
    .optional()
    .meta({ group })
    .describe('above 1: make tokens that were seen less likely'),
  presencePenalty: z.number().optional().meta({ group }).describe('taken off the logit of what was generated, once'),
  frequencyPenalty: z.number().optional().meta({ group }).describe('taken off as often as it was generated'),
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
    .describe('tokens before which none is an end'),
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
    .describe('above 1: search for likely completions with so many beams, without chance'),
  lengthPenalty: z
    .number()
    .default(1)
    .meta({ group: beams })
    .describe('power of the length that a summed log-probability is divided by; above 0 favours long completions'),
  earlyStopping: z
    .enum(['true', 'false', 'never'])
    .default('false')
    .meta({ group: beams })
    .describe('end with the first completions; when a better one is unlikely; when it is impossible'),
}

const samplingSchema = z.object(samplingFields)

/** The flags as sampling takes them. @param size ids of the model's vocabulary */
export const samplingOptions = (flags: z.output<typeof samplingSchema>, encoder: Encoder, size: number) => {
  const badWords = flags.badWords?.flatMap((word) => spellings(encoder, word))
  const logitBias = flags.logitBias && biases(flags.logitBias, size)
  return { ...flags, badWords, logitBias } satisfies SamplingOptions
}

/** A word's tokens at the beginning of a text and inside of one. */
const spellings = (encoder: Encoder, word: string): number[][] => {
  const found = [word, ` ${word}`].map((text) => encoder.encode(text, { specialTokens: false }).ids)
  return found.filter((ids, i) => ids.length > 0 && (i === 0 || ids.join() !== found[0].join()))
}

const biases = (given: Record<string, number>, size: number): Map<number, number> =>
  new Map(
    Object.entries(given).map(([text, bias]) => {
      const id = Number(text)
      if (!/^\d+$/.test(text) || id >= size)
        throw badInput('bad-flag', `"${text}" is no token id below ${size}`, { flag: '--logit-bias' })
      return [id, bias]
    }),
  )
