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
})

export default command({
  summary: 'Open the studio: label answers, watch runs, compare models and talk to them, in one local page',
  example: 'studio --open',
  schema,
  operands: ['folder'],
  run: ({ folder, ...options }, { out }) => runStudio(folder, options, out),
})
