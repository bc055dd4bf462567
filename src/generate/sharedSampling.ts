/** Completions that workers make: which model a shard names, how requests are divided, and what a worker computes. */
import type { Sharing } from '../util/sharing.ts'
import { type Completion, completions } from './completions.ts'
import type { GenerationRequest, Scheduler } from './scheduler.ts'
import type { CompletionOptions } from './sequence.ts'

/**
 * Has workers complete requests, which are all of the same options.
 * @param local completes them in this process
 * @returns the completions of each request, in order; undefined where there is no worker
 */
export type ShareSampling = (
  requests: readonly GenerationRequest[],
  local: (requests: readonly GenerationRequest[]) => Promise<Completion[][]>,
) => Promise<Completion[][] | undefined>

/** The model of a moment, by SHA-256: what opens it, and the parameters that a run trains, as they are now. */
export type ModelMoment = { model: string; params?: string }

/** The model as it is now, and everything that a worker fetches for it. */
export type PublishedMoment = { of: ModelMoment; files: readonly string[] }

/** What completions depend on, as plain data. */
type PlainOptions = Omit<CompletionOptions, 'eosIds' | 'logitBias'> & {
  eosIds: readonly number[]
  logitBias?: readonly (readonly [number, number])[]
}

export type SamplesInput = ModelMoment & {
  requests: readonly { prompt: readonly number[]; row: number }[]
  options: PlainOptions
}

const optionNames = [
  ...(['temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'topH', 'repetitionPenalty'] as const),
  ...(['presencePenalty', 'frequencyPenalty', 'badWords', 'minNewTokens'] as const),
  ...(['maxNewTokens', 'samples', 'seed', 'stop', 'topLogprobs'] as const),
]

const plainOptions = (options: CompletionOptions): PlainOptions => {
  const given = Object.fromEntries(
    optionNames.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  ) as Omit<CompletionOptions, 'eosIds' | 'logitBias'>
  const { eosIds, logitBias } = options
  return { ...given, eosIds: [...eosIds], ...(logitBias && { logitBias: [...logitBias] }) }
}

/** Requests that may share a shard have the same key. */
export const optionsKey = (options: CompletionOptions): string => JSON.stringify(plainOptions(options))

/** @param moment publishes the model as it is now */
export const shareSampling =
  (sharing: Sharing, moment: () => Promise<PublishedMoment>): ShareSampling =>
  async (requests, local) => {
    const workers = sharing.workers()
    if (workers === 0) return undefined
    const { of, files } = await moment()
    const parts = evenParts(requests, workers)
    const shards = parts.map((part) => {
      const input: SamplesInput = {
        ...of,
        requests: part.map(({ prompt, row = 0 }) => ({ prompt, row })),
        options: plainOptions(part[0].options),
      }
      const fits = (result: unknown) => areCompletions(result, part)
      return { kind: 'samples', input, files, fits } as const
    })
    const all: Completion[][] = []
    const { signal } = requests[0]
    for await (const part of sharing.results<Completion[][]>(shards, (i) => local(parts[i]), signal)) all.push(...part)
    return all
  }

/** As many completions of each request as it asks for, each with its ids and text. */
const areCompletions = (result: unknown, requests: readonly GenerationRequest[]): boolean =>
  Array.isArray(result) &&
  result.length === requests.length &&
  requests.every(
    ({ row = 0, options }, i) =>
      Array.isArray(result[i]) &&
      result[i].length === (options.samples ?? 1) &&
      result[i].every(
        (completion: Partial<Completion>, sample: number) =>
          completion?.row === row && completion.sample === sample && Array.isArray(completion.ids),
      ),
  )

/** In as many parts as there are workers, of nearly equal number and in order. */
export const evenParts = <T>(all: readonly T[], workers: number): T[][] => {
  const count = Math.min(workers, all.length)
  const bound = (i: number) => Math.round((i * all.length) / count)
  return Array.from({ length: count }, (_, i) => all.slice(bound(i), bound(i + 1)))
}

/** The completions of each request, those of a request by their numbers. */
export const completeAll = (scheduler: Scheduler, requests: readonly GenerationRequest[]): Promise<Completion[][]> =>
  Promise.all(
    // Submitted before the first step, so that they join the batch in the same order every time
    requests
      .map((request) => completions(scheduler.submit(request)))
      .map(async (made) => {
        const all: Completion[] = []
        for await (const completion of made) all.push(completion)
        return all.sort((a, b) => a.sample - b.sample)
      }),
  )

/** What a worker computes. */
export const computeSamples = (scheduler: Scheduler, { requests, options }: SamplesInput): Promise<Completion[][]> => {
  const { eosIds, logitBias, ...rest } = options
  const all = { ...rest, eosIds: new Set(eosIds), ...(logitBias && { logitBias: new Map(logitBias) }) }
  return completeAll(
    scheduler,
    requests.map((request) => ({ ...request, options: all })),
  )
}
