/** Routes of labelling itself: the next task, votes, skips, drafts, undo. */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { type Person, requireRole, roles, type StudioEnv } from '../session.ts'
import type { Progress, TaskView, VoteConflict, Voted } from './api.ts'
import { bodyOf, idOf, type Labels, taskFor, viewOf } from './labels.ts'
import { nextTask } from './next.ts'
import { personNamed, requireMember } from './people.ts'
import { progressOf } from './progress.ts'
import { readProject } from './projects.ts'
import { type Change, once } from './requests.ts'
import { requestId } from './settings.ts'
import { currentVote, historyOf, passes, readTask, readVote, standingOf } from './tasks.ts'
import { ownTable, type TableQuery, tableQuery, taskTable } from './taskTable.ts'
import { draftOf } from './values.ts'
import { lastAct, newSkip, newVote, type Stored, storeSkip, storeVote, takeBack } from './voting.ts'

const mayDecide = ({ role }: Person) => roles.indexOf(role) >= roles.indexOf('adjudicate')

export const taskRoutes = (labels: Labels): Hono<StudioEnv> => {
  const { db, leases, counts, tallies, search, live } = labels
  const app = new Hono<StudioEnv>()

  app.get('/projects/:id/next', (context) => {
    const [person, project] = [context.get('person'), idOf(context)]
    requireMember(db, person, project)
    const { settings } = readProject(db, project)
    const after = Number(context.req.query('after') ?? 0)
    const next = nextTask(db, leases, project, settings, person.id, Number.isSafeInteger(after) ? after : 0)
    if (!next) return context.json({ done: progressOf(db, counts, project, person.id) })
    leases.take(next.task, person.id, next.pass)
    return context.json(viewOf(labels, readTask(db, next.task)!, settings, person, next.pass))
  })

  app.get('/projects/:id/progress', (context) => {
    const [person, project] = [context.get('person'), idOf(context)]
    requireMember(db, person, project)
    return context.json(progressOf(db, counts, project, person.id))
  })

  const found = async (project: number, { search: text }: TableQuery) =>
    text.trim() ? search.find(project, text.trim()) : undefined

  app.get('/projects/:id/tasks', async (context) => {
    const [person, project] = [context.get('person'), idOf(context)]
    requireMember(db, person, project)
    const asked = tableQuery(context.req.query())
    const tasks = await found(project, asked)
    if (!mayDecide(person)) return context.json(ownTable(db, project, asked, tasks, person.id))
    const annotator = asked.annotator ? (personNamed(db, asked.annotator) ?? -2) : undefined
    return context.json(taskTable(db, project, asked, tasks, annotator))
  })

  app.get('/projects/:id/adjudication', requireRole('adjudicate'), async (context) => {
    const [person, project] = [context.get('person'), idOf(context)]
    requireMember(db, person, project)
    const asked = tableQuery({ sort: '-disagreement', ...context.req.query(), filter: 'disputed' })
    return context.json(taskTable(db, project, asked, await found(project, asked)))
  })

  app.get('/tasks/:id', (context) => {
    const person = context.get('person')
    const { task, settings } = taskFor(labels, person, idOf(context))
    if (context.req.query('adjudicate')) {
      if (!mayDecide(person)) throw httpError(403, `this needs the role adjudicate; you have ${person.role}`)
      return context.json(viewOf(labels, task, settings, person, passes.decision))
    }
    const pass = leases.passOf(task.id, person.id) ?? passes.first
    if (!currentVote(db, task.id, person.id, pass)) leases.take(task.id, person.id, pass)
    return context.json(viewOf(labels, task, settings, person, pass))
  })

  app.get('/tasks/:id/history', requireRole('adjudicate'), (context) => {
    const { task } = taskFor(labels, context.get('person'), idOf(context))
    return context.json(historyOf(db, task.id))
  })

  /** A change to a task: stored once, with the counts after it, and then told to all who look. */
  const change = <T extends { theirs?: number; task?: number }>(
    person: Person,
    project: number,
    request: Omit<Change, 'person'>,
    find: () => number,
    store: (task: number) => T,
  ) => {
    let moved: number | undefined
    try {
      const { answer } = once(db, { ...request, person: person.id }, () => {
        const task = find()
        const before = standingOf(db, task)
        const stored = store(task)
        if (stored.theirs === undefined) {
          counts.changed(project, before, standingOf(db, task))
          moved = task
        }
        return { ...stored, progress: progressOf(db, counts, project, person.id) }
      })
      if (moved !== undefined) {
        leases.release(moved, person.id)
        tallies.touch(project, moved)
        live.publish({ topic: `task/${moved}` })
        live.publish({ topic: `project/${project}` })
      }
      return answer
    } catch (error) {
      // What was not stored is not counted
      if (moved !== undefined) counts.forget(project)
      throw error
    }
  }

  const answerOf = (context: Context, { vote, version, theirs, gold, progress }: Stored & { progress: Progress }) => {
    if (theirs === undefined)
      return context.json({ vote: readVote(db, vote), version, progress, ...(gold && { gold }) } satisfies Voted)
    const message = 'this task was changed in the meantime; both votes are in its history'
    const conflict: VoteConflict = { error: { message, code: 'conflict' }, theirs: readVote(db, theirs), version }
    return context.json(conflict, 409)
  }

  app.post('/tasks/:id/votes', async (context) => {
    const [person, id] = [context.get('person'), idOf(context)]
    const given = await bodyOf(context, newVote)
    if (given.adjudicate && !mayDecide(person))
      throw httpError(403, `to decide between annotators needs the role adjudicate; you have ${person.role}`)
    const { task, settings } = taskFor(labels, person, id)
    const request = { requestId: given.requestId, what: `${given.adjudicate ? 'adjudicate' : 'vote'} ${id}` }
    const stored = change(
      person,
      task.project,
      request,
      () => id,
      () => storeVote(db, task, settings, person.id, given),
    )
    return answerOf(context, stored)
  })

  app.post('/tasks/:id/skip', async (context) => {
    const [person, id] = [context.get('person'), idOf(context)]
    const given = await bodyOf(context, newSkip)
    const { task, settings } = taskFor(labels, person, id)
    const request = { requestId: given.requestId, what: `skip ${id}` }
    const stored = change(
      person,
      task.project,
      request,
      () => id,
      () => storeSkip(db, task, settings, person.id, given),
    )
    return answerOf(context, stored)
  })

  app.put('/tasks/:id/draft', async (context) => {
    const [person, id] = [context.get('person'), idOf(context)]
    const { value } = await bodyOf(context, z.strictObject({ value: z.unknown() }))
    taskFor(labels, person, id)
    const draft = draftOf(value)
    if (Object.keys(draft).length)
      db.run('INSERT OR REPLACE INTO draft VALUES (?, ?, ?)', id, person.id, JSON.stringify(draft))
    else db.run('DELETE FROM draft WHERE task = ? AND person = ?', id, person.id)
    const pass = leases.passOf(id, person.id)
    if (pass !== undefined) leases.take(id, person.id, pass)
    return context.body(null, 204)
  })

  app.post('/projects/:id/undo', async (context) => {
    const [person, project] = [context.get('person'), idOf(context)]
    const given = await bodyOf(context, z.strictObject({ requestId }))
    requireMember(db, person, project)
    const { settings } = readProject(db, project)
    const request = { requestId: given.requestId, what: `undo ${project}` }
    const find = () => lastAct(db, project, person.id).task
    const answer = change(person, project, request, find, () =>
      takeBack(db, settings, person.id, lastAct(db, project, person.id)),
    )
    leases.take(answer.task, person.id, answer.pass)
    return context.json(viewOf(labels, readTask(db, answer.task)!, settings, person, answer.pass) satisfies TaskView)
  })

  return app
}
