/** A model as an OpenAI-compatible server, until Ctrl-C: then what is under way has a few seconds to finish. */
import { basename, resolve } from 'node:path'
import { z } from 'zod'
import { endIds } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import { openModel } from '../../passes/open.node.ts'
import { engineFields, quantizeField } from '../../recipes/trainer/schema.ts'
import { isLoopback, makeApp } from '../../serve/app.ts'
import { listen } from '../../serve/listen.ts'
import { threadEncoder } from '../../serve/promptEncoder.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { command } from '../command.ts'
import { interruptible } from '../interrupt.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  host: z.string().default('127.0.0.1').describe('the address to listen at; any but this machine itself needs a token'),
  port: z.number().int().min(0).max(65535).default(8000).describe('0 takes a free one'),
  tokenEnv: z
    .string()
    .optional()
    .meta({ value: 'NAME' })
    .describe('the environment variable with the token that clients must send'),
  corsOrigin: z
    .array(z.string())
    .optional()
    .meta({ value: 'ORIGIN' })
    .describe('web pages of this origin may ask too, such as https://example.org; repeatable'),
  batchSize: z.number().int().positive().default(16).describe('completions that are made at once; others wait'),
  maxRequests: z
    .number()
    .int()
    .positive()
    .default(256)
    .describe('requests that are served or wait; one more is told to come back later (429)'),
  device: engineFields.device,
  threads: engineFields.threads,
})
type Options = z.output<typeof schema>

export default command({
  summary: 'An OpenAI-compatible server: /v1/models, /v1/completions, /v1/chat/completions',
  example: 'serve --model HuggingFaceTB/SmolLM2-135M-Instruct --port 8000',
  schema,
  async run(options, { out }) {
    const token = tokenOf(options)
    const corsOrigins = originsOf(options)
    const report = reporter(out.screen, { logEvery: 1 })
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    const { model, tokenizer } = opened
    const packed = worthPacking(model, Number.POSITIVE_INFINITY)
    const scheduler = openScheduler(model, tokenizer, { batchSize: options.batchSize, packed })
    const encoder = tokenizer && threadEncoder(tokenizer, { dir: opened.dir, adapter: opened.adapterDir })
    try {
      const served = {
        // A folder by its last name, a hub id or a run's name as it is
        name: opened.dir === options.model ? basename(resolve(options.model)) : options.model,
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
          if (out.json) await out.line({ event: 'listening', url: `${url}/v1`, model: served.name })
          else report.note(`${served.name} at ${url}/v1 (Ctrl-C ends)`)
          await aborted(signal)
          await close()
        },
        () => report.note('closing: what is under way has a few seconds to finish; again to end at once'),
      )
    } finally {
      report.clear()
      await encoder?.close()
      await scheduler.close()
      await opened.close()
    }
  },
})

/** Checked before the model is loaded. The token itself never stands on a command line, where others could read it. */
const tokenOf = ({ host, tokenEnv }: Options): string | undefined => {
  if (tokenEnv === undefined) {
    if (isLoopback(host)) return undefined
    throw badInput('bad-flag', `${host} can be reached from elsewhere; give --token-env NAME too`, { flag: '--host' })
  }
  const token = process.env[tokenEnv]
  if (!token) throw badInput('bad-flag', `there is no environment variable ${tokenEnv}`, { flag: '--token-env' })
  if (!/^[\w.~+/-]+=*$/.test(token))
    throw badInput('bad-flag', `the token in ${tokenEnv} may have letters, digits and -._~+/ only`, {
      flag: '--token-env',
    })
  return token
}

/** As browsers send them. */
const originsOf = ({ corsOrigin = [] }: Options): string[] => {
  const bad = corsOrigin.find(
    (origin) => !/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin,
  )
  if (bad === undefined) return corsOrigin
  throw badInput('bad-flag', `${quoted(bad)} is no origin; give scheme, name and port, such as https://example.org`, {
    flag: '--cors-origin',
  })
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => done())
  })
