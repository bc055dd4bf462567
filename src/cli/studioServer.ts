/** What `attune studio` and `attune label` share: where the studio listens, and how long it runs. */
import { basename, resolve } from 'node:path'
import { z } from 'zod'
import { isLoopback } from '../http/guards.ts'
import { openStudio, type Studio } from '../studio/openStudio.node.ts'
import type { WorkersSource } from '../studio/workers/routes.ts'
import { badInput } from '../util/fault.ts'
import { openInBrowser } from './browser.ts'
import { interruptible } from './interrupt.ts'
import type { Output } from './output.ts'

export const studioFields = {
  store: z.string().optional().meta({ value: 'FILE' }).describe('the label store (default: labels.db in the folder)'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; any other than this machine itself needs --token-env'),
  port: z.number().int().min(0).max(65535).default(8001).describe('port to listen on; 0 takes a free one'),
  name: z
    .array(z.string().regex(/^[a-z0-9.-]+(:\d+)?$/i, 'must be a host name, such as labels.example.org'))
    .optional()
    .meta({ value: 'HOST' })
    .describe('name under which other machines reach it; repeatable'),
  tokenEnv: z
    .string()
    .optional()
    .meta({ value: 'NAME' })
    .describe("environment variable with the owner's token (default: a new one at each start)"),
  open: z.boolean().default(false).describe('open the page in the browser'),
}
export type StudioFlags = z.output<z.ZodObject<typeof studioFields>>

/**
 * Runs the studio of a folder until Ctrl-C.
 * @param begin what is done when it listens; gives the address of the first page
 */
export const runStudio = async (
  root: string,
  options: StudioFlags & { workers?: WorkersSource },
  out: Output,
  begin: (studio: Studio) => Promise<string> = async ({ ownerUrl }) => ownerUrl,
): Promise<void> => {
  const onError = (error: unknown) =>
    out.screen.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  const studio = await openStudio({ ...options, root, names: options.name, token: tokenOf(options), onError })
  try {
    await interruptible(
      async (signal) => {
        const address = await begin(studio)
        if (out.json) await out.jsonLine({ event: 'listening', url: studio.url, owner: address })
        else await out.text(`studio of ${basename(resolve(root))}: ${address}\n(Ctrl-C ends it)`)
        if (options.open) await openInBrowser(address)
        await aborted(signal)
      },
      () => out.screen.write('closing; Ctrl-C again ends at once\n'),
    )
  } finally {
    await studio.close()
  }
}

/** The token comes from the environment: others could read a command line. */
const tokenOf = ({ host, tokenEnv }: StudioFlags): string | undefined => {
  if (tokenEnv === undefined) {
    if (isLoopback(host)) return undefined
    throw badInput('bad-flag', `${host} can be reached from other machines; give --token-env NAME too`, {
      flag: '--host',
    })
  }
  const token = process.env[tokenEnv]
  if (!token) throw badInput('bad-flag', `there is no environment variable ${tokenEnv}`, { flag: '--token-env' })
  if (!/^[\w-]{16,}$/.test(token))
    throw badInput('bad-flag', `the token in ${tokenEnv} must have 16 or more letters, digits, - and _`, {
      flag: '--token-env',
    })
  return token
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => done())
  })
