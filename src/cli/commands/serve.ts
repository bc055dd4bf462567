/** `attune serve`: an OpenAI-compatible server. At Ctrl-C open requests have a few seconds to finish. */
import { stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { z } from 'zod'
import { endIds } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import { isLoopback } from '../../http/guards.ts'
import { listen } from '../../http/listen.ts'
import { openModel } from '../../passes/open.node.ts'
import { isCheckpoint, openCheckpointModel } from '../../recipes/trainer/checkpointModel.ts'
import { makeApp } from '../../serve/app.ts'
import { threadEncoder } from '../../serve/promptEncoder.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { command } from '../command.ts'
import { noteCompute } from '../computeNote.ts'
import { interruptible } from '../interrupt.ts'
import { engineFlags, modelFlags } from '../modelFlags.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'

const schema = z.object({
  ...modelFlags,
  model: z
    .string()
    .meta({ value: 'MODEL' })
    .describe(
      'a folder, a hub id, the name of a run, a checkpoint of a run (RUN/checkpoints/step-N), or a PEFT adapter that names its base',
    ),
  modelName: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'NAME' })
    .describe('name by which clients ask for the model (default: that of its folder, hub id or run)'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; any other than this machine itself needs --token-env'),
  port: z.number().int().min(0).max(65535).default(8000).describe('port to listen on; 0 takes a free one'),
  tokenEnv: z
    .string()
    .optional()
    .meta({ value: 'NAME' })
    .describe('environment variable with the token that clients must send as their API key'),
  corsOrigin: z
    .array(z.string())
    .optional()
    .meta({ value: 'ORIGIN' })
    .describe('allow requests from web pages of this origin, such as https://example.org; repeatable'),
  batchSize: z
    .number()
    .int()
    .positive()
    .default(16)
    .describe('completions that are generated at the same time; others wait'),
  maxRequests: z
    .number()
    .int()
    .positive()
    .default(256)
    .describe('maximum number of requests that are served or waiting; further ones get status 429'),
  attached: z
    .boolean()
    .default(false)
    .describe('for programs that start it: end when standard input ends; with --json tell of loading, too'),
  ...engineFlags,
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Serve a model through the OpenAI API: /v1/models, /v1/completions, /v1/chat/completions',
  example: 'serve --model HuggingFaceTB/SmolLM2-135M-Instruct --port 8000',
  schema,
  async run(options, { out }) {
    const token = tokenOf(options)
    const corsOrigins = originsOf(options)
    if (options.attached) endWithStdin()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const tell = options.attached && out.json ? tellerOf(out) : report.show
    const onProgress = (at: Progress) => tell({ event: 'progress', ...at })
    const opened = (await isCheckpoint(options.model))
      ? await openCheckpointModel(options.model, { ...refuseAdapter(options), onProgress })
      : await openModel({ ...options, onProgress })
    const { model, tokenizer } = opened
    const packed = worthPacking(model, Number.POSITIVE_INFINITY)
    const scheduler = openScheduler(model, tokenizer, { batchSize: options.batchSize, packed })
    const encoder = tokenizer && threadEncoder(tokenizer, { dir: opened.dir, adapter: opened.adapterDir })
    try {
      await noteCompute(model, options.compute, report)
      const served = {
        name: options.modelName ?? (await nameOf(options.model)),
        model,
        tokenizer,
        eosIds: endIds(model.config.raw, opened.generationConfig, tokenizer?.eosId),
        encoder,
      }
      const onError = (error: unknown) => report.note(`error: ${error instanceof Error ? error.message : error}`)
      const app = makeApp({ served, scheduler, token, corsOrigins, maxRequests: options.maxRequests, onError })
      await interruptible(
        async (signal) => {
          const { url, close } = await listen(app, options)
          report.clear()
          const chat = tokenizer?.chat !== undefined
          if (out.json) await out.jsonLine({ event: 'listening', url: `${url}/v1`, model: served.name, chat })
          else report.note(`${served.name} at ${url}/v1 (Ctrl-C ends)`)
          await aborted(signal)
          await close()
        },
        () => report.note('closing: open requests have a few seconds to finish; Ctrl-C again ends at once'),
      )
    } finally {
      report.clear()
      await encoder?.close()
      await scheduler.close()
      await opened.close()
    }
  },
})

type Progress = { phase: 'download' | 'load'; done: number; total: number }

/** The program that has started this one may be killed at any time; then its end of the pipe is closed. */
const endWithStdin = () => {
  process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM'))
  process.stdin.resume()
  if ('unref' in process.stdin) process.stdin.unref()
}

/** Milliseconds between two lines of progress. */
const tellEvery = 100

const tellerOf = (out: Output) => {
  let last = 0
  return (event: Progress & { event: 'progress' }) => {
    if (Date.now() - last < tellEvery) return
    last = Date.now()
    void out.jsonLine(event)
  }
}

const refuseAdapter = ({ adapter, ...options }: Options) => {
  if (adapter === undefined) return options
  throw badInput('bad-flag', 'cannot be given with a checkpoint of a run, which has the trained weights itself', {
    flag: '--adapter',
  })
}

/** The last part of a folder's path; a hub id or the name of a run as it is. */
const nameOf = async (model: string): Promise<string> =>
  (await stat(model).catch(() => undefined)) ? basename(resolve(model)) : model

/** Checked before the model is loaded. The token comes from the environment: others could read a command line. */
const tokenOf = ({ host, tokenEnv }: Options): string | undefined => {
  if (tokenEnv === undefined) {
    if (isLoopback(host)) return undefined
    throw badInput('bad-flag', `${host} can be reached from other machines; give --token-env NAME too`, {
      flag: '--host',
    })
  }
  const token = process.env[tokenEnv]
  if (!token) throw badInput('bad-flag', `there is no environment variable ${tokenEnv}`, { flag: '--token-env' })
  if (!/^[\w.~+/-]+=*$/.test(token))
    throw badInput('bad-flag', `the token in ${tokenEnv} may have letters, digits and -._~+/ only`, {
      flag: '--token-env',
    })
  return token
}

/** Origins in the form in which browsers send them. */
const originsOf = ({ corsOrigin = [] }: Options): string[] => {
  const bad = corsOrigin.find(
    (origin) => !/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin,
  )
  if (bad === undefined) return corsOrigin
  throw badInput(
    'bad-flag',
    `${quoted(bad)} is not an origin; give scheme, name and port, such as https://example.org`,
    {
      flag: '--cors-origin',
    },
  )
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => done())
  })
