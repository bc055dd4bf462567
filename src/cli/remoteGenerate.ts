/** Completions from a server elsewhere. Peculiar: what was answered is kept, so a broken run goes on where it was. */
import { z } from 'zod'
import { isMessages, type Prompt } from '../data/rows.ts'
import type { Spent } from '../endpoint/client.ts'
import { type RemoteCompletion, type RemotePrompt, remoteCompletions } from '../endpoint/completions.ts'
import { isUrl, openEndpoint } from '../endpoint/open.node.ts'
import { badInput, type Where } from '../util/fault.ts'
import { plural, whole } from '../util/format.ts'
import { interruptible } from './interrupt.ts'
import type { samplingFields } from './sampling.ts'
import type { Reporter } from './terminal.ts'

const group = 'A model elsewhere (--model http://...)'

export const remoteFields = {
  modelName: z.string().optional().meta({ group }).describe('what the server calls it (default: its only one)'),
  keyEnv: z
    .string()
    .optional()
    .meta({ group, value: 'NAME' })
    .describe('the environment variable with the key (default: OPENAI_API_KEY, where there is one)'),
  concurrency: z.number().int().positive().default(8).meta({ group }).describe('requests under way at most'),
  timeout: z.number().positive().default(300).meta({ group }).describe('seconds for an answer'),
  retries: z
    .number()
    .int()
    .nonnegative()
    .default(5)
    .meta({ group })
    .describe('tries after one that failed; a server that says it is busy is waited for'),
  price: z
    .array(z.number().nonnegative())
    .length(2)
    .optional()
    .meta({ group, value: 'PROMPT,COMPLETION', separator: ',' })
    .describe('dollars for a million tokens, to count the cost'),
}

const schema = z.object(remoteFields)
type Options = z.output<typeof schema> &
  z.output<z.ZodObject<typeof samplingFields>> & {
    model: string
    adapter?: string
    quantize: string
    numBeams: number
    maxNewTokens: number
    numReturnSequences: number
    stop?: string[]
    seed: number
  }

/** Flags that the protocol has no words for, and their values that ask for nothing. */
const idle: readonly unknown[] = ['none', 1]
const localOnly = [
  'quantize',
  'numBeams',
  'adapter',
  'typicalP',
  'topH',
  'epsilonCutoff',
  'badWords',
  'minNewTokens',
  'logitBias',
] as const satisfies readonly (keyof Options)[]

/** A prompt and where it stands. */
export type Asked = Pick<Prompt, 'prompt' | 'template'> & { where: Where }

export const isElsewhere = ({ model }: Options): boolean => isUrl(model)

/** Completions of all prompts, as `take` gives them on. An interrupted run ends with 130. */
export const generateElsewhere = async (
  options: Options,
  prompts: readonly Asked[],
  report: Reporter,
  take: (completions: AsyncIterable<RemoteCompletion>) => Promise<void>,
): Promise<void> => {
  const stray = localOnly.find((key) => options[key] !== undefined && !idle.includes(options[key]))
  if (stray) {
    const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw badInput('bad-flag', 'is for models of this machine; servers do not take it', { flag })
  }
  const asked = prompts.map(promptOf)
  const endpoint = await openEndpoint({
    ...options,
    url: options.model,
    model: options.modelName,
    keyEnv: options.keyEnv,
    price: options.price && { prompt: options.price[0], completion: options.price[1] },
    onRetry: ({ message, seconds, row }) => report.note(`row ${row}: ${message}; again in ${seconds.toFixed(1)} s`),
  })
  await interruptible(
    async (signal) => {
      const settings = { ...options, samples: options.numReturnSequences, signal }
      try {
        await take(remoteCompletions(endpoint, asked, settings))
      } catch (error) {
        if (!signal.aborted) throw error
        process.exitCode = 130
      } finally {
        report.note(bill(endpoint.spent))
      }
    },
    () => report.note('interrupted; what was answered is kept, so run again to go on'),
  )
}

const promptOf = ({ prompt, template, where }: Asked): RemotePrompt => {
  if (template && isMessages(prompt))
    throw badInput('bad-row', 'has tools or variables for a chat template, which a server elsewhere is not sent', where)
  if (isMessages(prompt)) return { messages: prompt }
  if (typeof prompt === 'string') return { prompt }
  throw badInput('bad-row', 'holds token ids, and a server elsewhere takes text', where)
}

const bill = ({ asked, cached, promptTokens, completionTokens, uncounted, cost }: Spent): string =>
  [
    `${plural(asked, 'answer')} asked for`,
    `${whole(cached)} kept from before`,
    `${whole(promptTokens)} + ${whole(completionTokens)} tokens`,
    uncounted ? `${whole(uncounted)} not counted by the server` : '',
    cost === undefined ? '' : `$${cost.toPrecision(3)}`,
  ]
    .filter(Boolean)
    .join(', ')
