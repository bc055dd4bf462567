/**
 * Opens an OpenAI-compatible endpoint. The key comes from an environment variable and goes into the requests only: the
 * `openai` package logs nothing, and the key is removed from server messages before they are shown.
 */
import { setMaxListeners } from 'node:events'
import OpenAI from 'openai'
import { z } from 'zod'
import { badInput, type Fault, runFailure } from '../util/fault.ts'
import { limitedBody } from '../util/limitedBody.ts'
import { quoted } from '../util/quote.ts'
import { openCompletionCache } from './cache.node.ts'
import { type ClientOptions, completionClient, type Endpoint, requestOnce, type Spent } from './client.ts'
import { type Failure, isFailure } from './retries.ts'

/** Which server and model are asked, and how. */
export type EndpointOptions = Omit<ClientOptions, 'timeout'> & {
  /** Base address: http://127.0.0.1:8000/v1; one without a path gets /v1. */
  url: string
  /** By default the only one that the server has. */
  model?: string
  /** The environment variable with the key; OPENAI_API_KEY by default. Servers without keys need none. */
  keyEnv?: string
  /** Concurrent requests at most; 8 by default. */
  concurrency?: number
  /** Seconds for a whole response; 300 by default. */
  timeout?: number
}

/** Whether a text is the address of a server rather than a local model. */
export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text)

/** `URL` or `URL#MODEL` as an address and the name of a model there. */
export const splitUrl = (spec: string): { url: string; model?: string } => {
  const at = spec.indexOf('#')
  return at < 0 ? { url: spec } : { url: spec.slice(0, at), model: spec.slice(at + 1) }
}

/** Faults: bad-url, endpoint-key, no-model, endpoint, disk. */
export const openEndpoint = async (options: EndpointOptions): Promise<Endpoint> => {
  const url = baseUrl(options.url)
  const { concurrency = 8, timeout = 300, keyEnv = 'OPENAI_API_KEY' } = options
  const key = process.env[keyEnv] || undefined
  if (!key && options.keyEnv)
    throw badInput('endpoint-key', `there is no environment variable ${keyEnv}; set it to the key of ${url}`)
  const client = openaiClient(url, key, timeout * 1000)
  const secret: Secret = { keyEnv, hide: (text) => (key ? text.replaceAll(key, '***') : text) }
  const model = options.model ?? (await onlyModel(client, url, secret))
  const spent: Spent = { asked: 0, cached: 0, retries: 0, promptTokens: 0, completionTokens: 0, uncounted: 0 }
  if (options.price) spent.cost = 0
  const name = `${model} at ${url}`
  const cache = await openCompletionCache(url)
  const complete = completionClient(client, { ...options, timeout: timeout * 1000 }, spent)
  return {
    name,
    model,
    concurrency,
    spent,
    async complete(request, context) {
      const cached = await cache.find(request)
      if (cached) {
        spent.cached++
        return { ...cached, cached: true }
      }
      // One signal ends all requests, and each listens to it
      if (context.signal) setMaxListeners(0, context.signal)
      const completion = await complete(request, context)
      if (isFailure(completion)) throw faultOf(completion, name, secret, context.row)
      await cache.add(request, completion)
      return { ...completion, cached: false }
    },
  }
}

/** Where the key comes from; `hide` removes it from a text. */
type Secret = { keyEnv: string; hide(text: string): string }

/** The base address. One with a password or parameters is refused: secrets in addresses end up in logs. */
const baseUrl = (text: string): string => {
  const bad = (why: string) => badInput('bad-url', `${quoted(text.replace(/\/\/[^/]*@/, '//***@'))} ${why}`)
  if (!isUrl(text) || !URL.canParse(text)) throw bad('is no address such as http://127.0.0.1:8000/v1')
  const url = new URL(text)
  if (url.username || url.password) throw bad('holds a password; keys come from environment variables')
  if (url.search || url.hash) throw bad('must end with its path, such as /v1')
  return url.origin + (url.pathname === '/' ? '/v1' : url.pathname.replace(/\/+$/, ''))
}

const openaiClient = (url: string, key: string | undefined, timeout: number) => {
  // Headers that name an account with OpenAI are sent to no other server
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
    fetch: async (input, init) => limitedBody(await fetch(input, init), maxResponseBytes, { tooLong }),
  })
}

/** A response of a hundred thousand tokens with everything that servers add to them has far fewer bytes. */
const maxResponseBytes = 32 << 20

/** Reported like a response that is not JSON. */
const tooLong = () => new SyntaxError(`longer than ${maxResponseBytes >> 20} MiB`)

const modelList = z.object({ data: z.array(z.object({ id: z.string() })) })

const onlyModel = async (client: OpenAI, url: string, secret: Secret) => {
  const listed = await requestOnce(30_000, undefined, (signal) => client.get('/models', { signal }).asResponse())
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

/** What a Fault of a whole command says at its end. */
export const goOn = '; what was answered is kept, so run again (a training run with --resume) to go on'

const faultOf = ({ code, message }: Failure, name: string, { keyEnv, hide }: Secret, row?: number): Fault => {
  const make = code === 'endpoint' || code === 'bad-answer' ? runFailure : badInput
  const advice = {
    endpoint: goOn,
    'bad-answer': goOn,
    'endpoint-key': `; the key is read from the environment variable ${keyEnv}`,
    'endpoint-refused': '',
  }
  return make(code, hide(`${name} ${message}`) + advice[code], row === undefined ? {} : { row })
}
