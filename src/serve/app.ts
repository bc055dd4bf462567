/**
 * The OpenAI-compatible server as a Hono app. Peculiar: without a token it answers only under a loopback name, so that no
 * web page reaches it by a name of its own; with or without one, pages of other origins are refused unless they are named;
 * and it takes so many requests at once and no more, so memory has a bound.
 */
import { type Context, Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { cors } from 'hono/cors'
import { streamSSE } from 'hono/streaming'
import type { z } from 'zod'
import type { Scheduler } from '../generate/scheduler.ts'
import { quoted } from '../util/quote.ts'
import { asHttpError, errorBody, errorBodyOf, httpError } from './errors.ts'
import { chatRequest, completionRequest, type GenerationRequest, type ServedModel } from './generationRequest.ts'
import { bodyReader } from './jsonBody.ts'
import { chatFormat, completionFormat, streamResponse, wholeResponse } from './responses.ts'
import { chatSchema, completionSchema, parseBody } from './schemas.ts'

export type AppOptions = {
  served: ServedModel
  scheduler: Scheduler
  /** Required of every request; without one only loopback names are answered. */
  token?: string
  /** Origins of the web pages that may ask, such as https://example.org; none by default. */
  corsOrigins?: readonly string[]
  /** Requests that are served or wait; one more gets 429. */
  maxRequests: number
  /** Told of what is no client's fault. */
  onError(error: unknown): void
}

export const makeApp = ({ served, scheduler, token, corsOrigins = [], maxRequests, onError }: AppOptions) => {
  const app = new Hono()
  const read = bodyReader()
  let open = 0

  /** A place among the requests; the client's leaving ends the work. */
  const admit = () => {
    if (open >= maxRequests)
      throw httpError(429, `${open} requests are served or wait already; try again in a moment`, {
        code: 'too_many_requests',
        headers: { 'retry-after': '1' },
      })
    open++
    let left = false
    return () => {
      if (!left) open--
      left = true
    }
  }

  const answer = async (context: Context, job: GenerationRequest, dialect: typeof chatFormat, leave: () => void) => {
    const { signal } = context.req.raw
    if (!job.stream)
      try {
        return context.json(await wholeResponse(scheduler, served, job, dialect, signal))
      } catch (error) {
        if (signal.aborted) return nobodyReads()
        throw error
      } finally {
        leave()
      }
    return streamSSE(context, async (stream) => {
      const gone = new AbortController()
      stream.onAbort(() => gone.abort())
      signal.addEventListener('abort', () => gone.abort())
      const write = (data: string) => stream.writeSSE({ data })
      try {
        await streamResponse(scheduler, served, job, dialect, gone.signal, write)
      } catch (error) {
        // The status is told already; clients read the error from the stream
        if (!gone.signal.aborted) await write(await errorBodyOf(reported(error)))
      } finally {
        leave()
      }
    })
  }

  const reported = (error: unknown) => {
    // A server that is closing cuts answers off, which is no failure
    if (asHttpError(error).status === 500) onError(error)
    return error
  }

  const endpoint =
    <S extends z.ZodObject>(
      schema: S,
      jobOf: (served: ServedModel, body: z.output<S>, signal: AbortSignal) => Promise<GenerationRequest>,
      dialect: typeof chatFormat,
    ) =>
    async (context: Context) => {
      const request = context.req.raw
      const { body: given, release } = await read(request)
      let leave = () => {}
      try {
        const body = parseBody(schema, given)
        if (body.model !== served.name) throw unknownModel(String(body.model), served.name)
        leave = admit()
        const job = await jobOf(served, body, request.signal)
        release()
        return await answer(context, job, dialect, leave)
      } catch (error) {
        release()
        leave()
        if (request.signal.aborted) return nobodyReads()
        throw error
      }
    }

  if (token === undefined) app.use(loopbackOnly)
  app.use(pagesOf(corsOrigins))
  const readable = cors({ origin: [...corsOrigins], allowMethods: ['GET', 'POST'], maxAge: 600 })
  app.use((context, next) => (context.req.header('origin') === undefined ? next() : readable(context, next)))
  if (token !== undefined) app.use(bearer(token))
  app.get('/v1/models', (context) => context.json({ object: 'list', data: [modelEntry(served)] }))
  app.get('/v1/models/:name{.+}', (context) => {
    const name = context.req.param('name')
    if (name !== served.name) throw unknownModel(name, served.name)
    return context.json(modelEntry(served))
  })
  app.post('/v1/chat/completions', endpoint(chatSchema, chatRequest, chatFormat))
  app.post('/v1/completions', endpoint(completionSchema, completionRequest, completionFormat))
  app.notFound(({ req }) => httpError(404, `there is no ${req.method} ${quoted(req.path)} here`).getResponse())
  app.onError((error) => asHttpError(reported(error)).getResponse())
  return app
}

/** nginx's status for a client that has left. */
const nobodyReads = () => new Response(null, { status: 499 })

const loaded = Math.floor(Date.now() / 1000)
const modelEntry = ({ name, model }: ServedModel) => ({
  id: name,
  object: 'model',
  created: loaded,
  owned_by: 'attune',
  max_model_len: model.config.max_position_embeddings,
})

const unknownModel = (asked: string, name: string) =>
  httpError(404, `there is no model ${quoted(asked)} here; this server has ${quoted(name)}`, {
    param: 'model',
    code: 'model_not_found',
  })

const bearer = (token: string) => {
  const message = errorBody(401, 'a valid token is required: "Authorization: Bearer ..."', null, 'invalid_api_key')
  return bearerAuth({
    token,
    noAuthenticationHeader: { message },
    invalidAuthenticationHeader: { message },
    invalidToken: { message },
  })
}

/** Browsers say on whose behalf they ask; of other sites' pages only those named are answered. */
const pagesOf =
  (allowed: readonly string[]) =>
  async ({ req }: Context, next: () => Promise<void>) => {
    const origin = req.header('origin')
    const site = req.header('sec-fetch-site') ?? 'none'
    const foreign = origin === undefined ? /^(cross|same)-site$/.test(site) : !allowed.includes(origin)
    if (foreign)
      throw httpError(
        403,
        `web pages${origin ? ` of ${quoted(origin)}` : ''} are not answered; --cors-origin allows one`,
      )
    await next()
  }

/** Whether a host is this machine, seen from itself. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host)

const loopbackOnly = async ({ req, env }: Context, next: () => Promise<void>) => {
  // Of several names Node keeps the first; a path may name a host too
  const headers: string[] = env?.incoming?.rawHeaders ?? []
  if (headers.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1)
    throw httpError(400, 'the request names more than one host')
  const host = (req.header('host') ?? '').replace(/:\d+$/, '')
  const stranger = [host, new URL(req.url).hostname].find((name) => !isLoopback(name))
  if (stranger !== undefined)
    throw httpError(403, `answers only as localhost, not as ${quoted(stranger)}; start it with a token for other names`)
  await next()
}
