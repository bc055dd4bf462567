/** Routes of projects and of who labels in them. */
import { Hono } from 'hono'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { newToken, requireRole, roles, type StudioEnv } from '../session.ts'
import type { AnnotatorInfo, ProjectSummary } from './api.ts'
import { putScores } from './forParts.ts'
import { bodyOf, forgetProject, idOf, type Labels } from './labels.ts'
import { addAnnotator, annotatorInfos, changeAnnotator, endAnnotator, requireMember } from './people.ts'
import { progressOf } from './progress.ts'
import {
  addProject,
  changeProject,
  deleteProject,
  newProject,
  projectChange,
  projectsOf,
  readProject,
} from './projects.ts'
import { once } from './requests.ts'
import { requestId } from './settings.ts'

const newScores = z.strictObject({
  requestId,
  name: z.string().trim().min(1, 'scores need the name of their reward model').max(300),
  scores: z.array(z.strictObject({ task: z.number().int(), scores: z.array(z.number().nullable()) })).max(100_000),
})

const annotatorRole = z.enum(roles).exclude(['own'], 'the role is annotate or adjudicate')
const annotatorProjects = z.array(z.number().int()).max(1000)
const newAnnotator = z.strictObject({
  requestId,
  name: z.string().trim().min(1, 'an annotator needs a name').max(200),
  role: annotatorRole.default('annotate'),
  projects: annotatorProjects.default([]),
})

const annotatorChange = z.strictObject({
  requestId,
  role: annotatorRole.optional(),
  projects: annotatorProjects.optional(),
})

/** @param address where others reach the studio, for the links of annotators */
export const projectRoutes = (labels: Labels, address: () => string): Hono<StudioEnv> => {
  const { db, counts } = labels
  const app = new Hono<StudioEnv>()

  app.get('/projects', (context) => {
    const { id: person } = context.get('person')
    return context.json(
      projectsOf(db, person).map(
        ({ id, name, settings }): ProjectSummary => ({
          id,
          name,
          mode: settings.mode,
          progress: progressOf(db, counts, id, person),
        }),
      ),
    )
  })

  app.post('/projects', requireRole('own'), async (context) => {
    const given = await bodyOf(context, newProject)
    const { answer } = once(db, { person: 0, requestId: given.requestId, what: 'project' }, () => addProject(db, given))
    return context.json(readProject(db, answer))
  })

  app.get('/projects/:id', (context) => {
    const [id, person] = [idOf(context), context.get('person')]
    requireMember(db, person, id)
    const project = readProject(db, id)
    // Who looks at a project may soon look at its agreement
    if (person.role !== 'annotate') labels.tallies.of(id, project.settings).catch(() => {})
    return context.json(project)
  })

  app.patch('/projects/:id', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, projectChange)
    once(db, { person: 0, requestId: given.requestId, what: `change ${id}` }, () => changeProject(db, id, given))
    forgetProject(labels, id)
    return context.json(readProject(db, id))
  })

  app.delete('/projects/:id', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, z.strictObject({ name: z.string() }))
    const { name } = readProject(db, id)
    if (given.name !== name) throw httpError(400, 'name: spell out the name of the project to delete it with its votes')
    db.transaction(() => deleteProject(db, id))
    forgetProject(labels, id)
    return context.body(null, 204)
  })

  app.post('/projects/:id/scores', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, newScores)
    readProject(db, id)
    once(db, { person: 0, requestId: given.requestId, what: `scores ${id}` }, () =>
      putScores(labels, id, given.name, given.scores),
    )
    return context.body(null, 204)
  })

  app.get('/annotators', requireRole('own'), (context) => context.json(annotatorInfos(db, labels.seen)))

  // A link is shown once, so that it is stored nowhere; a retry gets it as long as the server runs
  const links = new Map<string, AnnotatorInfo & { link: string }>()
  app.post('/annotators', requireRole('own'), async (context) => {
    const given = await bodyOf(context, newAnnotator)
    const token = newToken()
    const { answer: id, again } = once(db, { person: 0, requestId: given.requestId, what: 'annotator' }, () =>
      addAnnotator(db, given, token),
    )
    if (!again) {
      const info = annotatorInfos(db, labels.seen).find((one) => one.id === id)!
      links.set(given.requestId, { ...info, link: `${address()}/?token=${token}` })
    }
    const made = links.get(given.requestId)
    if (!made) throw httpError(400, 'this link was made before the studio was started again; end it and make a new one')
    return context.json(made)
  })

  app.patch('/annotators/:id', requireRole('own'), async (context) => {
    const id = idOf(context)
    const given = await bodyOf(context, annotatorChange)
    once(db, { person: 0, requestId: given.requestId, what: `annotator ${id}` }, () => changeAnnotator(db, id, given))
    return context.json(annotatorInfos(db, labels.seen).find((one) => one.id === id))
  })

  app.delete('/annotators/:id', requireRole('own'), (context) => {
    endAnnotator(db, idOf(context))
    return context.body(null, 204)
  })

  return app
}
