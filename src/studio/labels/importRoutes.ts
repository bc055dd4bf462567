/** Routes that bring tasks in: files below the studio's folder, uploads, rows. */
import { basename } from 'node:path'
import { Hono } from 'hono'
import { z } from 'zod'
import { isIssue } from '../../data/issue.ts'
import { readMessages } from '../../data/messages.ts'
import type { Text } from '../../data/rows.ts'
import { httpError } from '../../http/errors.ts'
import { textFile } from '../../util/files.node.ts'
import { insideRoot } from '../insideRoot.node.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import type { ImportReport, ProjectSettings } from './api.ts'
import { filesBelow, type Uploads } from './files.node.ts'
import { useTemplate } from './labelStudioRoutes.ts'
import { bodyOf, forgetProject, idOf, type Labels } from './labels.ts'
import { previewOf } from './preview.ts'
import { readProject } from './projects.ts'
import { tasksOfFile, tasksOfRows } from './readTasks.ts'
import { once } from './requests.ts'
import { requestId } from './settings.ts'
import { storeTasks } from './storeTasks.ts'

const text = z.unknown().transform((value, context): Text => {
  if (typeof value === 'string') return value
  const read = Array.isArray(value)
    ? readMessages(value)
    : { issue: 'wrong-type' as const, message: 'must be text or messages' }
  if (!isIssue(read)) return read
  context.issues.push({ code: 'custom', message: read.message, input: value })
  return z.NEVER
})
const row = z.object({
  prompt: text,
  responses: z
    .array(z.object({ text, source: z.string().max(1000).optional(), cutOff: z.literal(true).optional() }))
    .max(1000),
})
const importRequest = z.strictObject({
  requestId,
  file: z.string().min(1).max(4000).optional(),
  upload: z.string().min(1).max(300).optional(),
  rows: z.array(row).max(100_000).optional(),
  column: z.record(z.string(), z.string()).optional(),
  ranksAre: z.enum(['gold', 'prediction', 'nothing']).optional(),
})
type Request = z.output<typeof importRequest>

export const importRoutes = (labels: Labels, root: string, uploads: Uploads): Hono<StudioEnv> => {
  const { db } = labels
  const app = new Hono<StudioEnv>()

  app.get('/files', requireRole('own'), async (context) =>
    context.json(await filesBelow(root, context.req.query('folder') ?? '')),
  )

  app.get('/files/preview', requireRole('own'), async (context) => {
    const { file, upload } = context.req.query()
    if ((file === undefined) === (upload === undefined)) throw httpError(400, 'give one of file and upload')
    return context.json(await previewOf(upload === undefined ? await insideRoot(root, file) : uploads.path(upload)))
  })

  app.put('/uploads/:name', requireRole('own'), async (context) => {
    const name = context.req.param('name')
    if (name.length > 300) throw httpError(400, 'the name of the file is too long')
    return context.json(await uploads.store(name, context.req.raw.body))
  })

  /** A request that is sent again while it is under way gets the answer of the first. */
  const underWay = new Map<string, Promise<ImportReport>>()
  app.post('/projects/:id/import', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, importRequest)
    const { settings } = readProject(db, id)
    const known = underWay.get(given.requestId) ?? importAll(id, settings, given)
    underWay.set(given.requestId, known)
    try {
      return context.json(await known)
    } finally {
      underWay.delete(given.requestId)
    }
  })

  const importAll = async (id: number, settings: ProjectSettings, given: Request): Promise<ImportReport> => {
    const request = { person: 0, requestId: given.requestId, what: `import ${id}` }
    const before = db.get<{ answer: string }>('SELECT answer FROM request WHERE person = 0 AND id = ?', given.requestId)
    if (before) return once(db, request, () => ({ added: 0, already: 0, dropped: {} })).answer
    const report: ImportReport = { added: 0, already: 0, dropped: {} }
    const drop = (reason: string) => {
      report.dropped[reason] = (report.dropped[reason] ?? 0) + 1
    }
    const template = given.file ?? given.upload
    if (template !== undefined && /\.xml$/i.test(template)) {
      const xml = await textFile(given.file === undefined ? uploads.path(template) : await insideRoot(root, template))
      report.leftOut = once(db, { ...request, requestId: `${given.requestId} template` }, () =>
        useTemplate(db, id, xml, basename(template)),
      ).answer
    } else await storeTasks(labels, id, settings, await tasksOf(given, settings, drop), report)
    forgetProject(labels, id)
    return once(db, request, () => report).answer
  }

  const tasksOf = async (
    { file, upload, rows, column, ranksAre }: Request,
    settings: ProjectSettings,
    drop: (reason: string) => void,
  ) => {
    const given = [file, upload, rows].filter((one) => one !== undefined)
    if (given.length !== 1) throw httpError(400, 'give one of file, upload and rows')
    const options = { settings, drop, column, ranksAre }
    if (rows) return tasksOfRows(rows, options)
    const path = file === undefined ? uploads.path(upload!) : await insideRoot(root, file)
    return tasksOfFile(path, { ...options, name: file ?? upload })
  }

  return app
}
