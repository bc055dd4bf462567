/** The flags of the commands that ask a judge, and what opens it. */
import { z } from 'zod'
import { adapterFlag, engineFlags, modelFlags } from './modelFlags.ts'
import type { Reporter } from './reporter.ts'
import { serverFields } from './serverCompletions.ts'

const { modelName: _, ...endpointFields } = serverFields

export const judgeModelFlags = {
  judgeModel: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'NAME' })
    .describe('name of the model on the server (default: its only one); also URL#NAME'),
  adapter: adapterFlag,
  quantize: modelFlags.quantize,
  compute: modelFlags.compute,
  batchSize: z.number().int().positive().default(16).describe('replies that a local judge writes at the same time'),
  ...endpointFields,
  ...engineFlags,
}

const schema = z.object(judgeModelFlags)

/** Settings of `openTextModel` by these flags. */
export const textModelSettings = (
  { judgeModel, price, ...settings }: z.output<typeof schema>,
  report: Pick<Reporter, 'note'>,
) => ({
  ...settings,
  modelName: judgeModel,
  price: price && { prompt: price[0], completion: price[1] },
  onRetry: ({ message, seconds, row }: { message: string; seconds: number; row: number }) =>
    report.note(`request ${row + 1}: ${message}; retrying in ${seconds.toFixed(1)} s`),
})
