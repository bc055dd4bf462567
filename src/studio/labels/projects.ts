/** Projects of the label store. */
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import type { Db } from '../../store/database.node.ts'
import type { Project, ProjectSettings } from './api.ts'
import { requestId, settingsOf } from './settings.ts'
import { queueOf } from './tasks.ts'

const name = z.string().trim().min(1, 'a project needs a name').max(300)
const guidelines = z.string().max(1_000_000)
const settings = z.record(z.string(), z.unknown())

export const newProject = z.strictObject({
  requestId,
  name,
  guidelines: guidelines.default(''),
  settings: settings.default({}),
})
export const projectChange = z.strictObject({
  requestId,
  name: name.optional(),
  guidelines: guidelines.optional(),
  settings: settings.optional(),
})

type ProjectRow = { id: number; name: string; guidelines: string; settings: string; created_at: string }

const read = (row: ProjectRow): Project => ({
  id: row.id,
  name: JSON.parse(row.name),
  guidelines: JSON.parse(row.guidelines),
  settings: JSON.parse(row.settings),
  createdAt: row.created_at,
})

export const readProject = (db: Db, id: number): Project => {
  const row = db.get<ProjectRow>('SELECT * FROM project WHERE id = ?', id)
  if (!row) throw httpError(404, `there is no project ${id}`)
  return read(row)
}

/** All projects, or those that are open to an annotator. */
export const projectsOf = (db: Db, person: number): Project[] =>
  (person === 0
    ? db.all<ProjectRow>('SELECT * FROM project ORDER BY id')
    : db.all<ProjectRow>(
        'SELECT p.* FROM project p JOIN member m ON m.project = p.id WHERE m.person = ? ORDER BY p.id',
        person,
      )
  ).map(read)

export const addProject = (db: Db, given: z.output<typeof newProject>): number => {
  const created = new Date().toISOString()
  return db.run(
    'INSERT INTO project (name, guidelines, settings, created_at) VALUES (?, ?, ?, ?)',
    JSON.stringify(given.name),
    JSON.stringify(given.guidelines),
    JSON.stringify(settingsOf(given.settings)),
    created,
  ).id
}

/** @returns whether it changed which tasks are given out, or in which order */
export const changeProject = (db: Db, id: number, change: z.output<typeof projectChange>): void => {
  const known = readProject(db, id)
  const settings = change.settings ? settingsOf({ ...known.settings, ...change.settings }) : known.settings
  if (settings.mode !== known.settings.mode && db.get("SELECT 1 FROM vote WHERE project = ? AND kind = 'vote'", id))
    throw httpError(400, 'settings.mode: there are votes in this mode; make another project for another mode')
  db.run(
    'UPDATE project SET name = ?, guidelines = ?, settings = ? WHERE id = ?',
    JSON.stringify(change.name ?? known.name),
    JSON.stringify(change.guidelines ?? known.guidelines),
    JSON.stringify(settings),
    id,
  )
  restate(db, id, settings)
  if (settings.order !== known.settings.order || settings.seed !== known.settings.seed) reorder(db, id, settings)
}

/** Removes a project with its votes. */
export const deleteProject = (db: Db, id: number): void => {
  db.run(
    `UPDATE person AS p SET votes = votes -
       (SELECT count(*) FROM current WHERE project = ? AND person = p.id AND kind = 'vote')`,
    id,
  )
  db.run('DELETE FROM project WHERE id = ?', id)
}

/** Which tasks still need votes, after the overlap changed. */
const restate = (db: Db, id: number, { overlap, goldEvery }: ProjectSettings) => {
  db.run(
    `UPDATE task SET
       open = votes < ?1 AND state <> 'adjudicated' AND NOT (gold IS NOT NULL AND ?2 > 0),
       state = CASE WHEN state = 'adjudicated' THEN state WHEN votes >= ?1 THEN 'finished' WHEN votes > 0 THEN 'labelled'
         WHEN skips > 0 THEN 'skipped' ELSE 'open' END
     WHERE project = ?3`,
    overlap,
    goldEvery,
    id,
  )
}

type Scored = { id: number; position: number; scores: string | null }

/** Puts all tasks of a project into the order in which they are given out. */
export const reorder = (db: Db, project: number, settings: ProjectSettings): void => {
  const tasks = db.all<Scored>(
    `SELECT id, position, (SELECT json_group_array(json(scores)) FROM score WHERE task = t.id) AS scores
     FROM task t WHERE project = ? ORDER BY position`,
    project,
  )
  for (const { id, position, scores } of tasks) {
    const known = settings.order === 'informative' && scores ? (JSON.parse(scores) as (number | null)[][]) : []
    // Tasks of which nothing is known come last, as imported
    const queue =
      settings.order === 'informative'
        ? known.length
          ? -information(known)
          : position
        : queueOf(settings, id, position)
    db.run('UPDATE task SET queue = ? WHERE id = ?', queue, id)
  }
}

/**
 * How much a label would tell, from 0 to 1: of several reward models the share of pairs that two of them order in opposite
 * ways, and how close the best two of each model are.
 */
export const information = (scores: readonly (readonly (number | null)[])[]): number => {
  let [opposed, compared] = [0, 0]
  for (const [m, a] of scores.entries())
    for (const b of scores.slice(m + 1))
      for (let i = 0; i < a.length; i++)
        for (let j = i + 1; j < a.length; j++) {
          const product = (Number(a[i]) - Number(a[j])) * (Number(b[i]) - Number(b[j]))
          if (a[i] === null || a[j] === null || b[i] === null || b[j] === null) continue
          compared++
          if (product < 0) opposed++
        }
  const margins = scores.flatMap((of) => {
    const sorted = of.filter((score) => score !== null).sort((a, b) => b - a)
    return sorted.length < 2 ? [] : [Math.exp(-Math.abs(sorted[0] - sorted[1]))]
  })
  const close = margins.length ? margins.reduce((a, b) => a + b, 0) / margins.length : 0
  return compared ? 0.75 * (opposed / compared) + 0.25 * close : 0.25 * close
}
