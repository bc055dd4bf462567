/** Routes to and from Label Studio: a project's template, and its tasks and votes on a server that the owner names. */
import { Hono } from 'hono'
import { z } from 'zod'
import { parseTemplate } from '../../feedback/labelStudio/parseTemplate.ts'
import { pullVotes } from '../../feedback/labelStudio/pull.ts'
import { pushTasks } from '../../feedback/labelStudio/push.ts'
import { openServer } from '../../feedback/labelStudio/server.ts'
import type { Task } from '../../feedback/votes/tasks.ts'
import type { Db } from '../../store/database.node.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import type { ImportReport, PushReport } from './api.ts'
import { labelledTasks } from './labelled.ts'
import { pulledTask, settingsOfTemplate, templateOfProject, toolTask } from './labelStudio.ts'
import { bodyOf, forgetProject, idOf, type Labels } from './labels.ts'
import { changeProject, readProject } from './projects.ts'
import { once } from './requests.ts'
import { requestId } from './settings.ts'
import { storeTasks } from './storeTasks.ts'

const templateRequest = z.strictObject({ requestId, xml: z.string().max(1_000_000) })
const remoteRequest = z.strictObject({
  requestId,
  server: z.string().trim().min(1, 'give the address of the server').max(2000),
  token: z.string().trim().min(1, 'give the access token').max(10_000),
  project: z.string().trim().min(1, 'give the number or the title of the project there').max(300),
})
type Remote = z.output<typeof remoteRequest>

/** Sets a project up as a template says. @returns what of it has no effect; throws Fault 'bad-template' */
export const useTemplate = (db: Db, project: number, xml: string, file?: string): string[] => {
  const template = parseTemplate(xml, file)
  const { guidelines } = readProject(db, project)
  changeProject(db, project, { requestId: '', ...settingsOfTemplate(template, guidelines) })
  return template.leftOut
}

export const labelStudioRoutes = (labels: Labels): Hono<StudioEnv> => {
  const { db } = labels
  const app = new Hono<StudioEnv>()

  app.get('/projects/:id/template', requireRole('own'), (context) => {
    const id = idOf(context)
    const xml = templateOfProject(readProject(db, id), mostResponses(db, id))
    return context.body(xml, 200, {
      'content-type': 'application/xml; charset=utf-8',
      'content-disposition': 'attachment; filename="label-studio.xml"',
    })
  })

  app.post('/projects/:id/template', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, templateRequest)
    const { answer } = once(db, { person: 0, requestId: given.requestId, what: `template ${id}` }, () =>
      useTemplate(db, id, given.xml),
    )
    forgetProject(labels, id)
    return context.json({ added: 0, already: 0, dropped: {}, leftOut: answer } satisfies ImportReport)
  })

  /** A request that is sent again while it is under way gets the answer of the first. */
  const underWay = new Map<string, Promise<unknown>>()
  for (const [name, work] of [
    ['push', push],
    ['pull', pull],
  ] as const)
    app.post(`/projects/:id/label-studio/${name}`, requireRole('own'), async (context) => {
      const id = idOf(context)
      const given = await bodyOf(context, remoteRequest)
      const key = `${name} ${id} ${given.requestId}`
      const known = underWay.get(key) ?? work(labels, id, given)
      underWay.set(key, known)
      try {
        return context.json((await known) as object)
      } finally {
        underWay.delete(key)
      }
    })
  return app
}

/** How many responses the widest task has. */
const mostResponses = (db: Db, project: number): number =>
  db.get<{ most: number }>(
    'SELECT coalesce(max(json_array_length(lengths)), 2) AS most FROM task WHERE project = ?',
    project,
  )!.most

const countIn =
  (counts: Record<string, number>) =>
  (what: string, n = 1) => {
    counts[what] = (counts[what] ?? 0) + n
  }

/** Sent again, it sends what is not there yet. */
const push = async ({ db }: Labels, id: number, { server, token, project }: Remote): Promise<PushReport> => {
  const own = readProject(db, id)
  const tasks: Task[] = []
  for await (const page of labelledTasks(db, id, 'all')) tasks.push(...page.map(toolTask))
  const dropped: PushReport['dropped'] = {}
  const { predictions: _, ...pushed } = await pushTasks(openServer({ url: server, token }), tasks, {
    project,
    template: templateOfProject(own, mostResponses(db, id)),
    changed: countIn(dropped),
  })
  return { ...pushed, dropped }
}

const pull = async (labels: Labels, id: number, { server, token, project }: Remote): Promise<ImportReport> => {
  const { settings } = readProject(labels.db, id)
  const { votes } = await pullVotes(openServer({ url: server, token }), project)
  const report: ImportReport = { added: 0, already: 0, dropped: { ...votes.dropped } }
  const drop = countIn(report.dropped)
  if (votes.labels.length) drop('label', votes.labels.length)
  const rows = [...votes.open, ...votes.predicted, ...votes.rankings, ...votes.unpaired].filter((row) => {
    const single = row.kind === 'unpaired' || row.responses.length === 1
    const fits = settings.mode === 'edit' || single === (settings.mode === 'good')
    if (!fits) drop('of-another-mode')
    return fits
  })
  await storeTasks(
    labels,
    id,
    settings,
    rows.map((row) => pulledTask(row, settings)),
    report,
  )
  forgetProject(labels, id)
  return report
}
