/**
 * The OpenAI-compatible server as a Hono app. Without a token it answers only to loopback host names, which protects it from
 * DNS rebinding. Web pages of other origins are refused unless they are allowed by name. The number of requests at once is
 * limited, and with it the memory.
 */
import { type Context, Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { cors } from 'hono/cors'
import { streamSSE } from 'hono/streaming'
import type { z } from 'zod'
import type { Scheduler } from '../generate/scheduler.ts'
import { asHttpError, errorBody, errorBodyOf, httpError } from '../http/errors.ts'
import { loopbackOnly, refuseOtherOrigins } from '../http/guards.ts'
import { bodyReader } from '../http/jsonBody.ts'
import { quoted } from '../util/quote.ts'
import { chatRequest, completionRequest, type GenerationRequest, type ServedModel } from './generationRequest.ts'
import { chatFormat, completionFormat, streamResponse, wholeResponse } from './responses.ts'
import { chatSchema, completionSchema, parseBody } from './schemas.ts'

/** What a server is made of. */
export type AppOptions = {
  /** The model, its tokenizer and its name. */
  served: ServedModel
  /** Decodes the completions of all requests together. */
  scheduler: Scheduler
  /** Required of every request; without one only loopback names are answered. */
  token?: string
  /** Origins of web pages that may send requests, such as https://example.org; none by default. */
  corsOrigins?: readonly string[]
  /** Requests that are served or wait at once; one more gets status 429. */
  maxRequests: number
  /** Called with errors that are not the client's fault. */
  onError(error: unknown): void
}

/** The OpenAI-compatible server as a Hono application: chat completions, completions, the list of models. */
export const makeApp = ({ served, scheduler, token, corsOrigins = [], maxRequests, onError }: AppOptions) => {
  const app = new Hono()
  const readJsonBody = bodyReader()
  let openRequests = 0

  /** Takes one of the `maxRequests` places. @returns a function that gives it back */
  const admit = () => {
    if (openRequests >= maxRequests)
      throw httpError(429, `${openRequests} requests are served or wait already; try again in a moment`, {
        code: 'too_many_requests',
        headers: { 'retry-after': '1' },
      })
    openRequests++
    let released = false
    return () => {
      if (!released) openRequests--
      released = true
    }
  }

  const respond = async (
    context: Context,
    request: GenerationRequest,
    format: typeof chatFormat,
    leave: () => void,
  ) => {
    const { signal } = context.req.raw
    if (!request.stream)
      try {
        return context.json(await wholeResponse(scheduler, served, request, format, signal))
      } catch (error) {
        if (signal.aborted) return clientClosedRequest()
        throw error
      } finally {
        leave()
      }
    return streamSSE(context, async (stream) => {
      const disconnected = new AbortController()
      stream.onAbort(() => disconnected.abort())
      signal.addEventListener('abort', () => disconnected.abort())
      const write = (data: string) => stream.writeSSE({ data })
      try {
        await streamResponse(scheduler, served, request, format, disconnected.signal, write)
      } catch (error) {
        // The status has been sent already; clients read the error from the stream
        if (!disconnected.signal.aborted) await write(await errorBodyOf(reported(error)))
      } finally {
        leave()
      }
    })
  }

  const reported = (error: unknown) => {
    // A server that is closing cuts off responses, which is no failure
    if (asHttpError(error).status === 500) onError(error)
    return error
  }

  const endpoint =
    <S extends z.ZodObject>(
      schema: S,
      requestOf: (served: ServedModel, body: z.output<S>, signal: AbortSignal) => Promise<GenerationRequest>,
      format: typeof chatFormat,
    ) =>
    async (context: Context) => {
      const { raw } = context.req
      const { body: given, release } = await readJsonBody(raw)
      let leave = () => {}
      try {
        const body = parseBody(schema, given)
        if (body.model !== served.name) throw unknownModel(String(body.model), served.name)
        leave = admit()
        const request = await requestOf(served, body, raw.signal)
        release()
        return await respond(context, request, format, leave)
      } catch (error) {
        release()
        leave()
        if (raw.signal.aborted) return clientClosedRequest()
        throw error
      }
    }

  if (token === undefined) app.use(loopbackOnly)
  app.use(refuseOtherOrigins(corsOrigins))
  const corsHeaders = cors({ origin: [...corsOrigins], allowMethods: ['GET', 'POST'], maxAge: 600 })
  app.use((context, next) => (context.req.header('origin') === undefined ? next() : corsHeaders(context, next)))
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

/** Status 499 of nginx: the client has closed the connection, so nobody reads this. */
const clientClosedRequest = () => new Response(null, { status: 499 })

const loadedAt = Math.floor(Date.now() / 1000)
const modelEntry = ({ name, model }: ServedModel) => ({
  id: name,
  object: 'model',
  created: loadedAt,
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
