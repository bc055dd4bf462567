/** `attune studio`: the local web app. */
import { z } from 'zod'
import { command } from '../command.ts'
import { runStudio, studioFields } from '../studioServer.ts'

const schema = z.object({
  folder: z
    .string()
    .default('.')
    .meta({ value: 'FOLDER' })
    .describe('the folder to work in: its runs, its files of rows, its labels'),
  ...studioFields,
  workers: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'REDIS' })
    .describe('show the workers at a Redis (redis://HOST:6379) and the runs that share their work out there'),
})

export default command({
  summary: 'Open the studio: label answers, watch runs, compare models and talk to them, in one local page',
  example: 'studio --open',
  schema,
  operands: ['folder'],
  async run({ folder, workers: url, ...options }, { out }) {
    if (url === undefined) return runStudio(folder, options, out)
    // Redis is loaded only where it is asked for
    const { openOverview } = await import('../../workers/overview.ts')
    const workers = await openOverview(url, '--workers')
    try {
      await runStudio(folder, { ...options, workers }, out)
    } finally {
      workers.close()
    }
  },
})
