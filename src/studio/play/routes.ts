/** The routes of the playground. All are for the owner: they start processes, and ask servers that the owner names. */
import { type Context, Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { bodyReader } from '../../http/jsonBody.ts'
import type { Live } from '../live.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import {
  maxModels,
  type NewPreference,
  type NewPrompt,
  type SavedPreference,
  type ScoreRequest,
  type TurnRequest,
} from './api.ts'
import { openModelHost } from './host.node.ts'
import { modelsBelow } from './models.node.ts'
import { openPromptLibrary } from './prompts.node.ts'
import { openScorers } from './scorers.node.ts'
import { makeTurns } from './turn.ts'

const name = z
  .string()
  .min(1)
  .max(4096)
  .refine((text) => !text.includes('\0'), 'must not hold a NUL')
const text = z.string().max(1_000_000)
const message = z.object({ role: z.enum(['system', 'user', 'assistant']), content: text })
const prompt = z.union([text, z.array(message).min(1).max(1000)])
const lane = z
  .number()
  .int()
  .min(0)
  .max(maxModels - 1)

const openSchema = z.object({
  model: name,
  keyEnv: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*(KEY|TOKEN)$/, 'must be the name of an environment variable that ends with KEY or TOKEN')
    .optional(),
})
const closeSchema = z.object({ model: name })
const turnSchema = z.object({
  turn: z.string().min(1).max(100),
  lanes: z
    .array(
      z
        .object({
          lane,
          model: name,
          messages: z.array(message).min(1).max(1000).optional(),
          prompt: text.optional(),
          prefix: text.optional(),
        })
        .refine((each) => (each.messages === undefined) !== (each.prompt === undefined), 'needs messages or a prompt'),
    )
    .min(1)
    .max(maxModels)
    .refine((lanes) => new Set(lanes.map((each) => each.lane)).size === lanes.length, 'two lanes have one number'),
  sampling: z.object({
    temperature: z.number().min(0).max(10),
    topP: z.number().gt(0).max(1),
    topK: z.number().int().min(0),
    minP: z.number().min(0).max(1),
    repetitionPenalty: z.number().positive().max(10),
    maxNewTokens: z.number().int().min(1).max(100_000),
    seed: z
      .number()
      .int()
      .min(0)
      .max(2 ** 31 - 1),
  }),
})
const stopSchema = z.object({ turn: z.string(), lane: lane.optional() })
const scoreSchema = z.object({
  scorer: z.object({ kind: z.enum(['reward', 'judge']), model: name }),
  prompt,
  answers: z.array(text).min(1).max(maxModels),
})
const preferenceSchema = z
  .object({
    requestId: z.string().min(1).max(100),
    prompt,
    answers: z
      .array(z.object({ text, model: name }))
      .min(2)
      .max(maxModels),
    shown: z.array(lane),
    better: z.union([lane, z.enum(['tie', 'bad'])]),
    seconds: z.number().min(0).max(86_400),
  })
  .refine(({ answers, shown }) => [...shown].sort().join() === [...answers.keys()].join(), {
    path: ['shown'],
    message: 'must name each answer once',
  })
  .refine(({ answers, better }) => typeof better !== 'number' || better < answers.length, {
    path: ['better'],
    message: 'must be the number of an answer',
  })
const promptSchema = z.object({
  prompt: text.min(1),
  system: text.optional(),
  name: z.string().max(200).optional(),
})

export type PlaygroundOptions = {
  /** The folder of the studio. */
  root: string
  live: Live
  /** Makes a task and a vote in the label store; sent again with the same request id, it makes nothing. */
  savePreference(preference: NewPreference): SavedPreference
  /** Milliseconds after which a model that nobody asks is closed. */
  idle?: number
}

export type Playground = { routes: Hono<StudioEnv>; close(): Promise<void> }

export const openPlayground = ({ root, live, savePreference, idle }: PlaygroundOptions): Playground => {
  const host = openModelHost({ root, idle, onChange: () => live.publish({ topic: 'play/models' }) })
  const turns = makeTurns(host)
  const scorers = openScorers({ root, idle })
  const library = openPromptLibrary(root)
  const read = bodyReader()
  const bodyOf = async <S extends z.ZodType>(context: Context, schema: S): Promise<z.output<S>> => {
    const { body, release } = await read(context.req.raw)
    release()
    const { data, error } = schema.safeParse(body)
    if (data !== undefined) return data
    const [{ path, message }] = error!.issues
    throw httpError(400, `${path.join('.') || 'the body'}: ${message}`, { param: path.join('.') })
  }
  const routes = new Hono<StudioEnv>().basePath('/play')
  routes.use(requireRole('own'))
  routes.get('/models', async (context) => context.json(await modelsBelow(root)))
  routes.get('/open', (context) => context.json(host.list()))
  routes.post('/open', async (context) => {
    const { model, keyEnv } = await bodyOf(context, openSchema)
    return context.json(host.open(model, keyEnv))
  })
  routes.post('/close', async (context) => {
    await host.close((await bodyOf(context, closeSchema)).model)
    return context.body(null, 204)
  })
  routes.post('/turn', async (context) => {
    const request: TurnRequest = await bodyOf(context, turnSchema)
    return streamSSE(context, async (stream) => {
      const left = new AbortController()
      stream.onAbort(() => left.abort())
      context.req.raw.signal.addEventListener('abort', () => left.abort())
      for await (const event of turns.run(request, left.signal)) await stream.writeSSE({ data: JSON.stringify(event) })
    })
  })
  routes.post('/stop', async (context) => {
    const { turn, lane } = await bodyOf(context, stopSchema)
    turns.stop(turn, lane)
    return context.body(null, 204)
  })
  routes.post('/score', async (context) => {
    const request: ScoreRequest = await bodyOf(context, scoreSchema)
    return context.json(await scorers.score(request))
  })
  routes.post('/preference', async (context) => context.json(savePreference(await bodyOf(context, preferenceSchema))))
  routes.get('/prompts', async (context) => context.json(await library.list()))
  routes.post('/prompts', async (context) => {
    const given: NewPrompt = await bodyOf(context, promptSchema)
    return context.json(await library.add(given))
  })
  routes.delete('/prompts/:id', async (context) => {
    await library.remove(context.req.param('id'))
    return context.body(null, 204)
  })
  return {
    routes,
    async close() {
      await Promise.all([host.closeAll(), scorers.closeAll()])
    },
  }
}
