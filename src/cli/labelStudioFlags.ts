/** The flags of commands that speak with a Label Studio server. */
import { z } from 'zod'
import { openServer, type Server } from '../feedback/labelStudio/server.ts'
import { badInput } from '../util/fault.ts'

export const serverFields = {
  server: z
    .string()
    .optional()
    .meta({ value: 'URL' })
    .describe('of label-studio: the address of a Label Studio server, such as http://localhost:8080'),
  project: z
    .string()
    .optional()
    .meta({ value: 'NAME' })
    .describe('with --server: the number or the title of the project there'),
  tokenEnv: z
    .string()
    .default('LABEL_STUDIO_API_KEY')
    .meta({ value: 'NAME' })
    .describe('with --server: the environment variable that holds your access token'),
}

type Flags = { server?: string; project?: string; tokenEnv: string }

/** The server and the project that the flags name. @throws Fault 'bad-flag' where one is missing */
export const serverOf = ({ server, project, tokenEnv }: Flags): { server: Server; project: string } => {
  if (project === undefined || !project.trim())
    throw badInput('bad-flag', 'is needed with --server: the number or the title of the project', { flag: '--project' })
  const token = process.env[tokenEnv]?.trim()
  if (!token)
    throw badInput(
      'bad-flag',
      `the environment variable ${tokenEnv} is not set; it holds the access token that Label Studio shows under Account & Settings`,
      { flag: '--token-env' },
    )
  return { server: openServer({ url: server!, token }), project: project.trim() }
}

export const refuseProject = ({ server, project }: Flags) => {
  if (server === undefined && project !== undefined)
    throw badInput('bad-flag', 'is of a server; give its address with --server', { flag: '--project' })
}
