/**
 * `attune generate` with an OpenAI-compatible server. Every completion is kept in a cache, so an interrupted command
 * continues where it stopped when it is run again.
 */
import { z } from 'zod'
import { isMessages, type Prompt } from '../data/rows.ts'
import type { Spent } from '../endpoint/client.ts'
import { type RemoteCompletion, type RemotePrompt, remoteCompletions } from '../endpoint/completions.ts'
import { isUrl, openEndpoint } from '../endpoint/open.node.ts'
import type { samplingFields } from '../library/sampling.ts'
import { badInput, type Where } from '../util/fault.ts'
import { plural, whole } from '../util/format.ts'
import { kebab } from '../util/kebab.ts'
import { interruptible } from './interrupt.ts'
import type { Reporter } from './reporter.ts'

const group = 'Model on a server (--model http://...)'

export const serverFields = {
  modelName: z.string().optional().meta({ group }).describe('name of the model on the server (default: its only one)'),
  keyEnv: z
    .string()
    .optional()
    .meta({ group, value: 'NAME' })
    .describe('environment variable with the API key (default: OPENAI_API_KEY, where there is one)'),
  concurrency: z
    .number()
    .int()
    .positive()
    .default(8)
    .meta({ group })
    .describe('maximum number of simultaneous requests'),
  timeout: z.number().positive().default(300).meta({ group }).describe('timeout of a request in seconds'),
  retries: z
    .number()
    .int()
    .nonnegative()
    .default(5)
    .meta({ group })
    .describe('retries of a failed request; if the server says that it is busy, wait as long as it asks'),
  price: z
    .array(z.number().nonnegative())
    .length(2)
    .optional()
    .meta({ group, value: 'PROMPT,COMPLETION', separator: ',' })
    .describe('dollars per million tokens, to compute the cost'),
}

const schema = z.object(serverFields)
type Options = z.output<typeof schema> &
  z.output<z.ZodObject<typeof samplingFields>> & {
    model: string
    adapter?: string
    quantize: string
    compute: string
    numBeams: number
    maxNewTokens: number
    numReturnSequences: number
    stop?: string[]
    seed: number
  }

/** Settings that the OpenAI protocol does not have. */
const localOnly = [
  'quantize',
  'compute',
  'numBeams',
  'adapter',
  'typicalP',
  'topH',
  'epsilonCutoff',
  'badWords',
  'minNewTokens',
  'logitBias',
] as const satisfies readonly (keyof Options)[]
/** Values of these settings that are accepted: no quantization, products in fp32, one beam, a probability or a fraction of 1. */
const neutralValues: readonly unknown[] = ['none', 'fp32', 1]

/** A prompt, and where it comes from, for Faults. */
export type PlacedPrompt = Pick<Prompt, 'prompt' | 'template'> & { where: Where }

export const isServer = ({ model }: Options): boolean => isUrl(model)

/**
 * Requests completions of all prompts and gives them to `take`. The exit code of an interrupted command is 130. Throws
 * Faults 'bad-flag' for a setting that works only with local models, and those of `openEndpoint` and `remoteCompletions`.
 */
export const generateOnServer = async (
  options: Options,
  prompts: readonly PlacedPrompt[],
  report: Reporter,
  take: (completions: AsyncIterable<RemoteCompletion>) => Promise<void>,
): Promise<void> => {
  const unsupported = localOnly.find((key) => options[key] !== undefined && !neutralValues.includes(options[key]))
  if (unsupported)
    throw badInput('bad-flag', 'works only with local models; a server does not take it', {
      flag: `--${kebab(unsupported)}`,
    })
  const remotePrompts = prompts.map(remotePrompt)
  const endpoint = await openEndpoint({
    ...options,
    url: options.model,
    model: options.modelName,
    price: options.price && { prompt: options.price[0], completion: options.price[1] },
    onRetry: ({ message, seconds, row }) => report.note(`row ${row}: ${message}; retrying in ${seconds.toFixed(1)} s`),
  })
  await interruptible(
    async (signal) => {
      const settings = { ...options, samples: options.numReturnSequences, signal }
      try {
        await take(remoteCompletions(endpoint, remotePrompts, settings))
      } catch (error) {
        if (!signal.aborted) throw error
        process.exitCode = 130
      } finally {
        report.note(usageText(endpoint.spent))
      }
    },
    () => report.note('interrupted; finished completions are kept: run the same command again to continue'),
  )
}

const remotePrompt = ({ prompt, template, where }: PlacedPrompt): RemotePrompt => {
  if (template && isMessages(prompt))
    throw badInput('bad-row', 'has tools or variables for a chat template, which cannot be sent to a server', where)
  if (isMessages(prompt)) return { messages: prompt }
  if (typeof prompt === 'string') return { prompt }
  throw badInput('bad-row', 'holds token ids, and a server takes only text', where)
}

export const usageText = ({ asked, cached, promptTokens, completionTokens, uncounted, cost }: Spent): string =>
  [
    `${plural(asked, 'completion')} requested`,
    `${whole(cached)} from the cache`,
    `${whole(promptTokens)} + ${whole(completionTokens)} tokens`,
    uncounted ? `${whole(uncounted)} not counted by the server` : '',
    cost === undefined ? '' : `$${cost.toPrecision(3)}`,
  ]
    .filter(Boolean)
    .join(', ')
