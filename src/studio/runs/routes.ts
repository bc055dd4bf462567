/** The routes of runs, as api.ts lists them; all are for the owner only. */
import { Hono } from 'hono'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { bodyReader } from '../../http/jsonBody.ts'
import { deleteRun } from '../../runs/find.node.ts'
import { badInput } from '../../util/fault.ts'
import type { Live } from '../live.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import type { Curve, EventPage, Resumed, RunComparison, RunList } from './api.ts'
import { openCliQueue } from './cli.node.ts'
import { comparisonOf } from './comparison.node.ts'
import { stopRun } from './control.node.ts'
import { curvesOfRun } from './curves.ts'
import { csvOf, reportOf } from './exports.node.ts'
import { filesOf, sendFile } from './files.node.ts'
import { pageOf } from './page.node.ts'
import { samplesOf } from './samples.node.ts'
import { openRunStore, shownFolder } from './store.node.ts'
import { tagsSchema, writeTags } from './tags.node.ts'
import { makeTokenViews, tokensSchema } from './tokens.node.ts'
import { watchRuns } from './watch.node.ts'

/** Runs that are laid over each other, at most. */
const mostCompared = 12

const curvesSchema = z.object({
  run: z.array(z.string()).min(1).max(mostCompared),
  metric: z.string().max(300),
  x: z.enum(['step', 'tokens', 'time', 'flops']).default('step'),
  from: z.coerce.number().optional(),
  to: z.coerce.number().optional(),
  points: z.coerce.number().int().min(10).max(20_000).default(1000),
  smooth: z.coerce.number().min(0).max(1e7).default(0),
})

const eventsAtOnce = 200

/** Files of a run are saved, never shown as a page of the studio. */
const attachment = (name: string, type: string) => ({
  'content-type': type,
  'content-disposition': `attachment; filename="${name.replace(/[^\w.-]+/g, '-')}"`,
})

export type RunsPart = { routes: Hono<StudioEnv>; close(): void }

/** What the part needs of the one that starts processes. */
export type Launch = {
  /** @param output the folder of the run, below that of the studio. @returns whether other work has to end first */
  resume(run: { method: string; output: string }): Promise<{ waits: boolean }>
  failureOf(name: string): string | undefined
}

/** @param root the studio's folder, a real path */
export const openRunsPart = (root: string, live: Live, launch: Launch): RunsPart => {
  const store = openRunStore(root, launch.failureOf)
  const cli = openCliQueue()
  const watch = watchRuns(store, live)
  const tokens = makeTokenViews(cli)
  const readBody = bodyReader()
  const routes = new Hono<StudioEnv>()
  for (const path of ['/runs', '/runs/*', '/run-curves', '/run-comparison']) routes.use(path, requireRole('own'))

  /** A run of attune's own: those of other tools are only looked at. */
  const ownRun = async (name: string) => {
    const run = await store.open(name)
    if (run.foreign) throw httpError(400, `the run was written by ${run.row.kind}, which attune can only show`)
    return run
  }

  const checked = async <T>(request: Request, schema: z.ZodType<T>): Promise<T> => {
    const { body, release } = await readBody(request)
    release()
    return valid(schema, body)
  }

  routes.get('/runs', async (context) => context.json({ runs: await store.list(), folder: root } satisfies RunList))

  routes.get('/runs/:name', async (context) =>
    context.json(await pageOf(root, await store.open(context.req.param('name')))),
  )

  routes.delete('/runs/:name', async (context) => {
    const { name, dir } = await ownRun(context.req.param('name'))
    await deleteRun(dir)
    store.forget(name)
    watch.soon()
    return context.body(null, 204)
  })

  routes.put('/runs/:name/tags', async (context) => {
    const { tags } = await checked(context.req.raw, tagsSchema)
    await writeTags((await ownRun(context.req.param('name'))).dir, tags)
    watch.soon()
    return context.body(null, 204)
  })

  routes.post('/runs/:name/stop', async (context) => {
    await stopRun(await ownRun(context.req.param('name')))
    return context.body(null, 204)
  })

  routes.post('/runs/:name/resume', async (context) => {
    const { dir, info, row } = await ownRun(context.req.param('name'))
    if (row.state === 'running') throw httpError(400, 'the run is running already')
    if (row.state === 'done') throw httpError(400, 'the run has reached its end; there is nothing to resume')
    const begun = await launch.resume({ method: info.method, output: shownFolder(root, dir) })
    watch.soon()
    return context.json(begun satisfies Resumed)
  })

  routes.get('/runs/:name/samples', async (context) =>
    context.json(await samplesOf(await store.open(context.req.param('name')))),
  )

  routes.get('/runs/:name/events', async (context) => {
    const { log } = await store.open(context.req.param('name'))
    const total = log.marks.length
    const from = Math.max(0, Math.min(total, Math.trunc(Number(context.req.query('from') ?? 0)) || 0))
    const events = await log.read(log.marks.slice(from, from + eventsAtOnce))
    return context.json({ total, from, events } satisfies EventPage)
  })

  routes.get('/runs/:name/files', async (context) =>
    context.json(await filesOf((await store.open(context.req.param('name'))).dir)),
  )

  routes.get('/runs/:name/file', async (context) => {
    const { dir } = await store.open(context.req.param('name'))
    const { stream, bytes, name } = await sendFile(dir, context.req.query('path') ?? '')
    return new Response(stream, {
      headers: { ...attachment(name, 'application/octet-stream'), 'content-length': String(bytes) },
    })
  })

  routes.get('/runs/:name/curves.csv', async (context) => {
    const { name, log } = await store.open(context.req.param('name'))
    const lines = csvOf(log)
    const encoder = new TextEncoder()
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const { value, done } = lines.next()
        if (done) controller.close()
        else controller.enqueue(encoder.encode(value))
      },
    })
    return new Response(stream, { headers: attachment(`${name}.csv`, 'text/csv; charset=utf-8') })
  })

  routes.get('/runs/:name/report.html', async (context) => {
    const run = await ownRun(context.req.param('name'))
    const headers = attachment(`${run.name}.html`, 'text/html; charset=utf-8')
    return new Response(await reportOf(run), { headers })
  })

  routes.post('/runs/:name/tokens', async (context) => {
    const body = await checked(context.req.raw, tokensSchema)
    return context.json(await tokens(await ownRun(context.req.param('name')), body))
  })

  routes.get('/run-curves', async (context) => {
    const { run, ...query } = context.req.queries() as Record<string, string[]>
    const single = Object.fromEntries(Object.entries(query).map(([key, [value]]) => [key, value]))
    const { run: names, ...rest } = valid(curvesSchema, { run: run ?? [], ...single })
    const curves: Curve[] = []
    for (const name of names) {
      const { log, info } = await store.open(name)
      curves.push(...curvesOfRun(name, log, info, rest))
    }
    return context.json(curves)
  })

  routes.get('/run-comparison', async (context) => {
    const names = valid(curvesSchema.pick({ run: true }), { run: context.req.queries('run') ?? [] }).run
    const runs = await Promise.all(names.map((name) => store.open(name)))
    return context.json((await comparisonOf(runs)) satisfies RunComparison)
  })

  return {
    routes,
    close() {
      watch.close()
      cli.close()
    },
  }
}

const valid = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [{ path, message }] = parsed.error.issues
  if (path[0] === 'run') throw httpError(400, `name 1 to ${mostCompared} runs, as run=NAME`)
  throw badInput('bad-request', `${path.length ? `${path.join('.')}: ` : ''}${message}`)
}
