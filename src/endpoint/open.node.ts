/**
 * Opens an OpenAI-compatible endpoint. Peculiar: the key comes from an environment variable and goes nowhere but into the
 * request: the package that sends logs nothing, and what a server says back is shown without the key.
 */
import OpenAI from 'openai'
import { z } from 'zod'
import { badInput, type Fault, runFailure } from '../util/fault.ts'
import { limitedBody } from '../util/limitedBody.ts'
import { quoted } from '../util/quote.ts'
import { type AskerOptions, asker, isFailure, once } from './ask.ts'
import { openAnswerCache } from './cache.node.ts'
import type { Endpoint, Spent } from './completions.ts'
import type { Failure } from './failure.ts'

export type EndpointOptions = Omit<AskerOptions, 'timeout'> & {
  /** Base address: http://127.0.0.1:8000/v1; one without a path gets /v1. */
  url: string
  /** By default the only one that the server has. */
  model?: string
  /** The environment variable with the key; OPENAI_API_KEY by default. Servers without keys need none. */
  keyEnv?: string
  concurrency?: number
  /** Seconds for a whole answer. */
  timeout?: number
}

export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text)

/** Faults: bad-url, endpoint-key, no-model, endpoint, disk. */
export const openEndpoint = async (options: EndpointOptions): Promise<Endpoint> => {
  const url = baseUrl(options.url)
  const { concurrency = 8, timeout = 300, keyEnv = 'OPENAI_API_KEY' } = options
  const key = process.env[keyEnv] || undefined
  if (!key && options.keyEnv)
    throw badInput('endpoint-key', `there is no environment variable ${keyEnv}; set it to the key of ${url}`)
  const client = clientOf(url, key, timeout * 1000)
  const secret: Secret = { keyEnv, hide: (text) => (key ? text.replaceAll(key, '***') : text) }
  const model = options.model ?? (await onlyModel(client, url, secret))
  const spent: Spent = { asked: 0, cached: 0, retries: 0, promptTokens: 0, completionTokens: 0, uncounted: 0 }
  if (options.price) spent.cost = 0
  const name = `${model} at ${url}`
  const cache = await openAnswerCache(url)
  const ask = asker(client, { ...options, timeout: timeout * 1000 }, spent)
  return {
    name,
    model,
    concurrency,
    spent,
    async ask(question, asking) {
      const known = await cache.find(question)
      if (known) spent.cached++
      if (known) return { ...known, cached: true }
      const made = await ask(question, asking)
      if (isFailure(made)) throw faultOf(made, name, secret, asking.row)
      await cache.keep(question, made)
      return { ...made, cached: false }
    },
  }
}

/** Where the key comes from, and a text without it. */
type Secret = { keyEnv: string; hide(text: string): string }

/** Secrets in addresses end up in logs, so they are refused. */
const baseUrl = (text: string): string => {
  const bad = (why: string) => badInput('bad-url', `${quoted(text.replace(/\/\/[^/]*@/, '//***@'))} ${why}`)
  if (!isUrl(text) || !URL.canParse(text)) throw bad('is no address such as http://127.0.0.1:8000/v1')
  const url = new URL(text)
  if (url.username || url.password) throw bad('holds a password; keys come from environment variables')
  if (url.search || url.hash) throw bad('must end with its path, such as /v1')
  return url.origin + (url.pathname === '/' ? '/v1' : url.pathname.replace(/\/+$/, ''))
}

const clientOf = (url: string, key: string | undefined, timeout: number) => {
  // These name an account of OpenAI's, and are nobody else's business
  const others = /(^|\.)openai\.com$/.test(new URL(url).hostname) ? {} : { organization: null, project: null }
  return new OpenAI({
    baseURL: url,
    apiKey: key ?? 'none',
    adminAPIKey: null,
    ...others,
    defaultHeaders: key ? {} : { Authorization: null },
    maxRetries: 0,
    timeout,
    logLevel: 'off',
    fetch: async (input, init) => limitedBody(await fetch(input, init), longestAnswer, { tooLong }),
  })
}

/** Bytes of an answer: a hundred thousand tokens with all that servers say beside them are far less. */
const longestAnswer = 32 << 20

/** Told as an answer that is no JSON is. */
const tooLong = () => new SyntaxError(`longer than ${longestAnswer >> 20} MiB`)

const modelList = z.object({ data: z.array(z.object({ id: z.string() })) })

const onlyModel = async (client: OpenAI, url: string, secret: Secret) => {
  const listed = await once(30_000, undefined, (signal) => client.get('/models', { signal }).asResponse())
  if (isFailure(listed)) throw faultOf(listed, url, secret)
  const parsed = modelList.safeParse(listed.body)
  if (!parsed.success)
    throw badInput(
      'no-model',
      `${url} does not list its models; name one with --model-name, or in --reward and --judge with URL#MODEL`,
    )
  const names = parsed.data.data.map(({ id }) => id)
  if (names.length === 1) return names[0]
  throw badInput(
    'no-model',
    `${url} has ${names.length} models (${names
      .slice(0, 20)
      .map((name) => quoted(name, 60))
      .join(', ')}); name one with --model-name, or in --reward and --judge with URL#MODEL`,
  )
}

const faultOf = ({ code, message }: Failure, name: string, { keyEnv, hide }: Secret, row?: number): Fault => {
  const make = code === 'endpoint' || code === 'bad-answer' ? runFailure : badInput
  const advice = {
    endpoint: '; what was answered is kept, so run again (a training run with --resume) to go on',
    'bad-answer': '; what was answered is kept, so run again (a training run with --resume) to go on',
    'endpoint-key': `; the key is read from the environment variable ${keyEnv}`,
    'endpoint-refused': '',
  }
  return make(code, hide(`${name} ${message}`) + advice[code], row === undefined ? {} : { row })
}
